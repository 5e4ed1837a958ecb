"""Activities: the side effects of workflows. Their inputs and results are types of `settlement`."""
