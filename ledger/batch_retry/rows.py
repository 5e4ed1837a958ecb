"""Converts between the models and the rows of batches. Pure functions, the same for both databases."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic.alias_generators import to_camel
from sqlalchemy import Row

from ledger.exposure import currency_totals, exact_sum
from ledger.rows import Values
from settlement.batch_retry import (
    Batch,
    BatchItem,
    BatchPreviewLine,
    BatchRetryRequest,
    BatchSelection,
    BatchState,
    ItemOutcome,
)
from settlement.calls import Rule
from settlement.states import State


def batch_values(batch_id: str, request: BatchRetryRequest, operator: str, key: str | None, at: datetime) -> Values:
    """Return the row of a new batch."""
    return {
        "idempotency_key": key,
        "expected_count": request.expected_count,
        "batch_id": batch_id,
        "state": BatchState.RUNNING.value,
        "operator": operator,
        "reason_code": request.reason_code.value,
        "note": request.note,
        "selection": request.selection.model_dump(mode="json"),
        "company_id": request.selection.company_id,
        "sums_max": request.sums_max,
        "rate_per_s": request.rate_per_s,
        "created_at": at,
    }


def differences(row: Row[Any], request: BatchRetryRequest) -> tuple[str, ...]:
    """Return the names of the request's fields that differ from the request with which a batch was created."""
    values = batch_values(row.batch_id, request, row.operator, row.idempotency_key, row.created_at)
    names = {name: field.alias or to_camel(name) for name, field in BatchRetryRequest.model_fields.items()}
    return tuple(alias for name, alias in names.items() if row._mapping[name] != values[name])  # noqa: SLF001 - SQLAlchemy's documented name


def preview_lines(rows: Iterable[Any]) -> tuple[BatchPreviewLine, ...]:
    """Return the lines of a preview by company (null first), cause and currency."""
    groups: defaultdict[tuple[int | None, str | None, str], list[tuple[str, int]]] = defaultdict(list)
    for row in rows:
        groups[row.company_id, row.last_rule, row.currency].append((row.amount, row.row_count))
    ordered = sorted(groups.items(), key=lambda each: (each[0][0] is not None, each[0][0] or 0, str(each[0][1:])))
    return tuple(
        BatchPreviewLine(
            company_id=company_id,
            cause=Rule(rule) if rule else None,
            currency=currency,
            count=sum(count for _, count in amounts),
            amount=exact_sum(amounts),
        )
        for (company_id, rule, currency), amounts in ordered
    )


def to_batch(row: Row[Any], counts: Iterable[Row[Any]]) -> Batch:
    """Return a batch from its row and the counts of its items by outcome, state, currency and amount."""
    outcomes: Counter[ItemOutcome] = Counter()
    states: Counter[State] = Counter()
    amounts: list[tuple[str, str, int]] = []
    for count in counts:
        outcomes[ItemOutcome(count.outcome)] += count.row_count
        states[State(count.state)] += count.row_count
        amounts.append((count.currency, count.amount, count.row_count))
    fields = dict(row._mapping) | {"selection": BatchSelection.model_validate(row.selection)}  # noqa: SLF001 - SQLAlchemy's documented name
    totals = currency_totals(amounts)
    return Batch(**fields, count=outcomes.total(), totals=totals, outcomes=dict(outcomes), states=dict(states))


def to_item(row: Row[Any]) -> BatchItem:
    """Return an item from its row, which also has the settlement's state and cancel result."""
    settlement = row.settlement_id
    return BatchItem(**dict(row._mapping), system=settlement.system, request_unique_no=settlement.number)  # noqa: SLF001 - SQLAlchemy's documented name
