"""The JSON of the front door that only API and CLI share: the resource, its explanation, keys, problems."""
