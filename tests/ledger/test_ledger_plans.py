"""Query plans: no registered query reads all rows of a table that grows, on either database."""

import shutil
from collections.abc import AsyncIterator, Container, Iterable
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Integer, Table, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import SettlementFilter, open_engine
from ledger.audit_writes import first_audit
from ledger.broker_statement_tables import broker_statement_differences, broker_statement_lines, broker_statements
from ledger.external_system_tables import system_actions
from ledger.queries import QUERIES
from ledger.queries.settlements import page
from ledger.rows import settlement_values
from ledger.security_event_tables import security_events
from ledger.tables import (
    api_keys,
    batch_items,
    batches,
    finding_counts,
    findings,
    order_sums,
    reconciliation_rounds,
    settlements,
    take_up_allowances,
    take_up_counts,
)
from settlement.batch_retry import BatchState, ItemOutcome
from settlement.calls import Rule
from settlement.reconciliation import FindingKind, FindingStatus
from settlement.states import CancelResult, State
from tests.ledger.samples import NOON, accepted, resolved
from tests.support.orders import id_of, new_number, settlement
from tests.support.plans import faults, plan_of

COMMON = {
    "state": State.SETTLED.value,
    "order_id": 1,
    "user_name": "u-1",
    "company_id": 1,
    "system": "default",
    "currency": "USD",
    "last_rule": Rule.CODE_SUCCESS.value,
}
RARE: tuple[dict[str, Any], ...] = (
    {"state": "ABORTED", "in_doubt": True},
    {"state": "CANCELLING"},
    {"state": "ADJUSTING"},
    {"state": "RESOLVED"},
    {"state": "EXPIRED"},
    {"state": "CANCELLED", "cancel_result": CancelResult.REVERSED.value},
    {"order_id": 17},
    {"user_name": "rare"},
    {"company_id": 17},
    {"system": "rare"},
    {"currency": "ISK"},
    {"last_rule": Rule.HTTP_STATUS.value},
)
"""Of each a few, among thousands of ordinary settlements that have ended."""
MANY = {"postgresql": 8_000, "sqlite": 80}
"""Rows by backend: PostgreSQL plans by its statistics, SQLite without any."""
ALL_FILTERS = len(fields(SettlementFilter)) - 2
"""The number of filters beside the state and the scope."""
BATCH = "2f1c6f52-6d0e-4b52-9f0e-6c1f1f6f3f0b"


def at(index: int) -> Any:  # noqa: ANN401 - a moment
    return NOON + timedelta(seconds=index)


