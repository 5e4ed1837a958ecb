"""Runs all parts of the system on one machine: for `make up`, `make demo` and the end-to-end tests."""
