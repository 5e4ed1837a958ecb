"""API keys: their format, their verification, and their endpoints."""
