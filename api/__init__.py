"""The HTTP API: accepts orders, starts their settlements, and returns their state."""
