"""The checks of C-001 to C-033: each fault of an external system fails its own requirement, and no other.

So a broker's engineer sees one finding for one mistake. The external systems are imagined: nothing is sent.
"""

import pytest

from conformance.checks import REQUIREMENTS
from conformance.exchange import Exchange
from conformance.imagined import ImaginedSystem
from conformance.kit import Kit
from conformance.orders import Orders
from conformance.requirement import BrokenRequirement, NotChecked
from conformance.target import BalanceSource, Hook, Target
from tests.conformance import faults_of_adjusts as adjusts
from tests.conformance import faults_of_replies as replies
from tests.conformance import faults_of_validation as validation

ALL = [each for each in REQUIREMENTS if each <= "C-033"]
URL = "http://broker.example"
TARGET = Target(URL, load_s=1, company=7, refused=Hook(metadata='{"reject":true}'))
WITH_BALANCE = Target(URL, load_s=1, balance=BalanceSource(f"{URL}/balances/{{thirdServerCode}}/{{currency}}", "/now"))
FAULTS: list[tuple[str, type[ImaginedSystem]]] = [
    ("C-001", replies.IsSlow),
    ("C-002", replies.HasNumericCodes),
    ("C-002", replies.HasTextsForTimes),
    ("C-003", replies.RefusesUnderOtherStatuses),
    ("C-004", replies.HasByteOrderMarks),
    ("C-004", replies.RepeatsNames),
    ("C-004", replies.WritesLatin1),
    ("C-005", replies.HasListsForData),
    ("C-006", replies.Compresses),
    ("C-007", replies.SaysAlwaysOk),
    ("C-008", replies.HasOneTrace),
    ("C-008", replies.HasNoTrace),
    ("C-009", replies.MixesTraces),
    ("C-010", adjusts.CannotLose),
    ("C-011", adjusts.KnowsNoStopLoss),
    ("C-012", adjusts.RefusesRepeats),
    ("C-012", adjusts.AppliesRepeats),
    ("C-013", adjusts.ChecksBeforeItWaits),
    ("C-014", adjusts.ForgetsNumbers),
    ("C-015", adjusts.KnowsTraces),
    ("C-015", adjusts.KnowsNumbersWithTraces),
    ("C-016", adjusts.TrustsNumbers),
    ("C-016", adjusts.IgnoresOrders),
    ("C-017", adjusts.ComparesSpellings),
    ("C-017", adjusts.ComparesTimes),
    ("C-020", validation.HasDefaults),
    ("C-021", validation.ConvertsTypes),
    ("C-022", validation.AcceptsSigns),
    ("C-023", validation.IgnoresCase),
    ("C-024", validation.ReadsNumbers),
    ("C-024", validation.TrimsAmounts),
    ("C-025", validation.Rounds),
    ("C-026", validation.CutsNumbers),
    ("C-027", validation.ReadsSeconds),
    ("C-027", validation.IgnoresTimestamps),
    ("C-028", validation.HasHomeCurrency),
    ("C-029", validation.NeedsNoTrace),
    ("C-029", validation.ReadsTheFirstObject),
    ("C-030", validation.RefusesUnknownFields),
    ("C-031", validation.HasFloatOrders),
    ("C-032", validation.IgnoresCaseOfNumbers),
    ("C-033", validation.HasFloatAmounts),
]


async def failures(system: ImaginedSystem) -> dict[str, str]:
    """Return the reasons of the requirements that fail, by id."""
    failed = {}
    for each in ALL:
        try:
            await REQUIREMENTS[each].function(kit_of(system, each))
        except BrokenRequirement as broken:
            failed[each] = str(broken)
        except NotChecked:
            continue
    return failed


def kit_of(system: ImaginedSystem, requirement_id: str) -> Kit:
    """Return the kit of a check; its pauses end at once, and move the clock of a system that has one."""

    async def pause(seconds: float) -> None:
        if isinstance(system, adjusts.ForgetsNumbers):
            system.clock += seconds if requirement_id == "C-014" else 0

    def record(exchange: Exchange) -> None:
        assert exchange.curl.startswith(("curl ", "printf "))

    return Kit(system.target, Orders(requirement_id, 1, system.target.account), system.transport, record, pause)


@pytest.mark.parametrize("target", [TARGET, WITH_BALANCE])
async def test_correct_system_meets_every_requirement(target: Target) -> None:
    assert await failures(ImaginedSystem(target)) == {}


@pytest.mark.parametrize(("requirement_id", "system"), FAULTS)
async def test_each_fault_fails_its_own_requirement_only(requirement_id: str, system: type[ImaginedSystem]) -> None:
    failed = await failures(system(WITH_BALANCE))
    assert list(failed) == [requirement_id], failed
    assert "came: " in failed[requirement_id]


def test_every_requirement_has_a_fault() -> None:
    assert [each for each in ALL if each not in dict(FAULTS)] == []
