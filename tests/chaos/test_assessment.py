"""Assessment, report and chart of a chaos run, from made-up evidence: every violation is named."""

import json
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from settlement.states import State
from simulator.book_records import AccountView, CancelView, NumberState, NumberView
from tests.chaos.assessment import Assessment, assess, lost_orders
from tests.chaos.callers import Callers, PlacedOrder
from tests.chaos.chaos_run import ChaosPlan, ChaosResult, PostedOrder
from tests.chaos.chaos_stack import LedgerKind
from tests.chaos.evidence_collector import EvidenceCollector
from tests.chaos.network_faults import NetworkFault
from tests.chaos.orders import orders, plain_order
from tests.chaos.picture import DOWN, RECOVERING, chart
from tests.chaos.report import report_text
from tests.chaos.system_faults import InjectedFault, SystemFault, drawn_faults
from tests.e2e.conftest import Answer, System
from tests.simulation.evidence import NEVER_RECEIVED, Evidence
from tests.simulation.violation import Violation, ViolationKind

EXAMPLE = ChaosResult(
    plan=ChaosPlan(LedgerKind.SQLITE, 2, 1, 1.0, 7),
    injected=[InjectedFault(SystemFault.KILL_API, 10, 12, 15), InjectedFault(SystemFault.DISK_FULL, 20, 25, 27)],
    left_out=[SystemFault.KILL_POSTGRESQL],
    over_s=60,
    at_rest_s=70,
    posted_orders=[PostedOrder("ORD-1", 1), PostedOrder("ORD-2", 2)],
    answers=Counter({201: 2, 0: 1}),
    network=Counter({NetworkFault.NONE: 5, NetworkFault.DRIP: 1}),
    operator_actions=0,
    assessment=Assessment({"ORD-1": State.SETTLED, "ORD-2": State.ABORTED}, 6, []),
)


def kinds_of(*, accepted: bool, books: NumberView) -> list[ViolationKind]:
    return [violation.name for violation in lost_orders([(PlacedOrder(plain_order(), 0, accepted=accepted), books)])]


def test_an_order_that_was_neither_accepted_nor_received_is_not_lost() -> None:
    assert kinds_of(accepted=False, books=NEVER_RECEIVED) == []


def test_an_accepted_order_that_is_not_in_the_ledger_is_lost() -> None:
    assert kinds_of(accepted=True, books=NEVER_RECEIVED) == [ViolationKind.LOST]


@pytest.mark.parametrize(
    "books",
    [
        NEVER_RECEIVED.model_copy(update={"state": NumberState.APPLIED}),
        NEVER_RECEIVED.model_copy(update={"cancels": (CancelView(request_unique_no="CA1-1", code="US_0000002"),)}),
    ],
)
def test_a_number_that_only_the_external_system_knows_is_lost(books: NumberView) -> None:
    assert kinds_of(accepted=False, books=books) == [ViolationKind.LOST]


class EmptyEvidence(EvidenceCollector):
    """Finds nothing."""

    def __init__(self) -> None:
        """Need no connections."""

    async def evidence(
        self, every: Iterable[PlacedOrder]
    ) -> tuple[list[Evidence], list[tuple[PlacedOrder, NumberView]]]:
        """Return no evidence."""
        return [], [(placed, NEVER_RECEIVED) for placed in every]

    async def accounts(self) -> list[AccountView]:
        """Have none."""
        return []

    async def open_findings(self) -> list[str]:
        """Have none."""
        return []


class ScriptedApi(System):
    """An API with these responses, one after the other."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)

    async def post(self, body: dict[str, Any], **_: object) -> Answer:  # noqa: ARG002 - a double has its original's parameters
        """Return the next response."""
        return Answer(self._statuses.pop(0), CIMultiDictProxy(CIMultiDict()), {"decision": "PROCEED"})


@pytest.mark.parametrize(
    ("statuses", "names"),
    [
        ([500, 201], {ViolationKind.ANSWERED_WRONGLY, ViolationKind.LOST}),
        ([409, 201], {ViolationKind.ANSWERED_WRONGLY, ViolationKind.LOST}),
        ([503, 201], {ViolationKind.LOST}),
    ],
)
async def test_a_response_that_must_never_occur_is_named(statuses: list[int], names: set[ViolationKind]) -> None:
    callers = Callers(ScriptedApi(*statuses), random.Random(1))  # noqa: S311 - repeatable is the point
    assert (await callers.place(plain_order())).accepted
    assert {each.name for each in (await assess(EmptyEvidence(), callers)).violations} == names


def test_the_report_names_every_violation_and_every_recovery() -> None:
    violation = Violation(ViolationKind.LOST, "ORD-3", "gone")
    changed = replace(EXAMPLE, assessment=replace(EXAMPLE.assessment, violations=[violation]))
    report = report_text(changed)
    assert f"VIOLATION {violation}" in report
    assert report.endswith("1 violations")
    assert "| kill API | 1 | 5.0 | 5.0 |" in report
    assert "Left out here: kill PostgreSQL." in report
    assert report_text(EXAMPLE).endswith("0 violations")


def test_a_fault_without_recovery_is_reported_as_such() -> None:
    changed = replace(
        EXAMPLE,
        injected=[InjectedFault(SystemFault.KILL_API, 10, 12, None), InjectedFault(SystemFault.KILL_API, 30, 31, 33)],
    )
    assert "| kill API | 2 | 3.0 | NEVER |" in report_text(changed)
    assert ">never</text>" in chart(changed)


def test_the_chart_is_xml_with_a_bar_for_every_fault_and_every_order() -> None:
    root = ET.fromstring(chart(EXAMPLE))  # noqa: S314 - our own
    fills = Counter(each.get("fill") for each in root.iter("{http://www.w3.org/2000/svg}rect"))
    assert fills[DOWN] >= len(EXAMPLE.injected)
    assert fills[RECOVERING] == len(EXAMPLE.injected) + 1  # and the legend
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "kill API" in texts
    assert "2 settlements, 1 kills (SIGKILL), ledger on sqlite: 0 violations" in texts


def test_kills_are_spread_evenly_and_other_faults_occur_once() -> None:
    drawn = Counter(drawn_faults(random.Random(1), SystemFault, kills=12))  # noqa: S311 - repeatable is the point
    assert {drawn[fault] for fault in SystemFault if fault.is_kill} == {2}
    assert {drawn[fault] for fault in SystemFault if not fault.is_kill} == {1}


def test_no_order_makes_the_books_contradict_the_replies() -> None:
    """Calls alone cannot reveal that, so it would be a violation that is not ours."""
    drawn = [
        json.loads(each.body["metadata"] or "{}").get("simulate", {}) for each in islice(orders(7, faulty=1), 2000)
    ]
    asked_for = {(each.get("adjust"), each.get("cancel")) for each in drawn}
    adjusts, cancels = ({pair[at] for pair in asked_for} for at in (0, 1))
    assert {"hang_applied", "land_late"} <= adjusts
    assert "land_late_unguarded" not in adjusts
    assert {"done_but_lost", "in_process"} <= cancels
    assert not {"not_reversed", "reversed_twice"} & cancels


def test_the_same_seed_draws_the_same_orders() -> None:
    first, again = orders(7, faulty=0.5), orders(7, faulty=0.5)
    for _ in range(50):
        one, other = next(first).body, next(again).body
        new = {"requestUniqueNo": "", "requestTime": 0}
        assert one | new == other | new
