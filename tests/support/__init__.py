"""What several folders of tests share. A package, unlike the folders of tests themselves."""
