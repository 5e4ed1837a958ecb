"""`Prefer: wait=N` (RFC 7240): how long a caller would like to wait for the decision."""

import re

WAIT_MAX_S = 60

_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,9})\"?")


def wait_seconds(prefer: str | None) -> int:
    """Return the wished wait in whole seconds, at most `WAIT_MAX_S`; 0 without one.

    A preference that cannot be read is ignored, as RFC 7240 wants it; of several the first counts.
    """
    for preference in (prefer or "").split(","):
        match = _WAIT.fullmatch(preference.split(";")[0].strip().lower())
        if match:
            return min(int(match[1]), WAIT_MAX_S)
    return 0
