"""Measurements on the real stack, as figures for a person; no test asserts a time."""
