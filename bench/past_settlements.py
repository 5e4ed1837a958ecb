"""Settlements that ended in the past: their rows in the ledger, and the broker's statement of their last day.

The newest `DAY_COUNT` settlements are spread over one day; all others are older. So two ledgers of different sizes
differ only in their history, and the statement of that day is the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice

from bench.load import Order, as_json
from config.settings import Settings
from contract.adjust import AdjustBody
from contract.operations import Operation
from ledger import SettlementRecord, open_engine
from ledger.audit_writes import first_audit
from ledger.migrate import migrate_url
from ledger.rows import settlement_values
from ledger.tables import external_calls, settlements, state_changes
from ledger.transactions import insert
from settlement.broker_statement import LineKind, StatementLine
from settlement.calls import CallRecord, Rule, Verdict
from settlement.ids import CancelKind, cancel_unique_no
from settlement.policy import SettlementPolicy
from settlement.reply_record import ReplyRecord
from settlement.snapshot import CancelIntent, Snapshot, StateChange
from settlement.start import SettlementInput
from settlement.states import CancelResult, Decision, Outcome, State

COMPANIES = 5
DAY_COUNT = 1_000
"""Settlements of the last day. With two lines for half of the cancelled ones and none for the others, its statement has
as many lines."""
USERS = 2_000
CANCELLED_EVERY = 101
"""One settlement of this many is CANCELLED. The number is prime, so that every company has some."""
_DAY, _HISTORY, _MARGIN = timedelta(days=1), timedelta(days=180), timedelta(hours=1)
_CHUNK = 5_000


@dataclass(frozen=True)
class Past:
    """A number of settlements that ended before `day_ends_at`."""

    count: int
    day_ends_at: datetime
    policy: SettlementPolicy

    @property
    def day_starts_at(self) -> datetime:
        """Begin of the last day."""
        return self.day_ends_at - _DAY

    def accepted_at(self, index: int) -> datetime:
        """Return the time of acceptance of a settlement. Index 0 is the newest."""
        if index < DAY_COUNT:
            return self.day_ends_at - _MARGIN - index * (_DAY - 2 * _MARGIN) / DAY_COUNT
        return self.day_starts_at - (index - DAY_COUNT + 1) * _HISTORY / self.count

    def record(self, index: int) -> SettlementRecord:
        """Return one settlement with its audit."""
        accepted_at = self.accepted_at(index)
        order = as_json(Order(number(index))) | {
            "orderId": index,
            "userName": f"user-{index % USERS}",
            "amount": f"{1 + index % 9_000 / 100:.2f}",
            "requestTime": int(accepted_at.timestamp() * 1000),
        }
        settlement = SettlementInput(
            adjust=AdjustBody.model_validate(order),
            trace=f"{index:032x}",
            company_id=1 + index % COMPANIES,
            accepted_at=accepted_at,
            policy=self.policy,
        )
        return SettlementRecord(
            settlement, _settled(settlement) if is_settled(index) else _cancelled(settlement, index)
        )

    def statement_lines(self) -> Iterator[StatementLine]:
        """Yield the lines of the broker's statement of the last day; it agrees with the ledger."""
        for index in range(min(DAY_COUNT, self.count)):
            adjust, snapshot = (record := self.record(index)).settlement.adjust, record.snapshot
            kinds = [LineKind.APPLIED] if snapshot.state is State.SETTLED else []
            if snapshot.cancel_result is CancelResult.REVERSED:
                kinds = [LineKind.APPLIED, LineKind.REVERSED]
            for kind in kinds:
                yield StatementLine(
                    request_unique_no=adjust.requestUniqueNo,
                    kind=kind,
                    amount=adjust.amount,
                    currency=adjust.currency,
                    at_ms=int(snapshot.updated_at.timestamp() * 1000),
                )


def number(index: int) -> str:
    """Return the requestUniqueNo of a settlement: in no order of time, as real ones are."""
    return f"PAST-{index * 7_919 % 10_000_019:08}"


