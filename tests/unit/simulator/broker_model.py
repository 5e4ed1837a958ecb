"""What the contract and docs/simulator.md promise of a broker, in as few lines as they take."""

from collections import defaultdict
from dataclasses import dataclass, field

UNSEEN, RECEIVED, APPLIED = "the books learn of nothing", "received, not applied", "applied"
ADJUST_FAULTS = {
    None: APPLIED,
    "reject": RECEIVED,
    "hang": RECEIVED,
    "hang_applied": APPLIED,
    "never_received": UNSEEN,
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
"""What docs/simulator.md promises of each."""
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
LANDING = {"land_late": False, "land_late_unguarded": True}
"""Whether an adjust that comes late takes effect after its cancel."""
SILENT = {"hang", "hang_applied", "never_received", "reset", "reset_applied", "cut", "done_but_lost", "done_but_reset"}
NOTHING, GARBLED = "no reply", "a reply that is none of table 4, or contradicts itself"


@dataclass
class Known:
    """What must be true of one number."""

    first: str | None = None
    """Amount of the adjust that was received."""
    code: str = ""
    applied: int = 0
    reversed: int = 0
    burnt: bool = False
    fault: str | None = None
    fault_left: int = 0
    sent: int = 0


@dataclass
class PromisedBroker:
    """Every number that a client has named, and every cancel that was carried out."""

    numbers: dict[str, Known] = field(default_factory=lambda: defaultdict(Known))
    cancels: dict[str, tuple[object, str]] = field(default_factory=dict)

    def adjust(self, number: str, amount: str, fault: str | None) -> str:
        """Receive an adjust; return the code that the books give it."""
        known = self.numbers[number]
        known.sent += 1
        effect = ADJUST_FAULTS[fault]
        if effect == UNSEEN:
            return NOTHING
        if known.first is not None:
            return known.code if known.first == amount else "US_0000409"
        known.first = amount
        known.applied = int(effect == APPLIED and not known.burnt)
        known.code = "US_0000403" if known.burnt else "0" if known.applied else "US_0000402"
        return known.code

    def land(self, number: str, amount: str, fault: str) -> None:
        """Receive an adjust some time after it was sent."""
        known = self.numbers[number]
        known.sent += 1
        if known.first is None:
            known.first = amount
            known.applied = int(LANDING[fault] or not known.burnt)
            known.code = "0" if known.applied else "US_0000403"

    def cancel(self, name: str, number: str, amount: str | None, request: object) -> tuple[str, str | None]:
        """Receive a cancel; return its code and the fault that it meets. No amount: the deprecated operation."""
        known = self.numbers[number]
        known.sent += 1
        if self.is_reused(name, request):
            return "US_0000409", None
        fault = known.fault if known.fault_left else None
        known.fault_left -= 1 if fault else 0
        if fault and not CANCEL_FAULTS[fault]:
            return "US_0000503", fault
        if name not in self.cancels:
            if known.first and amount not in {None, known.first}:
                return "US_0000422", fault
            self.cancels[name] = (request, self._undo(known))
        return self.cancels[name][1], fault

    def is_reused(self, name: str, request: object) -> bool:
        """Tell whether another cancel was carried out under a cancel's number."""
        return name in self.cancels and self.cancels[name][0] != request

    def _undo(self, known: Known) -> str:
        if known.first is None:
            known.burnt = True
            return "US_0000002"
        known.reversed = known.applied
        return "0" if known.applied else "US_0000001"


def looks(code: str, fault: str | None) -> str:
    """Return what a client sees of a code under a fault."""
    if fault in {None, "reject", "error_code"}:
        return code
    return NOTHING if fault in SILENT else GARBLED
