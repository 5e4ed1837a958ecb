"""/v1/statements: statements of the broker."""
