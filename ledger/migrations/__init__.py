"""Alembic's scripts: one file per change of schema, oldest first."""
