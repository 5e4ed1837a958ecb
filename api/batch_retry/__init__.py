"""The endpoints of batch retries."""
