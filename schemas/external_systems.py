"""The JSON of /v1/external-systems. It contains no secret, and no path or name of one."""

from datetime import datetime
from enum import StrEnum

from contract.model import Model
from contract.operations import CancelOperation, TraceCheck
from settlement.circuit_breaker import BreakerStatus
from settlement.code_meanings import CodeMeaning
from settlement.external_systems import SystemAction
from settlement.policy import SettlementPolicy
from settlement.statement_columns import StatementColumns


class FileStatus(StrEnum):
    """Which content of the file of external systems is in use."""

    CURRENT = "CURRENT"
    """The newest content."""
    REJECTED = "REJECTED"
    """The newest content is invalid, so the previous content is still in use."""


class CallLimits(Model):
    """Limits of the calls to one external system in each worker process; null: no limit."""

    calls_in_flight: int | None
    calls_per_s: int | None


class ShownPause(Model):
    """The pause of an external system: since when, why, and for a key with the scope `all` who."""

    operator: str | None
    key_id: str | None
    note: str
    at: datetime


class ExternalSystemSummary(Model):
    """One external system of the configuration in use.

    For a key whose scope is not `all`: `companies` are those of its scope, and what describes the system or
    concerns other companies is null (`default`, `address`, `cancelOperation`, `trace`,
    `codes`, `businessStatuses`, `policy`, `limits`).
    """

    name: str
    companies: tuple[int, ...]
    """The companies that it serves."""
    default: bool | None
    """Whether it serves every company that no other system serves, and orders without a company."""
    address: str | None
    """Its base URL, without user and password."""
    cancel_operation: CancelOperation | None
    """The operation with which it undoes an adjust."""
    trace: TraceCheck | None
    codes: dict[str, CodeMeaning] | None
    """The meanings of its codes in replies to cancels, beyond those of the contract."""
    business_statuses: tuple[int, ...] | None
    """The HTTP statuses under which its replies of failure count."""
    policy: SettlementPolicy | None
    """The policy of orders that are accepted for it now."""
    limits: CallLimits | None
    breaker: BreakerStatus | None
    """Its circuit breaker, as the workers report it; null if it has none."""
    paused: ShownPause | None
    """Who paused it and why; null if it takes new orders."""


class ExternalSystem(ExternalSystemSummary):
    """One external system, with the columns of its statements and the operator actions on it."""

    statement: StatementColumns | None
    """The columns of its statements; null if its entry has none, and for a key whose scope is not `all`."""
    actions: tuple[SystemAction, ...]
    """The last operator actions on it, newest first; none for a key whose scope is not `all`."""


class ExternalSystemList(Model):
    """The external systems of the configuration in use that serve the companies of the key, and the state of its file.

    For a key whose scope is not `all`, `file` and `problem` are null.
    """

    items: tuple[ExternalSystemSummary, ...]
    file: FileStatus | None
    """Null if the settings describe the one system, and there is no file."""
    loaded_at: datetime
    """When this API process loaded the configuration in use."""
    problem: str | None
    """Why the newest content was rejected; null if it is in use."""
