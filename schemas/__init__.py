"""JSON of the HTTP API that only API and CLI use: the settlement resource, its explanation, keys, problems."""
