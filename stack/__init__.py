"""The whole system on one machine, from embedded parts: for `make up`, `make demo` and the end-to-end tests."""
