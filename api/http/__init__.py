"""HTTP for every endpoint: problems, strict requests, access, limits of connections, OpenAPI."""
