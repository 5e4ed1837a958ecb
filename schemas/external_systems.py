"""The JSON of /v1/external-systems. It contains no secret, and no path or name of one."""

from datetime import datetime
from enum import StrEnum

from contract.model import Model
from contract.operations import CancelOperation, TraceCheck
from settlement.code_meanings import CodeMeaning
from settlement.external_systems import SystemAction, SystemPause
from settlement.policy import SettlementPolicy


class FileStatus(StrEnum):
    """Which content of the file of external systems is in use."""

    CURRENT = "CURRENT"
    """The newest content."""
    REJECTED = "REJECTED"
    """The newest content is invalid, so the previous content is still in use."""


class ExternalSystemSummary(Model):
    """One external system of the configuration in use."""

    name: str
    companies: tuple[int, ...]
    """The companies that it serves."""
    default: bool
    """Whether it serves every company that no other system serves, and orders without a company."""
    address: str
    """Its base URL, without user and password."""
    cancel_operation: CancelOperation
    """The operation with which it undoes an adjust."""
    trace: TraceCheck
    codes: dict[str, CodeMeaning]
    """The meanings of its codes in replies to cancels, beyond those of the contract."""
    business_statuses: tuple[int, ...]
    """The HTTP statuses under which its replies of failure count."""
    policy: SettlementPolicy
    """The policy of orders that are accepted for it now."""
    paused: SystemPause | None
    """Who paused it and why; null if it takes new orders."""


class ExternalSystem(ExternalSystemSummary):
    """One external system, with the operator actions on it."""

    actions: tuple[SystemAction, ...]
    """The last operator actions on it, newest first."""


class ExternalSystemList(Model):
    """All external systems of the configuration in use, and the state of its file."""

    items: tuple[ExternalSystemSummary, ...]
    file: FileStatus | None
    """Null if the settings describe the one system, and there is no file."""
    loaded_at: datetime
    """When this API process loaded the configuration in use."""
    problem: str | None
    """Why the newest content was rejected; null if it is in use."""
