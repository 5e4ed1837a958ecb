"""Tables never break an amount, a number or a state: they drop empty columns, or become records."""
# ruff: noqa: SLF001 - the views are private functions of the commands

import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from cli.commands import batch_retry_views as batch_views
from cli.commands import exposure, keys, settlements
from cli.commands import reconciliation as reconcile
from cli.commands import settlement_views as views
from cli.drawing import draw, draw_row
from cli.rendering import Block, Table, cell
from contract.operations import Operation
from schemas.explanation import Explanation, NextStep, TimelineEntry
from schemas.settlement import Settlement
from settlement.batch_retry import (
    Batch,
    BatchItem,
    BatchPreview,
    BatchPreviewLine,
    BatchSelection,
    BatchState,
    ItemOutcome,
)
from settlement.calls import CallRecord, Rule, Verdict
from settlement.exposure import Age, CurrencyTotal, Exposure, ExposureBy, ExposureLine
from settlement.ids import CancelKind
from settlement.keys import ApiKey, Role
from settlement.operator_rules import RetryReason
from settlement.reconciliation import Finding, FindingKind, FindingStatus
from settlement.reply_record import ReplyRecord
from settlement.snapshot import ActionKind, OperatorAction, StateChange
from settlement.start import SubmittedBy
from settlement.states import CancelResult, Decision, Outcome, State
from stack.demo_orders import EXPIRED_ORDER
from stack.report import DemoResult, print_report
from tests.support.orders import settlement

WIDTHS = [60, 80, 120]
T0 = datetime(2026, 1, 5, 3, 10, tzinfo=UTC)
NUMBER = "N" * 48
SYSTEM = "s" * 32
WIDE = "\u7ed3\u7b97" * 24
AMOUNT = "9" * 20 + "." + "9" * 19
CANCEL = "CA1-" + "f" * 40
BIG = 2**63 - 1
STATE = max(State, key=len)
RULE = max(Rule, key=len)
UUID = "fd08be82-9520-5b71-ba3b-a1b8954bf484"
PROSE = "a sentence of the broker \u4e2d\u6587\u8bf4\u660e with CA1-" + "e" * 40 + " in it; " * 20
REPLY = ReplyRecord(code="C" * 64, msg=PROSE)
TOTALS = (CurrencyTotal(currency="USD", count=10_000, amount=AMOUNT),)
ORDER = settlement().adjust.model_copy(update={"requestUniqueNo": NUMBER, "amount": AMOUNT, "orderId": BIG})


def resource(number: str) -> Settlement:
    """Return a settlement whose fields have their maximum length."""
    verdict = Verdict(
        outcome=Outcome.UNKNOWN, rule=RULE, http_status=500, reply=ReplyRecord(code="C" * 64, msg=PROSE), detail=PROSE
    )
    call = CallRecord(
        operation=max(Operation, key=len),
        kind=CancelKind.CONFIRMING,
        request_unique_no=CANCEL,
        round=499,
        attempt=499,
        sent_at=T0,
        duration_ms=3000,
        verdict=verdict,
        cancel_result=max(CancelResult, key=len),
    )
    action = OperatorAction(
        kind=max(ActionKind, key=len), operator="o" * 64, reason_code="BROKER_RECOVERED", note=PROSE, at=T0,
        broker_reference=PROSE, key_id="0123456789abcdef",
    )  # fmt: skip
    return Settlement(
        request_unique_no=number,
        state=STATE,
        decision=Decision.PROCEED,
        cancel_result=max(CancelResult, key=len),
        cause=RULE,
        broker_message=None,
        audit_complete=True,
        reason=PROSE,
        trace="t" * 64,
        system="s" * 32,
        company_id=BIG,
        submitted_by=SubmittedBy(client="c" * 64, key_id="0123456789abcdef"),
        accepted_at=T0,
        decided_at=T0,
        updated_at=T0,
        order=ORDER,
        calls=(call,),
        operator_actions=(action,),
        needs_second_operator=False,
        resolution_proposal=None,
        state_changes=(StateChange(state=STATE, at=T0, reason=PROSE),),
        temporal_ui_url=None,
    )


BATCH = Batch(
    batch_id=UUID, state=BatchState.RUNNING, operator="o" * 64, key_id="0123456789abcdef",
    reason_code=RetryReason.BROKER_RECOVERED, note=PROSE,
    selection=BatchSelection(company_id=BIG, cause=RULE), rate_per_s=10, created_at=T0, ended_at=T0, count=10_000,
    totals=TOTALS, outcomes={ItemOutcome.RETRIED: 10_000}, states={STATE: 10_000},
)  # fmt: skip
ITEM = BatchItem(
    position=10_000, system=SYSTEM, request_unique_no=NUMBER, outcome=max(ItemOutcome, key=len), detail=PROSE, at=T0,
    state=STATE, cancel_result=max(CancelResult, key=len),
)  # fmt: skip
LINE = BatchPreviewLine(company_id=BIG, cause=RULE, currency="USD", count=10_000, amount=AMOUNT)
PREVIEW = BatchPreview(count=10_000, totals=TOTALS, lines=(LINE,), oldest_accepted_at=T0, newest_accepted_at=T0)
FINDING = Finding(
    finding_id=BIG, kind=max(FindingKind, key=len), system=SYSTEM, request_unique_no=NUMBER,
    status=FindingStatus.REPAIRED, detail=PROSE, repair=PROSE, found_at=T0, last_seen_at=T0, closed_at=T0,
    rounds=10_000,
)  # fmt: skip
KEY = ApiKey(
    key_id="0123456789abcdef", client="o" * 64, role=Role.OPERATOR, companies=tuple(range(100)), expires_at=T0,
    last_used_at=T0, created_at=T0, created_by="c" * 64, revoked_at=T0, revoked_by="r" * 64,
)  # fmt: skip
EXPLANATION = Explanation(
    system=SYSTEM, request_unique_no=NUMBER, state=STATE, decision=Decision.VOID, headline="h", money="m",
    timeline=(TimelineEntry(at=T0, text=PROSE),), next=NextStep(text="t", who="operator"), temporal_ui_url=None,
)  # fmt: skip