def is_settled(index: int) -> bool:
    """Return whether a settlement is SETTLED; otherwise it is CANCELLED."""
    return index % CANCELLED_EVERY != 0


def _settled(settlement: SettlementInput) -> Snapshot:
    ended_at = settlement.accepted_at + timedelta(milliseconds=90)
    return Snapshot(
        version=1,
        state=State.SETTLED,
        decision=Decision.PROCEED,
        reason="adjust APPLIED",
        decided_at=ended_at,
        updated_at=ended_at,
        calls=(_call(settlement, Verdict(outcome=Outcome.APPLIED, rule=Rule.CODE_SUCCESS, reply=_reply(settlement))),),
        state_changes=(StateChange(state=State.SETTLED, at=ended_at, reason="adjust APPLIED"),),
    )


def _cancelled(settlement: SettlementInput, index: int) -> Snapshot:
    decided_at = settlement.accepted_at + timedelta(seconds=3)
    result = CancelResult.REVERSED if index % (2 * CANCELLED_EVERY) == 0 else CancelResult.NEVER_RECEIVED
    unknown = _call(settlement, Verdict(outcome=Outcome.UNKNOWN, rule=Rule.DEADLINE))
    cancel = unknown.model_copy(
        update={
            "operation": Operation.CANCEL_ADJUST,
            "kind": CancelKind.FIRST,
            "request_unique_no": cancel_unique_no(settlement.adjust.requestUniqueNo, CancelKind.FIRST),
            "sent_at": decided_at,
            "verdict": Verdict(outcome=Outcome.APPLIED, rule=Rule.CODE_SUCCESS, reply=_reply(settlement)),
            "cancel_result": result,
        }
    )
    intent_ms = int(decided_at.timestamp() * 1000)
    return Snapshot(
        version=2,
        state=State.CANCELLED,
        decision=Decision.VOID,
        cancel_result=result,
        reason=f"consistent again: {result}",
        decided_at=decided_at,
        updated_at=decided_at,
        calls=(unknown, cancel),
        state_changes=tuple(
            StateChange(state=state, at=decided_at, reason="adjust UNKNOWN (DEADLINE); the decision is VOID")
            for state in (State.CANCELLING, State.CANCELLED)
        ),
        cancel_intents=(CancelIntent(kind=CancelKind.FIRST, request_time_ms=intent_ms, remark="no reply within 3 s"),),
    )


def _call(settlement: SettlementInput, verdict: Verdict) -> CallRecord:
    return CallRecord(
        operation=Operation.ADJUST,
        request_unique_no=settlement.adjust.requestUniqueNo,
        sent_at=settlement.accepted_at,
        duration_ms=20,
        verdict=verdict,
    )


def _reply(settlement: SettlementInput) -> ReplyRecord:
    return ReplyRecord(code="0", msg="the credit is adjusted", tm=5, trace=settlement.trace, ok=True, fail=False)


async def fill(settings: Settings, past: Past) -> None:
    """Create the ledger of a stack that does not run yet, and insert the settlements."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    await migrate_url(settings.ledger_url)
    engine = open_engine(settings.ledger_url)
    try:
        for indexes in _chunks(range(past.count)):
            records = [past.record(index) for index in indexes]
            audits = [first_audit(each.settlement.settlement_id, each.snapshot) for each in records]
            async with engine.begin() as connection:
                rows = [
                    settlement_values(each.settlement, each.snapshot) | asdict(audit.head)
                    for each, audit in zip(records, audits, strict=True)
                ]
                await connection.execute(insert(engine, settlements), rows)
                for table in (external_calls, state_changes):
                    entries = [row for audit in audits for part, new in audit.parts if part is table for row in new]
                    await connection.execute(insert(engine, table), entries)
    finally:
        await engine.dispose()


def _chunks(indexes: Iterable[int]) -> Iterator[Sequence[int]]:
    remaining = iter(indexes)
    while chunk := tuple(islice(remaining, _CHUNK)):
        yield chunk
