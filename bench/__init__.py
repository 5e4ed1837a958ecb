"""Measurements on the real stack, run by hand. They print figures; no test asserts a time."""
