"""The workflow of a batch retry, its start, and its texts in the Temporal UI."""
