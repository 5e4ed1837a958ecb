"""The codec server, with which the Temporal UI and the command `temporal` read encrypted payloads (ADR 0026)."""
