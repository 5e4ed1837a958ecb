"""The reports of a run: JSON for programs, JUnit XML for CI systems, one HTML page for people.

Each module has one function that takes a RunReport and returns a text. `files` writes the three.
Whatever came from the endpoint is untrusted: `messages` cuts it, `visible` shows what cannot be seen.
"""
