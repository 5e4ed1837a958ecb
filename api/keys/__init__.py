"""API keys: their text, the endpoints, and how a key is recognised."""
