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

    Takes the header's lines. A preference that cannot be read is ignored, as RFC 7240 wants it; of several
    the first counts.
    """
    for preference in _PREFERENCES.findall(",".join(prefer)):
        match = _WAIT.fullmatch(preference.split(";")[0].strip().lower())
        if match:
            return WAIT_MAX_S if len(match[2]) > _DIGITS_MAX else min(int(match[2]), WAIT_MAX_S)
    return 0
