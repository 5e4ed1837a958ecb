"""Limits of the requests with which a broker statement is imported, for API and CLI."""

LINES_BYTES_MAX = 256 * 1024
"""Maximum size of a request with lines of a statement, in bytes. Every other request is much smaller."""
