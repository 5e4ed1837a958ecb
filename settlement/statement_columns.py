"""Which columns of a broker's statement contain what: in the entry of its external system, or in a file of its own."""

import codecs
from datetime import timedelta, timezone, tzinfo
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class TimeFormat(StrEnum):
    """How a time is written."""

    ISO = "iso"
    """ISO 8601, such as 2026-01-05T03:10:00.123Z."""
    EPOCH_MS = "epoch_ms"
    """Milliseconds since 1970, 13 digits."""


class ReversedAmount(StrEnum):
    """The sign of the amount of a reversal."""

    NEGATED = "negated"
    """The opposite of the sign of the adjust: the change of the balance."""
    SAME = "same"
    """The sign of the adjust."""


def _one_character(value: str) -> str:
    if len(value) != 1 or value in '\r\n"':
        message = "must be one character, and not a quote or a line break"
        raise ValueError(message)
    return value


def _contains_ascii(value: str) -> str:
    try:
        codecs.lookup(value)
        is_ascii = "a,\n".encode(value) == b"a,\n"
    except (LookupError, UnicodeError):
        is_ascii = False
    if not is_ascii:
        message = "must be an encoding that contains ASCII, such as utf-8, gb18030 or windows-1252"
        raise ValueError(message)
    return value


class StatementColumns(BaseModel):
    """The mapping of the columns. By default the columns of the simulator's statement."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        serialize_by_alias=True,
        loc_by_alias=False,
        hide_input_in_errors=True,
    )

    delimiter: Annotated[str, AfterValidator(_one_character)] = ","
    encoding: Annotated[str, AfterValidator(_contains_ascii)] = "utf-8"
    number: str = "requestUniqueNo"
    """Column with the requestUniqueNo of the adjust, also of a reversal."""
    amount: str = "amount"
    currency: str = "currency"
    reversed_amount: ReversedAmount = ReversedAmount.NEGATED
    time_format: TimeFormat = TimeFormat.ISO
    utc_offset: str | None = Field(default=None, pattern=r"^[+-](0[0-9]|1[0-4]):[0-5][0-9]$")
    """Offset of times that have none, such as +08:00. Without it a time must have an offset."""
    kind: str | None = None
    """Column that says what happened; together with `time`."""
    time: str | None = None
    applied_values: tuple[str, ...] = ("applied",)
    """The values of `kind` that mean: applied."""
    reversed_values: tuple[str, ...] = ("reversed",)
    ignored_values: tuple[str, ...] = ()
    """The values of `kind` of lines that are not about an adjust, such as fees."""
    applied_time: str | None = None
    """Column with the time at which the adjust was applied; together with `reversed_time`, instead of `kind`."""
    reversed_time: str | None = None

    @model_validator(mode="after")
    def _one_layout(self) -> Self:
        by_kind = {self.kind, self.time} - {None}
        by_time = {self.applied_time, self.reversed_time} - {None}
        if (by_kind and by_time) or len(by_kind) == 1 or len(by_time) == 1:
            message = "give kind and time, or applied_time and reversed_time"
            raise ValueError(message)
        values = (*self.applied_values, *self.reversed_values, *self.ignored_values)
        if len(set(values)) < len(values):
            message = "a value of kind has two meanings"
            raise ValueError(message)
        return self

    @property
    def has_two_times(self) -> bool:
        """Whether a line has the times of both events, instead of a kind and a time."""
        return self.applied_time is not None

    @property
    def kind_column(self) -> str:
        """Name of the column that says what happened."""
        return self.kind or "kind"

    @property
    def time_column(self) -> str:
        """Name of the column with the time."""
        return self.time or "time"

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that a file must have."""
        times = (
            (self.applied_time or "", self.reversed_time or "")
            if self.has_two_times
            else (self.kind_column, self.time_column)
        )
        return self.number, self.amount, self.currency, *times

    @property
    def zone(self) -> tzinfo | None:
        """The offset of times that have none."""
        if self.utc_offset is None:
            return None
        sign = -1 if self.utc_offset.startswith("-") else 1
        hours, minutes = self.utc_offset[1:].split(":")
        return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes)))
