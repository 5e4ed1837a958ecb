"""One entry of the file of external systems: the model of its fields, and the rules between them."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from yarl import URL

from config.fields import (
    CancelAttempts,
    CancelBy,
    Expiry,
    HttpUrl,
    InitialInterval,
    InProcessMax,
    MaxInterval,
    Quarantine,
    RetryAfterMax,
    SparseAttempts,
    SparseInitialInterval,
    SparseMaxInterval,
    UrlPath,
    is_loopback,
)
from config.secret_references import AbsolutePath, EnvName, SecretReference
from contract.fields import Int64
from contract.operations import (
    ADJUST_PATH,
    CANCEL_ADJUST_PATH,
    CANCEL_OPERATION_PATH,
    CODE_NEVER_RECEIVED,
    CODE_NOT_APPLIED,
    CODE_SUCCESS,
    Operation,
    TraceCheck,
)
from contract.signatures import SignatureAlgorithm
from settlement.code_meanings import CodeMeaning
from settlement.policy import ConfirmMode, SettlementPolicy
from settlement.statement_columns import StatementColumns

COMPANIES_MAX = 10_000
HEADERS_MAX = 20
CODES_MAX = 200
BUSINESS_STATUSES_MAX = 20

_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_OURS = {
    *("accept", "accept-encoding", "companyid", "content-digest", "content-type", "signature", "signature-input"),
    *("timestamp", "trace", "traceparent", "tracestate"),
    *("connection", "content-encoding", "content-length", "expect", "host", "keep-alive", "te", "trailer"),
    *("transfer-encoding", "upgrade"),
}
"""Headers of the connector or of HTTP itself, in lower case."""
_SECRET_WORDS = ("auth", "cookie", "credential", "key", "pass", "secret", "session", "signature", "token")
"""A header whose name contains one of these words may carry a secret, so its value must be a reference."""


_CODES_OF_CONTRACT = (CODE_SUCCESS, CODE_NOT_APPLIED, CODE_NEVER_RECEIVED)

Code = Annotated[str, Field(pattern="^[!-~]([ -~]*[!-~])?$", max_length=63)]
"""A code as a reply has it. A longer one could not be told from its shortened text in the audit."""


def _business_status(status: int) -> int:
    if not 400 <= status <= 499 or status in _NEVER_BUSINESS:  # noqa: PLR2004 - the range of client errors
        message = "must be from 400 to 499, but not 408 or 429: those say that nothing was decided"
        raise ValueError(message)
    return status


_NEVER_BUSINESS = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
BusinessStatus = Annotated[int, AfterValidator(_business_status)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class HeaderValue(_Entry):
    """The value of a header: `{env = "NAME"}`, `{file = "/path"}`, or a plain text that is not secret."""

    env: EnvName | None = None
    file: AbsolutePath | None = None
    prefix: str = Field(default="", pattern="^([A-Za-z][A-Za-z0-9]{0,15} )?$")
    """A scheme of authentication before the secret, with its space: `Bearer `."""
    text: str | None = Field(default=None, max_length=200, pattern="^[!-~]([ -~]*[!-~])?$")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(each is not None for each in (self.env, self.file, self.text)) != 1:
            message = 'must be {env = "NAME"}, {file = "/path"} or a text'
            raise ValueError(message)
        return self

    @property
    def reference(self) -> SecretReference | None:
        """Where the secret is; None for a plain text."""
        return None if self.text is not None else SecretReference(env=self.env, file=self.file)


def _plain_text(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


Header = Annotated[HeaderValue, BeforeValidator(_plain_text)]


class RetryEntry(_Entry):
    """The policy of orders accepted for a system. A value that is missing is that of the settings."""

    max_attempts: CancelAttempts | None = None
    initial_interval_s: InitialInterval | None = None
    max_interval_s: MaxInterval | None = None
    sparse_attempts: SparseAttempts | None = None
    sparse_initial_interval_s: SparseInitialInterval | None = None
    sparse_max_interval_s: SparseMaxInterval | None = None
    retry_after_max_s: RetryAfterMax | None = None
    in_process_max: InProcessMax | None = None
    confirm: ConfirmMode | None = None
    confirm_after_s: Quarantine | None = None
    """Quarantine before the confirming cancel."""
    expire_after_s: Expiry | None = None

    def policy(self, settings: SettlementPolicy) -> SettlementPolicy:
        """Return the policy with the values of this entry, and those of the settings for the rest."""
        own = {_POLICY_FIELD.get(name, f"cancel_{name}"): value for name, value in self if value is not None}
        return settings.model_copy(update=own)


_POLICY_FIELD = {name: name for name in ("confirm", "confirm_after_s", "expire_after_s")}
"""The fields that have the same name in a policy. There, all others begin with `cancel_`."""


class BreakerEntry(_Entry):
    """When the circuit breaker opens, and what it lets through. An empty table switches it on with these values."""

    unknowns: int = Field(default=20, ge=2, le=1000)
    """Consecutive UNKNOWN outcomes of adjusts and cancels, in one worker process, that open it."""
    open_s: float = Field(default=30, ge=1, le=3600)
    """Seconds from its opening until the first probe."""
    cancels_per_min: int = Field(default=6, ge=1, le=600)
    """Cancels per minute and worker process that are sent while it is not closed."""


class LimitsEntry(_Entry):
    """Limits of the calls, adjusts and cancels together, in each worker process. One that is missing does not apply."""

    calls_in_flight: int | None = Field(default=None, ge=1, le=10_000)
    calls_per_s: int | None = Field(default=None, ge=1, le=10_000)
    """Maximum calls per second, and as many at once after a pause."""


class SignatureEntry(_Entry):
    """How requests are signed (HTTP Message Signatures, RFC 9421)."""

    key_id: str = Field(pattern="^[A-Za-z0-9._:/@-]+$", max_length=100)
    """Name of the key, by which the broker finds it; not secret."""
    algorithm: SignatureAlgorithm = SignatureAlgorithm.HMAC_SHA256
    key: SecretReference


class SystemEntry(_Entry):
    """One external system: whom it serves, where it is, and how it is called."""

    companies: tuple[Int64, ...] | None = Field(default=None, max_length=COMPANIES_MAX)
    """The companies that it serves. An empty list: it gets no new orders, and its open settlements end there."""
    default: bool = False
    """Whether it serves every company that no other entry names, and orders without a company."""
    base_url: HttpUrl = Field(repr=False)
    allow_http: bool = False
    """Allow http to a host that is not loopback."""
    adjust_path: UrlPath = ADJUST_PATH
    cancel_adjust_path: UrlPath = CANCEL_ADJUST_PATH
    cancel_operation_path: UrlPath = CANCEL_OPERATION_PATH
    cancel_protocol: CancelBy = Operation.CANCEL_ADJUST
    trace: TraceCheck = TraceCheck.STRICT
    ca_file: AbsolutePath | None = None
    client_certificate_file: AbsolutePath | None = None
    client_key_file: AbsolutePath | None = None
    keep_alive: bool = True
    """Whether an idle connection is used for the next call."""
    headers: dict[str, Header] = Field(default={}, max_length=HEADERS_MAX)
    signature: SignatureEntry | None = None
    """How requests are signed; None: they are not."""
    retry: RetryEntry = RetryEntry()
    limits: LimitsEntry = LimitsEntry()
    breaker: BreakerEntry | None = None
    """The circuit breaker; None: the system has no breaker."""
    statement: StatementColumns | None = None
    """The columns of its statements; None: those of the simulator's."""
    codes: dict[Code, CodeMeaning] = Field(default={}, max_length=CODES_MAX)
    """Meanings of codes in replies to cancels, beyond those of the contract."""
    business_statuses: tuple[BusinessStatus, ...] = Field(default=(), max_length=BUSINESS_STATUSES_MAX)
    """HTTP statuses under which a reply of table 4 with a code of failure is read as under 200."""

    @property
    def host(self) -> str:
        """Host of the base URL, without user, password and port."""
        return URL(self.base_url).host or ""

    @property
    def address(self) -> str:
        """The base URL without user and password."""
        return str(URL(self.base_url).with_user(None))

    @field_validator("base_url")
    @classmethod
    def _without_password(cls, value: str) -> str:
        if URL(value).user is not None or URL(value).password is not None:
            message = "must not contain a user or password; use headers"
            raise ValueError(message)
        return value


