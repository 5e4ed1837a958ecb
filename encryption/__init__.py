"""Encryption of the payloads that Temporal stores (ADR 0026)."""
