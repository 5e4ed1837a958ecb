"""What all endpoints share: problems, strict requests, authorization, connection limits, OpenAPI."""
