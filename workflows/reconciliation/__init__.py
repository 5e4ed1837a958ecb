"""The workflow of a reconciliation round and the Temporal Schedule that runs it."""
