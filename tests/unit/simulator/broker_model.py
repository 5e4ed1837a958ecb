"""A small model of a broker, written from the contract and docs/simulator.md; tests compare the simulator with it."""

from collections import defaultdict
from dataclasses import dataclass, field

IGNORED, RECEIVED, APPLIED = "the books do not change", "received, not applied", "applied"
ADJUST_FAULTS = {
    None: APPLIED,
    "reject": RECEIVED,
    "hang": RECEIVED,
    "hang_applied": APPLIED,
    "never_received": IGNORED,
    "http_500": RECEIVED,
    "http_500_applied": APPLIED,
    "not_json": APPLIED,
    "html_page": APPLIED,
    "contradictory": APPLIED,
    "wrong_type": APPLIED,
    "reset": RECEIVED,
    "reset_applied": APPLIED,
    "cut": APPLIED,
    "redirect": RECEIVED,
}
"""The effect of each fault on the books, by docs/simulator.md."""
CANCEL_FAULTS = {
    "fail": False,
    "error_code": False,
    "hang": False,
    "not_json": False,
    "contradictory": False,
    "reset": False,
    "done_but_lost": True,
    "done_but_reset": True,
}
"""Whether the cancel is carried out."""
APPLIED_AFTER_CANCEL = {"land_late": False, "land_late_unguarded": True}
"""Whether a delayed adjust is applied if its cancel was received first."""
NO_REPLY_FAULTS = {
    "hang",
    "hang_applied",
    "never_received",
    "reset",
    "reset_applied",
    "cut",
    "done_but_lost",
    "done_but_reset",
}
NO_REPLY, UNUSABLE = "no reply", "a reply that is not one of table 4, or contradicts itself"


@dataclass
class ExpectedNumber:
    """The expected state of one number."""

    first: str | None = None
    """Amount of the adjust that was received first."""
    code: str = ""
    applied: int = 0
    reversed: int = 0
    burnt: bool = False
    fault: str | None = None
    fault_left: int = 0
    sent: int = 0


@dataclass
class BrokerModel:
    """The expected state of every number that a client has named, and every cancel that was carried out."""

    numbers: dict[str, ExpectedNumber] = field(default_factory=lambda: defaultdict(ExpectedNumber))
    cancels: dict[str, tuple[object, str]] = field(default_factory=dict)

    def adjust(self, number: str, amount: str, fault: str | None) -> str:
        """Receive an adjust; return the code of its result."""
        expected = self.numbers[number]
        expected.sent += 1
        effect = ADJUST_FAULTS[fault]
        if effect == IGNORED:
            return NO_REPLY
        if expected.first is not None:
            return expected.code if expected.first == amount else "US_0000409"
        expected.first = amount
        expected.applied = int(effect == APPLIED and not expected.burnt)
        expected.code = "US_0000403" if expected.burnt else "0" if expected.applied else "US_0000402"
        return expected.code

    def adjust_late(self, number: str, amount: str, fault: str) -> None:
        """Receive a delayed adjust."""
        expected = self.numbers[number]
        expected.sent += 1
        if expected.first is None:
            expected.first = amount
            expected.applied = int(APPLIED_AFTER_CANCEL[fault] or not expected.burnt)
            expected.code = "0" if expected.applied else "US_0000403"

    def cancel(self, name: str, number: str, amount: str | None, request: object) -> tuple[str, str | None]:
        """Receive a cancel; return its code and its fault. Without an amount it is the deprecated operation."""
        expected = self.numbers[number]
        expected.sent += 1
        if self.is_reused(name, request):
            return "US_0000409", None
        fault = expected.fault if expected.fault_left else None
        expected.fault_left -= 1 if fault else 0
        if fault and not CANCEL_FAULTS[fault]:
            return "US_0000503", fault
        if name not in self.cancels:
            if expected.first and amount not in {None, expected.first}:
                return "US_0000422", fault
            self.cancels[name] = (request, self._reverse(expected))
        return self.cancels[name][1], fault

    def is_reused(self, name: str, request: object) -> bool:
        """Tell whether another cancel was carried out under a cancel's number."""
        return name in self.cancels and self.cancels[name][0] != request

    def _reverse(self, expected: ExpectedNumber) -> str:
        if expected.first is None:
            expected.burnt = True
            return "US_0000002"
        expected.reversed = expected.applied
        return "0" if expected.applied else "US_0000001"


def seen_by_client(code: str, fault: str | None) -> str:
    """Return what a client sees of a reply with this code under this fault."""
    if fault in {None, "reject", "error_code"}:
        return code
    return NO_REPLY if fault in NO_REPLY_FAULTS else UNUSABLE
