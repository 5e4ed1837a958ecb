"""The front door's error codes: stable words that a client may switch on (RFC 9457 `code`)."""

from enum import StrEnum
from http import HTTPStatus


class ErrorCode(StrEnum):
    """Each value is the last segment of the problem's `type`, too. What it means for the money is beside it."""

    VALIDATION_FAILED = "validation-failed"
    """Nothing was accepted; no money moved."""
    MALFORMED_REQUEST = "malformed-request"
    """Nothing was accepted; no money moved."""
    BODY_TOO_LARGE = "body-too-large"
    """Nothing was accepted; no money moved."""
    REQUEST_TIMEOUT = "request-timeout"
    """The request did not arrive whole in time. Nothing was accepted; no money moved."""
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    """Nothing was accepted; no money moved."""
    UNAUTHENTICATED = "unauthenticated"
    """Nothing was done: no API key, or none that is known and active."""
    FORBIDDEN = "forbidden"
    """Nothing was done: the key's role may not do this."""
    KEY_LIMIT_REACHED = "key-limit-reached"
    """No key was made: its owner has as many active ones as allowed."""
    SELECTION_CHANGED = "selection-changed"
    """No batch was begun: the selection is not what was previewed."""
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    """No batch was begun: the key belongs to another request of the same caller, whose batch goes on untouched."""
    TOO_MANY_STREAMS = "too-many-streams"
    """All event streams are in use. Nothing was done; the state can be read all the same."""
    TOO_MANY_STREAMS_OF_CLIENT = "too-many-streams-of-client"
    """The client has its share of event streams. Nothing was done; the state can be read all the same."""
    TOO_MANY_CONNECTIONS = "too-many-connections"
    """The connection was refused before any request was read. Nothing was done."""
    NUMBER_REUSED = "number-reused"
    """This request was not accepted. The settlement that has the number goes on untouched."""
    NOT_FOUND = "not-found"
    """There is no such thing: no settlement was accepted under this number."""
    METHOD_NOT_ALLOWED = "method-not-allowed"
    """Nothing was done."""
    WRONG_STATE = "wrong-state"
    """The act was refused; the settlement is as it was."""
    LEDGER_UNAVAILABLE = "ledger-unavailable"
    """This request started nothing. In doubt if the same number was posted before: post it again, or read its state."""
    TEMPORAL_UNAVAILABLE = "temporal-unavailable"
    """In doubt: do not let the order proceed. Post the same request again, or read its state."""
    WORKERS_UNAVAILABLE = "workers-unavailable"
    """The act was not confirmed in time; it may still be carried out. Read the state."""
    INTERNAL = "internal"
    """In doubt: do not let the order proceed. Post the same request again, or read its state."""


STATUS_OF: dict[ErrorCode, HTTPStatus] = {
    ErrorCode.VALIDATION_FAILED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.MALFORMED_REQUEST: HTTPStatus.BAD_REQUEST,
    ErrorCode.BODY_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.REQUEST_TIMEOUT: HTTPStatus.REQUEST_TIMEOUT,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ErrorCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.KEY_LIMIT_REACHED: HTTPStatus.CONFLICT,
    ErrorCode.SELECTION_CHANGED: HTTPStatus.CONFLICT,
    ErrorCode.IDEMPOTENCY_KEY_REUSED: HTTPStatus.CONFLICT,
    ErrorCode.TOO_MANY_STREAMS: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.TOO_MANY_STREAMS_OF_CLIENT: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.TOO_MANY_CONNECTIONS: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.NUMBER_REUSED: HTTPStatus.CONFLICT,
    ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    ErrorCode.WRONG_STATE: HTTPStatus.CONFLICT,
    ErrorCode.LEDGER_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.TEMPORAL_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.WORKERS_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}
