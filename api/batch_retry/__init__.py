"""Batch retries: their endpoints and the start of their workflows."""
