"""The three operations of the contract, and how strictly the trace of a reply is checked."""

from enum import StrEnum


class Operation(StrEnum):
    """Which operation of the contract a call made."""

    ADJUST = "ADJUST"
    CANCEL_ADJUST = "CANCEL_ADJUST"
    CANCEL_OPERATION = "CANCEL_OPERATION"
    """The deprecated variant of CANCEL_ADJUST (contract, table 3)."""


class TraceCheck(StrEnum):
    """Whether the trace of a reply must be the request's (a setting; contract, table 4 and interpretations)."""

    STRICT = "strict"
    """A reply that carries a trace must carry that of its request; one that carries none is accepted."""
    IGNORE = "ignore"
    """The trace of a reply is not compared: for an external system that does not return the trace of the request."""
