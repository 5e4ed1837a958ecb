"""Reconciliation over HTTP: its state, and the closing of a finding."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from contract.model import Model
from settlement.operator_rules import BrokerReference, Note
from settlement.reconciliation import ReconciliationRound


class FindingClosingRequest(BaseModel):
    """Why an operator closes a finding, and on what evidence."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )

    note: Note
    broker_reference: BrokerReference | None = None


class ReconciliationStatus(Model):
    """The last round, and what is open."""

    last_round: ReconciliationRound | None
    open_findings: int
    schedule: str
    """In plain words, such as "every 60 s"."""