def broken_rules(entry: SystemEntry) -> Iterator[str]:
    """Yield each rule that the entry breaks and that concerns more than one field, with the field."""
    if (entry.companies is not None) == entry.default:
        yield "companies: give either companies or default = true"
    if URL(entry.base_url).scheme == "http" and not entry.allow_http and not is_loopback(entry.host):
        yield "base_url: must be https for a host that is not loopback, unless allow_http = true"
    if (entry.client_certificate_file is None) != (entry.client_key_file is None):
        missing = "client_key_file" if entry.client_key_file is None else "client_certificate_file"
        yield f"{missing}: client_certificate_file and client_key_file belong together"
    yield from (f"headers.{each}" for each in _broken_headers(entry.headers))
    for code in _CODES_OF_CONTRACT:
        if code in entry.codes:
            yield f"codes.{code}: is a code of the contract, whose meaning cannot be changed"
    if entry.signature is not None and (entry.signature.key.env is None) == (entry.signature.key.file is None):
        yield 'signature.key: must be {env = "NAME"} or {file = "/path"}'


def _broken_headers(headers: Mapping[str, HeaderValue]) -> Iterator[str]:
    seen: set[str] = set()
    for name, value in headers.items():
        lower = name.lower()
        if not _HEADER_NAME.fullmatch(name):
            yield f"{name[:64]!r}: must be 1 to 64 letters, digits and hyphens"
        elif lower in _OURS:
            yield f"{name}: is set by this service"
        elif lower in seen:
            yield f"{name}: is given twice"
        elif value.text is not None and any(word in lower for word in _SECRET_WORDS):
            yield f'{name}: must be a reference, {{env = "NAME"}} or {{file = "/path"}}'
        seen.add(lower)
