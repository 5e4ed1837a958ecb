"""`Prefer: wait=N` (RFC 7240): how long a caller would like to wait for the decision."""

import re
from collections.abc import Sequence

WAIT_MAX_S = 60

_PREFERENCES = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*"?)+')
"""Splits at commas outside quotes."""
_WAIT = re.compile(r"wait\s*=\s*(\"?)([0-9]+)\1")
_DIGITS_MAX = 9


def wait_seconds(prefer: Sequence[str]) -> int:
    """Return the wished wait in whole seconds, at most `WAIT_MAX_S`; 0 without one.

    Takes the header's lines, which are read as one list. Of several waits only the first is considered; one that
    cannot be read is ignored (RFC 7240, 2).
    """
    preferences = (each.split(";")[0].strip().lower() for line in prefer for each in _PREFERENCES.findall(line))
    wait = next((each for each in preferences if each.split("=")[0].strip() == "wait"), "")
    match = _WAIT.fullmatch(wait)
    if match is None:
        return 0
    return WAIT_MAX_S if len(match[2]) > _DIGITS_MAX else min(int(match[2]), WAIT_MAX_S)
