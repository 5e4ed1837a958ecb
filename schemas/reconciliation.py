"""Reconciliation over HTTP: its status, and the request to close a finding."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from contract.model import Model
from settlement.operator_rules import BrokerReference, Note
from settlement.reconciliation import ReconciliationRound


class FindingClosingRequest(BaseModel):
    """Request to close a finding: why, and the broker's reference as evidence."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )

    note: Note
    broker_reference: BrokerReference | None = None


class ReconciliationStatus(Model):
    """The last round that ended, and the number of open findings."""

    last_round: ReconciliationRound | None
    open_findings: int
    schedule: str
    """The interval in words, such as "every 60 s"."""
