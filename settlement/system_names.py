"""Names of external systems, as the configuration and settlements use them."""

import re
from typing import Annotated, Final

from pydantic import Field

SYSTEM_NAME_LENGTH_MAX: Final = 32
SYSTEM_NAME_PATTERN: Final = "^[a-z0-9][a-z0-9-]*$"
SystemName = Annotated[str, Field(pattern=SYSTEM_NAME_PATTERN, max_length=SYSTEM_NAME_LENGTH_MAX, examples=["alpha"])]
"""Name of an external system in the configuration: lower-case letters, digits and hyphens."""


def is_system_name(text: str) -> bool:
    """Return whether a text has the form of a system name."""
    return len(text) <= SYSTEM_NAME_LENGTH_MAX and re.fullmatch(SYSTEM_NAME_PATTERN, text) is not None
