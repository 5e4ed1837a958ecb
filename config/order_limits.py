"""The file of order limits, which `SETTLEMENT_ORDER_LIMITS` names (docs/access.md#order-limits)."""

import re
import sys
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from config.configuration_file import InvalidFileError, parse_toml
from config.settings import ENV_PREFIX, Settings
from config.watched_file import WatchedFile
from contract.fields import INT64_MAX, INT64_MIN, NUL, Currency, text_of
from settlement.amounts import AmountText
from settlement.order_limits import LIMIT_NAME_LENGTH_MAX, OrderLimit, OrderLimits

LIMITS_MAX = 200
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    client: Annotated[str, text_of(64, NUL)] | None = None
    company: int | None = Field(default=None, ge=INT64_MIN, le=INT64_MAX)
    currency: Currency | None = None
    per_order: AmountText | None = None
    per_hour: AmountText | None = None

    @model_validator(mode="after")
    def _check_amounts(self) -> Self:
        if self.per_order is None and self.per_hour is None:
            message = "needs per_order, per_hour or both"
            raise ValueError(message)
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    limits: dict[str, _Entry] = Field(max_length=LIMITS_MAX)


def parse_order_limits(path: Path, content: bytes) -> OrderLimits:
    """Validate the content of the file as a whole. Raises InvalidFileError, which names file, entry and field."""
    entries = parse_toml(path, content, _File).limits
    rule = f"a name must be 1 to {LIMIT_NAME_LENGTH_MAX} lower-case letters, digits and hyphens"
    wrong = [name for name in entries if len(name) > LIMIT_NAME_LENGTH_MAX or not _NAME.fullmatch(name)]
    if wrong:
        raise InvalidFileError(path, [f"limits.{name[:64]!r}: {rule}" for name in wrong])
    return OrderLimits(tuple(OrderLimit(name, **entry.model_dump()) for name, entry in entries.items()))


def watched_order_limits(settings: Settings) -> WatchedFile[OrderLimits]:
    """Load the limits. Without a file, no order is limited. Raises InvalidFileError."""
    return WatchedFile("order limits", settings.order_limits, parse_order_limits, without_file=OrderLimits)


def load_order_limits(settings: Settings) -> WatchedFile[OrderLimits]:
    """Load the limits at the start of a process. If they are invalid, print what is wrong and exit with 2."""
    try:
        return watched_order_limits(settings)
    except InvalidFileError as error:
        print(f"{ENV_PREFIX}ORDER_LIMITS: {error}", file=sys.stderr)  # noqa: T201 - as settings do
        raise SystemExit(2) from None
