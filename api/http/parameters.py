"""Integers in queries and headers, where everything arrives as text."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from contract.fields import INT64_MAX, INT64_MIN


def _plain(value: object) -> object:
    """Refuse what int() would take: 1_0, 1.0, blanks, digits of other scripts."""
    if isinstance(value, str) and not re.fullmatch("-?[0-9]{1,19}", value):
        message = "must be an integer"
        raise ValueError(message)
    return value


Plain = BeforeValidator(_plain)
"""Digits, with a minus sign at most. Stands behind the bounds, which would get lost in the document otherwise."""
PlainInt = Annotated[int, Plain]
PlainInt64 = Annotated[int, Field(ge=INT64_MIN, le=INT64_MAX), Plain]