def settled(many: int) -> Iterable[dict[str, Any]]:
    row, rare = settlement_values(settlement(), accepted()) | COMMON, list(RARE) * 3
    for index in range(many):
        strange = rare[index // 200] if index % 200 == 0 and index // 200 < len(rare) else {}
        yield (
            row
            | {"settlement_id": id_of(f"N-{index}"), "request_unique_no": f"N-{index}", "accepted_at": at(index)}
            | strange
        )


def parts_of_settlements(many: int) -> Iterable[tuple[Table, Iterable[dict[str, Any]]]]:
    numbers = [{"settlement_id": id_of(f"N-{index}"), "recorded_at": at(index)} for index in range(many // 2)]
    for table, rows in first_audit(id_of("N"), resolved(1)).parts:
        yield table, [{**row, **number} for number in numbers for row in rows]


def operator_rows(many: int) -> Iterable[tuple[Table, Iterable[dict[str, Any]]]]:
    key = {"role": "READ", "companies": [1], "record_hash": "h", "slot": 1, "created_by": "o", "revoked_by": None}
    yield (
        api_keys,
        (
            key | {"key_id": f"k-{i}", "client": f"c-{i}", "created_at": at(i), "revoked_at": at(i) if i > 9 else None}
            for i in range(many // 2)
        ),
    )
    batch = {"operator": "o", "reason_code": "R", "note": "", "selection": {}, "expected_count": 60, "rate_per_s": 1.0}
    ids = [BATCH, *(f"{i:036}" for i in range(many // 4))]
    states = {BATCH: BatchState.RUNNING.value}
    action = {"kind": "PAUSE", "operator": "o", "note": "", "at": NOON}
    yield system_actions, (action | {"system": f"s-{i % 9}" if i > 9 else "alpha"} for i in range(many // 2))
    event = {"client": None, "key_id": None, "subject": "api", "detail": "", "row_hash": ""}
    yield (
        security_events,
        (
            event | {"kind": "LIMITS_CHANGED" if i % 99 == 0 else "KEYS_REFUSED", "at": NOON + timedelta(seconds=i)}
            for i in range(many // 2)
        ),
    )
    yield (
        batches,
        (
            batch
            | {
                "batch_id": each,
                "company_id": i % 500,
                "created_at": at(i),
                "state": states.get(each, "DONE"),
                "ended_at": None,
            }
            for i, each in enumerate(ids)
        ),
    )
    item = {"detail": "", "outcome": ItemOutcome.RETRIED.value, "at": NOON}
    yield (
        batch_items,
        (
            item
            | {"batch_id": each, "position": position, "settlement_id": id_of(f"N-{position}")}
            | ({"outcome": ItemOutcome.PENDING.value} if each == BATCH and position > 40 else {})
            for each in ids[:200]
            for position in range(1, 61)
        ),
    )


def reconciliation_rows(many: int) -> Iterable[tuple[Table, Iterable[dict[str, Any]]]]:
    finding = {"detail": "", "repair": "", "found_at": NOON, "last_seen_at": NOON, "rounds": 1, "sightings": 1}
    kinds = list(FindingKind)
    yield (
        findings,
        (
            finding
            | {
                "kind": kinds[i % len(kinds)].value,
                "settlement_id": id_of(f"N-{i}"),
                "company_id": 1 if i % 400 else 17,
            }
            | {"status": (FindingStatus.OPEN if i % 500 == 0 else FindingStatus.REPAIRED).value}
            for i in range(many)
        ),
    )
    yield order_sums, ({"limit_name": f"limit-{i}", "currency": "USD", "minutes": {}} for i in range(many // 2))
    yield take_up_counts, ({"round_started_at": at(i), "used": 1} for i in range(many // 2))
    allowance = {"count": 1, "used": 1, "operator": "o", "note": "", "allowed_at": NOON}
    yield take_up_allowances, (allowance | {"expires_at": at(i - many)} for i in range(many // 2))
    yield finding_counts, ({"kind": kind.value, "total": 9} for kind in kinds)
    counts = dict.fromkeys(("ledger_checked", "temporal_checked", "found", "repaired"), 0)
    yield (
        reconciliation_rounds,
        (
            counts
            | {"round_id": f"r-{i}", "started_at": at(i), "ended_at": at(i), "listed_to": at(i), "complete": True}
            for i in range(many // 2)
        ),
    )


def statement_rows(many: int) -> Iterable[tuple[Table, Iterable[dict[str, Any]]]]:
    columns = [each.name for each in broker_statements.columns if isinstance(each.type, Integer)]
    times = {"starts_at": NOON, "ends_at": NOON, "created_at": NOON, "updated_at": NOON}
    statement = dict.fromkeys(columns, 0) | times | {"digest": "d", "system": "s", "operator": "o", "number_after": ""}
    yield (
        broker_statements,
        (statement | {"statement_id": i, "state": "RECEIVING" if i == 17 else "DONE"} for i in range(1, many // 2)),
    )
    booked = {"amount": "12.50", "currency": "USD"}
    line = booked | {"kind": "APPLIED", "at_ms": 1_767_571_200_000}
    yield (
        broker_statement_lines,
        (
            line | {"statement_id": each, "number": f"N-{i}", "position": i}
            for each in (16, 17, 18)
            for i in range(many // 2)
        ),
    )
    difference = booked | {"kind": FindingKind.STATEMENT_UNKNOWN_NUMBER.value, "detail": ""}
    yield (
        broker_statement_differences,
        (difference | {"statement_id": i, "number": f"N-{j}"} for i in range(1, many // 20) for j in range(10)),
    )


@pytest.fixture(scope="module", params=list(MANY))
def own_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a migrated database for the tests of this module."""
    if request.param == "sqlite":
        copy = tmp_path_factory.mktemp("full") / "ledger.db"
        return f"sqlite:///{shutil.copy(request.getfixturevalue('sqlite_template'), copy)}"
    template = request.getfixturevalue("postgres_template")
    return str(request.getfixturevalue("postgres").create_database(new_number("full"), template=template))


@pytest.fixture(scope="module")
async def full(own_url: str) -> AsyncIterator[AsyncEngine]:
    """Fill every table that grows with many rows, nearly all of them ended or closed. The tests only read."""
    engine = open_engine(own_url)
    many = MANY[engine.dialect.name]
    async with engine.begin() as connection:
        for table, rows in (
            (settlements, settled(many)),
            *parts_of_settlements(many),
            *operator_rows(many),
            *reconciliation_rows(many),
            *statement_rows(many),
        ):
            await connection.execute(insert(table), list(rows))
        if engine.dialect.name == "postgresql":
            # As it does by itself; SQLite gathers no figures unless it is told to, and nothing tells it.
            await connection.execute(text("ANALYZE"))
    yield engine
    await engine.dispose()


def filters_of(sample: tuple[Any, ...]) -> int:
    """Return how many filters besides the state and the scope a sample of arguments combines."""
    chosen = [asdict(part) for part in sample if isinstance(part, SettlementFilter)]
    return sum(value is not None for one in chosen for name, value in one.items() if name not in {"state", "scope"})


async def scans(engine: AsyncEngine, counts: Container[int]) -> dict[tuple[str, str], list[str]]:
    """Return what reads too much in the plan of each query, for each sample whose number of filters is in `counts`."""
    found = {}
    async with engine.connect() as connection:
        for name, query in QUERIES.items():
            for sample in query.samples:
                if filters_of(sample) not in counts:
                    continue
                statement = query.build(*sample)
                if wrong := faults(await plan_of(connection, statement), statement):
                    found[name, str(sample)] = wrong
    return found


async def test_no_query_scans_a_table_that_grows(full: AsyncEngine) -> None:
    """The registry contains every query of the product; `test_statements` checks that.

    Every pair of filters, and all filters together. `make prove` combines them in every way.
    """
    assert await scans(full, {0, 1, 2, ALL_FILTERS}) == {}


@pytest.mark.prove("plans")
async def test_no_combination_of_filters_scans_a_table_that_grows(full: AsyncEngine) -> None:
    assert await scans(full, range(3, ALL_FILTERS)) == {}


async def test_a_full_scan_is_detected(full: AsyncEngine) -> None:
    """Proves that the check can fail: each of these queries scans a table or a whole index."""
    by = settlements.c
    statements = [
        select(by.state, func.count()).where(by.state.not_in(["SETTLED", "EXPIRED"])).group_by(by.state),
        select(findings.c.kind, func.count()).group_by(findings.c.kind),
        select(settlements).where(by.reason == "x").order_by(by.accepted_at.desc()).limit(51),
        select(batches).where(batches.c.note == "x").order_by(batches.c.created_at).limit(10),
        select(func.count()).select_from(settlements),
    ]
    async with full.connect() as connection:
        for statement in statements:
            assert faults(await plan_of(connection, statement), statement), str(statement)


@pytest.mark.parametrize("own_url", ["sqlite"], indirect=True)
async def test_sqlite_begins_with_the_most_selective_filter(full: AsyncEngine) -> None:
    """SQLite has no statistics, so without help it could scan all settlements for one order."""
    everything: dict[str, Any] = {"user_name": "u-1", "company_id": 1, "currency": "USD", "cause": Rule.CODE_SUCCESS}
    expected = {
        "order_id": SettlementFilter(order_id=17, state=State.ABORTED, **everything),
        "state_accepted_at": SettlementFilter(state=State.ABORTED, **everything),
        "user_name_accepted_at": SettlementFilter(state=State.SETTLED, **everything),
        "company_id_accepted_at_settlement_id": SettlementFilter(state=State.SETTLED, company_id=1, currency="USD"),
        "currency_accepted_at": SettlementFilter(state=State.SETTLED, currency="USD"),
        "void_of_company_id": SettlementFilter(state=State.EXPIRED, company_id=1, system="default", currency="USD"),
        "void_of_system": SettlementFilter(state=State.RESOLVED, system="default", currency="USD"),
        "void_of_currency": SettlementFilter(state=State.CANCELLED, currency="USD"),
    }
    async with full.connect() as connection:
        for index, where in expected.items():
            for after in (None, (NOON, id_of("N-1"))):
                plan = await plan_of(connection, page(where, after, 51))
                assert any(f"USING INDEX ix_settlements_{index} " in line for line in plan), (index, plan)
