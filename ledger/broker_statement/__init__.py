"""The record of broker statements, and their comparison with the ledger."""
