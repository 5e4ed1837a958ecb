"""Errors of writes that contradict what the ledger has. Each of them means that nothing was written."""

from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from ledger.records import SettlementRecord
from settlement.ids import SettlementId
from settlement.reconciliation import conflict_detail
from settlement.states import State


class DecisionConflictError(SQLAlchemyError):
    """Ledger and workflow have opposite decisions on one settlement. Nothing was written; an operator must act.

    Either two Temporal clusters have processed the settlement, or the data of one was restored from a backup.
    """

    def __init__(self, settlement_id: SettlementId, in_ledger: State, in_workflow: State) -> None:
        self.detail = conflict_detail(in_ledger, in_workflow)
        """Detail of the finding."""
        super().__init__(f"settlement {settlement_id}: {self.detail}")


class NumberConflictError(SQLAlchemyError):
    """The same order of the same company has a settlement at another external system. Nothing was written.

    It happens only if a restored backup lacked the first settlement when the order was repeated after its company had
    moved. Both may have been adjusted; an operator must act.
    """

    def __init__(self, settlement_id: SettlementId, known: SettlementId) -> None:
        super().__init__(
            f"settlement {settlement_id}: the ledger has {known} with the same requestUniqueNo and company, so the "
            "order may have been adjusted at both external systems. Compare the books of both brokers"
        )


class NumberReusedError(Exception):
    """The number belongs to another order. Nothing was written: that order and its settlement are unchanged."""

    def __init__(self, accepted: SettlementRecord, fields: Sequence[str]) -> None:
        super().__init__(f"{accepted.settlement_id} belongs to an order that differs in {', '.join(fields)}")
        self.accepted = accepted
        """The settlement that has the number."""
        self.fields = tuple(fields)
        """Names of the fields that differ, as in the request."""
