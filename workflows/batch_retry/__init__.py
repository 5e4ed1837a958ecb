"""The workflow of a batch retry, how it is started, and what the Temporal UI shows of it."""