def exposure_view(by: ExposureBy) -> list[Block]:
    """Return the view of `settlement exposure`."""
    line = ExposureLine(
        currency="USD", company_id=BIG, state=STATE, age=Age.OLDER if by is ExposureBy.AGE else None, cause=RULE,
        count=10_000, amount=AMOUNT, oldest_accepted_at=T0,
    )  # fmt: skip
    return exposure._view(Exposure(as_of=T0, totals=TOTALS, lines=(line,)), by)


def table(columns: tuple[str, ...], row: Any) -> list[Block]:  # noqa: ANN401 - any row
    """Return a table of one row."""
    return [Table(columns, [row])]


VIEWS: dict[str, list[Block]] = {
    "list": table(views.LIST_COLUMNS, views.list_row(resource(NUMBER))),
    "list, wide": table(views.LIST_COLUMNS, views.list_row(resource(WIDE))),
    "show": views.full_view(resource(NUMBER)),
    "show, wide": views.full_view(resource(WIDE)),
    "explain": settlements._explanation_view(EXPLANATION)[1:2],
    "exposure by age": exposure_view(ExposureBy.AGE),
    "exposure by cause": exposure_view(ExposureBy.CAUSE),
    "batch": batch_views.batch_view(BATCH),
    "batches": table(batch_views.BATCH_COLUMNS, batch_views.batch_row(BATCH)),
    "batch report": table(batch_views.ITEM_COLUMNS, batch_views.item_row(ITEM)),
    "batch preview": batch_views.preview_view(PREVIEW),
    "findings": table(reconcile._COLUMNS, reconcile._row(FINDING)),
    "keys": table(keys._COLUMNS, keys._row(KEY)),
    "key": keys._view(KEY),
}
VALUES = [
    NUMBER,
    WIDE,
    AMOUNT,
    CANCEL,
    "CA1-" + "e" * 40,
    STATE,
    RULE,
    UUID,
    "o" * 64,
    str(BIG),
    cell(T0),
    *(each * 64 for each in "Ccrt"),
]


def drawn(blocks: list[Block], width: int) -> list[str]:
    """Return the lines that a terminal of this width receives."""
    console = Console(width=width, file=io.StringIO(), highlight=False)
    for block in blocks:
        draw(console, block)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", VIEWS)
def test_no_value_is_broken_and_nothing_else_is_wider_than_the_terminal(name: str, width: int) -> None:
    """A value that is wider than the terminal has its own line, so that it can be copied."""
    unlimited = "\n".join(drawn(VIEWS[name], 10_000))
    lines = drawn(VIEWS[name], width)
    for value in VALUES:
        if value in unlimited:
            assert any(value in line for line in lines), value
    too_wide = [line.strip() for line in lines if cell_len(line.rstrip()) > width]
    assert [line for line in too_wide if line not in VALUES] == []
    assert not any("\u2026" in line for line in lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_short_table_stays_a_table(width: int) -> None:
    lines = drawn([Table(("state", "amount", "note"), [("ABORTED", "10150.00", "x " * 200)])], width)
    assert any("ABORTED" in line and "10150.00" in line for line in lines)


def test_a_table_that_does_not_fit_loses_its_empty_columns_first() -> None:
    row = ("ORD-1", "ABORTED", None, "10150.00")
    columns = ("requestUniqueNo", "state", "c" * 40, "amount")
    assert any("ORD-1" in line and "10150.00" in line for line in drawn([Table(columns, [row])], 60))
    assert any("c" * 40 in line for line in drawn([Table(columns, [row])], 120))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_row_of_a_stream_is_wrapped_between_words_only(width: int) -> None:
    console = Console(width=width, file=io.StringIO(), highlight=False)
    draw_row(console, (1, T0, STATE, "PROCEED", "adjust UNKNOWN (CONNECTION_BROKEN) " * 5), (3, 24, 10, 8))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert all(cell_len(line.rstrip()) <= width for line in lines)
    assert sum("(CONNECTION_BROKEN)" in line for line in lines) >= 2
    assert "".join(lines).count("(CONNECTION_BROKEN)") == 5


@pytest.mark.parametrize("width", WIDTHS)
def test_the_tables_of_the_demo_are_drawn_the_same_way(width: int) -> None:
    settlement_json: dict[str, Any] = {
        "requestUniqueNo": "DEMO-235959-15",
        "state": "EXPIRED",
        "decision": "VOID",
        "cancelResult": None,
        "calls": [],
    }
    external_record = {"state": "NEVER_RECEIVED", "timesApplied": 0, "timesReversed": 0}
    console = Console(width=width, file=io.StringIO(), highlight=False)
    print_report(console, [DemoResult(EXPIRED_ORDER, settlement_json, external_record)] * 15, Decimal(0))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert sum("NEVER_RECEIVED" in line for line in lines) == 15
    assert all(cell_len(line.rstrip()) <= width for line in lines)
