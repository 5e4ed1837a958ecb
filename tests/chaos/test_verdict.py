"""A storm's verdict, report and picture, from evidence that is made up: what is broken is named."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from settlement.states import State
from simulator.book_records import AccountView, CancelView, NumberState, NumberView
from tests.chaos.callers import Callers, Placed
from tests.chaos.ground import LedgerKind
from tests.chaos.network_faults import NetworkFault
from tests.chaos.orders import orders, plain_order
from tests.chaos.picture import DOWN, RECOVERING, picture
from tests.chaos.report import in_words
from tests.chaos.storm import Placing, Storm, StormPlan
from tests.chaos.strikes import Strike, Struck, drawn_strikes
from tests.chaos.verdict import Verdict, judge, lost
from tests.chaos.witnesses import Witnesses
from tests.e2e.conftest import Answer, System
from tests.simulation.broken import Broken, Violation
from tests.simulation.evidence import Evidence

NOTHING = NumberView(
    request_unique_no="ORD-1",
    state=NumberState.NEVER_RECEIVED,
    burnt=False,
    times_applied=0,
    times_reversed=0,
    amount=None,
    currency=None,
    third_server_code=None,
    landing_due_at_ns=None,
    cancels=(),
)
CALM = Storm(
    plan=StormPlan(LedgerKind.SQLITE, 2, 1, 1.0, 7),
    struck=[Struck(Strike.KILL_API, 10, 12, 15), Struck(Strike.DISK_FULL, 20, 25, 27)],
    left_out=[Strike.KILL_POSTGRESQL],
    over_s=60,
    at_rest_s=70,
    placings=[Placing("ORD-1", 1), Placing("ORD-2", 2)],
    answers=Counter({201: 2, 0: 1}),
    network=Counter({NetworkFault.NONE: 5, NetworkFault.DRIP: 1}),
    operator_actions=0,
    verdict=Verdict({"ORD-1": State.SETTLED, "ORD-2": State.ABORTED}, 6, []),
)


def broken(*, accepted: bool, books: NumberView) -> list[Broken]:
    return [violation.name for violation in lost([(Placed(plain_order(), 0, accepted=accepted), books)])]


def test_what_nobody_was_told_of_and_nobody_received_is_not_lost() -> None:
    assert broken(accepted=False, books=NOTHING) == []


def test_an_order_that_was_accepted_and_is_not_in_the_ledger_is_lost() -> None:
    assert broken(accepted=True, books=NOTHING) == [Broken.LOST]


@pytest.mark.parametrize(
    "books",
    [
        NOTHING.model_copy(update={"state": NumberState.APPLIED}),
        NOTHING.model_copy(update={"cancels": (CancelView(request_unique_no="CA1-1", code="US_0000002"),)}),
    ],
)
def test_a_number_that_the_external_system_knows_and_the_ledger_does_not_is_lost(books: NumberView) -> None:
    assert broken(accepted=False, books=books) == [Broken.LOST]


class Nothing(Witnesses):
    """Witnesses of an empty system."""

    def __init__(self) -> None:
        """Need no one to ask."""

    async def evidence(self, every: Iterable[Placed]) -> tuple[list[Evidence], list[tuple[Placed, NumberView]]]:
        """Know nothing of any order."""
        return [], [(placed, NOTHING) for placed in every]

    async def accounts(self) -> list[AccountView]:
        """Have none."""
        return []

    async def open_findings(self) -> list[str]:
        """Have none."""
        return []


class Rude(System):
    """An API that gives these answers, one after the other."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)

    async def post(self, body: dict[str, Any], **_: object) -> Answer:  # noqa: ARG002 - a double has its original's parameters
        """Give the next answer."""
        return Answer(self._statuses.pop(0), CIMultiDictProxy(CIMultiDict()), {"decision": "PROCEED"})


@pytest.mark.parametrize(
    ("statuses", "names"),
    [
        ([500, 201], {Broken.ANSWERED_WRONGLY, Broken.LOST}),
        ([409, 201], {Broken.ANSWERED_WRONGLY, Broken.LOST}),
        ([503, 201], {Broken.LOST}),
    ],
)
async def test_an_answer_that_must_never_be_given_is_named(statuses: list[int], names: set[Broken]) -> None:
    callers = Callers(Rude(*statuses), random.Random(1))  # noqa: S311 - repeatable is the point
    assert (await callers.place(plain_order())).accepted
    assert {each.name for each in (await judge(Nothing(), callers)).violations} == names


def test_the_report_names_every_violation_and_every_recovery() -> None:
    violation = Violation(Broken.LOST, "ORD-3", "gone")
    stormy = replace(CALM, verdict=replace(CALM.verdict, violations=[violation]))
    report = in_words(stormy)
    assert f"VIOLATION {violation}" in report
    assert report.endswith("1 violations")
    assert "| kill API | 1 | 5.0 | 5.0 |" in report
    assert "Left out here: kill PostgreSQL." in report
    assert in_words(CALM).endswith("0 violations")


def test_a_strike_without_recovery_is_told_as_such() -> None:
    stormy = replace(CALM, struck=[Struck(Strike.KILL_API, 10, 12, None), Struck(Strike.KILL_API, 30, 31, 33)])
    assert "| kill API | 2 | 3.0 | NEVER |" in in_words(stormy)
    assert ">never</text>" in picture(stormy)


def test_the_picture_is_xml_with_a_bar_for_every_strike_and_every_order() -> None:
    root = ET.fromstring(picture(CALM))  # noqa: S314 - our own
    fills = Counter(each.get("fill") for each in root.iter("{http://www.w3.org/2000/svg}rect"))
    assert fills[DOWN] >= len(CALM.struck)
    assert fills[RECOVERING] == len(CALM.struck) + 1  # and the legend
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "kill API" in texts
    assert "2 settlements, 1 kills (SIGKILL), ledger on sqlite: 0 violations" in texts


def test_kills_are_spread_evenly_and_all_else_comes_once() -> None:
    drawn = Counter(drawn_strikes(random.Random(1), Strike, kills=12))  # noqa: S311 - repeatable is the point
    assert {drawn[strike] for strike in Strike if strike.is_kill} == {2}
    assert {drawn[strike] for strike in Strike if not strike.is_kill} == {1}


def test_the_same_seed_draws_the_same_orders() -> None:
    first, again = orders(7, faulty=0.5), orders(7, faulty=0.5)
    for _ in range(50):
        one, other = next(first).body, next(again).body
        new = {"requestUniqueNo": "", "requestTime": 0}
        assert one | new == other | new
