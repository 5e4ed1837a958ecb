"""Two ledgers of different sizes differ only in their history."""

from collections import Counter
from datetime import UTC, datetime

from bench.past_settlements import COMPANIES, DAY_COUNT, Past
from config.settings import Settings
from settlement.states import State

DAY_ENDS_AT = datetime(2026, 1, 6, tzinfo=UTC)
SMALL, LARGE = (Past(count, DAY_ENDS_AT, Settings().policy) for count in (DAY_COUNT, 3 * DAY_COUNT))


def test_the_statement_of_the_last_day_is_the_same_at_every_size() -> None:
    lines = list(SMALL.statement_lines())
    assert len(lines) == DAY_COUNT
    assert lines == list(LARGE.statement_lines())
    assert all(SMALL.day_starts_at < each.at < DAY_ENDS_AT for each in lines)


def test_only_the_last_day_has_settlements_of_the_day() -> None:
    times = [LARGE.accepted_at(index) for index in range(LARGE.count)]
    assert times == sorted(times, reverse=True)
    assert sum(each >= LARGE.day_starts_at for each in times) == DAY_COUNT


def test_every_company_has_settlements_of_both_ends() -> None:
    records = [SMALL.record(index) for index in range(SMALL.count)]
    found = Counter((each.settlement.company_id, each.snapshot.state) for each in records)
    assert set(found) == {
        (company, state) for company in range(1, COMPANIES + 1) for state in (State.SETTLED, State.CANCELLED)
    }
    assert len({each.settlement.settlement_id for each in records}) == SMALL.count
