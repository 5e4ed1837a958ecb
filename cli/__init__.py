"""The command `settlement` for operators. It uses only the HTTP API, and types of contract, settlement and schemas."""
