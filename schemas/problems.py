"""The error codes of the API: stable values of `code` (RFC 9457) that a client may switch on."""

from enum import StrEnum
from http import HTTPStatus


class ErrorCode(StrEnum):
    """Each value is also the last segment of the problem's `type`. Its docstring says what it means for the money."""

    VALIDATION_FAILED = "validation-failed"
    """Nothing was accepted; no money moved."""
    MALFORMED_REQUEST = "malformed-request"
    """Nothing was accepted; no money moved."""
    BODY_TOO_LARGE = "body-too-large"
    """Nothing was accepted; no money moved."""
    REQUEST_TIMEOUT = "request-timeout"
    """The complete request did not arrive in time. Nothing was accepted; no money moved."""
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    """Nothing was accepted; no money moved."""
    UNAUTHENTICATED = "unauthenticated"
    """Nothing was done: the API key is missing, unknown, expired or revoked."""
    FORBIDDEN = "forbidden"
    """Nothing was done: the role of the key does not permit this, or it concerns more than the scope of the key."""
    COMPANY_FORBIDDEN = "company-forbidden"
    """Nothing was accepted or done: the company is not in the scope of the key."""
    RATE_LIMITED = "rate-limited"
    """Nothing was done: the client sends more requests per second than its quota."""
    TOO_MANY_WAITS_OF_CLIENT = "too-many-waits-of-client"
    """Nothing was accepted: the client has its maximum number of requests that wait for a decision."""
    KEY_LIMIT_REACHED = "key-limit-reached"
    """No key was created: its client has the maximum number of active keys."""
    SELECTION_CHANGED = "selection-changed"
    """No batch was started: the selection has changed since its preview."""
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    """No batch was started: the same caller used the key for another request. That request's batch is not affected."""
    TOO_MANY_STREAMS = "too-many-streams"
    """All event streams are in use. Nothing was done; the state can still be read."""
    TOO_MANY_STREAMS_OF_CLIENT = "too-many-streams-of-client"
    """The client uses its maximum number of event streams. Nothing was done; the state can still be read."""
    TOO_MANY_CONNECTIONS = "too-many-connections"
    """The connection was refused before any request was read. Nothing was done."""
    COMPANY_NOT_SERVED = "company-not-served"
    """No external system serves the company of this order. Nothing was accepted; no money moved."""
    EXTERNAL_SYSTEM_PAUSED = "external-system-paused"
    """An operator has paused the external system of this order. Nothing was accepted; no money moved."""
    NUMBER_REUSED = "number-reused"
    """This request was not accepted. The settlement that has the number is not affected."""
    NUMBER_TAKEN = "number-taken"
    """This request was not accepted. The number is in use at the external system, outside the scope of the key."""
    NUMBER_AMBIGUOUS = "number-ambiguous"
    """Nothing was done. Settlements at several external systems have this number; the request must name the system."""
    NOT_FOUND = "not-found"
    """The resource does not exist. For a settlement: none was accepted under this number."""
    METHOD_NOT_ALLOWED = "method-not-allowed"
    """Nothing was done."""
    WRONG_STATE = "wrong-state"
    """The action was refused; the settlement did not change."""
    SECOND_OPERATOR_REQUIRED = "second-operator-required"
    """The action was refused; the settlement did not change. Another client must approve the proposed resolution."""
    SIGNING_KEYS_DIFFER = "signing-keys-differ"
    """The action was refused; the settlement did not change. API and worker have different keys for signatures."""
    AMOUNT_LIMIT = "amount-limit"
    """Nothing was accepted; no money moved. The order is above an order limit of this installation."""
    BATCH_SUM_LIMIT = "batch-sum-limit"
    """No batch was started: the sum of its settlements in a currency is above the limit."""
    LEDGER_UNAVAILABLE = "ledger-unavailable"
    """This request started nothing. In doubt if the same number was posted before: post it again, or read its state."""
    TEMPORAL_UNAVAILABLE = "temporal-unavailable"
    """In doubt: do not let the order proceed. Post the same request again, or read its state."""
    WORKERS_UNAVAILABLE = "workers-unavailable"
    """The action was not confirmed in time. It may still be carried out; read the state."""
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
    ErrorCode.COMPANY_FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.TOO_MANY_WAITS_OF_CLIENT: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.KEY_LIMIT_REACHED: HTTPStatus.CONFLICT,
    ErrorCode.SELECTION_CHANGED: HTTPStatus.CONFLICT,
    ErrorCode.IDEMPOTENCY_KEY_REUSED: HTTPStatus.CONFLICT,
    ErrorCode.TOO_MANY_STREAMS: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.TOO_MANY_STREAMS_OF_CLIENT: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.TOO_MANY_CONNECTIONS: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.COMPANY_NOT_SERVED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.EXTERNAL_SYSTEM_PAUSED: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.NUMBER_REUSED: HTTPStatus.CONFLICT,
    ErrorCode.NUMBER_TAKEN: HTTPStatus.CONFLICT,
    ErrorCode.NUMBER_AMBIGUOUS: HTTPStatus.CONFLICT,
    ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    ErrorCode.WRONG_STATE: HTTPStatus.CONFLICT,
    ErrorCode.SECOND_OPERATOR_REQUIRED: HTTPStatus.FORBIDDEN,
    ErrorCode.SIGNING_KEYS_DIFFER: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.AMOUNT_LIMIT: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.BATCH_SUM_LIMIT: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.LEDGER_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.TEMPORAL_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.WORKERS_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}
