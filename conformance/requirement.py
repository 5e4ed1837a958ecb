"""Requirements, the outcome of checking one, and the registry of all."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from conformance.exchange import Exchange

if TYPE_CHECKING:
    from conformance.kit import Kit


class Outcome(StrEnum):
    """The outcome of one requirement."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    NOT_CHECKED = "NOT_CHECKED"
    """An option is missing, the time limit came first, or the endpoint was lost; the reason says which."""


class BrokenRequirement(Exception):  # noqa: N818 - a finding about the external system, not an error of the kit
    """The external system does not meet the requirement. The message says what was expected and what came."""


class NotChecked(Exception):  # noqa: N818 - a finding, not an error
    """The requirement cannot be checked. The message says why."""


@dataclass(frozen=True)
class Requirement:
    """One thing that an external system must do."""

    id: str
    """Such as "C-014"; it never changes."""
    title: str
    """What the external system must do, in one line."""
    rule: str
    """The rule, in one to three sentences."""
    why: str
    """What goes wrong with the money otherwise."""
    source: str
    """The clause of the contract, such as "docs/contract.md#dangling-actions"."""
    check: str
    """How the kit checks it."""
    needs: tuple[str, ...] = ()
    """Options without which it is NOT_CHECKED. Each is one option, or alternatives joined by " or "."""


@dataclass(frozen=True)
class Result:
    """The outcome of one requirement in one run."""

    requirement: Requirement
    outcome: Outcome
    reason: str
    """FAILED: what was expected and what came. NOT_CHECKED: why. PASSED: empty."""
    exchanges: tuple[Exchange, ...]
    """Every exchange of its check, in the order of their ends, without secrets."""
    elapsed_s: float


CheckFunction = Callable[["Kit"], Awaitable[None]]
"""Returns if the requirement is met; raises BrokenRequirement or NotChecked otherwise."""


@dataclass(frozen=True)
class Check:
    """A requirement with the function that checks it."""

    requirement: Requirement
    function: CheckFunction
    alone: bool
    """No other check runs at the same time."""


REQUIREMENTS: dict[str, Check] = {}
"""Every check by the id of its requirement. `conformance.checks` fills it when it is imported, in the order of ids."""


def requirement(  # noqa: PLR0913 - the fields of a requirement
    requirement_id: str,
    *,
    title: str,
    rule: str,
    why: str,
    source: str,
    check: str,
    needs: tuple[str, ...] = (),
    alone: bool = False,
) -> Callable[[CheckFunction], CheckFunction]:
    """Register the decorated function as the check of a requirement. Raises ValueError for an id that is taken."""

    def register(function: CheckFunction) -> CheckFunction:
        if requirement_id in REQUIREMENTS:
            message = f"{requirement_id} has two checks"
            raise ValueError(message)
        named = Requirement(requirement_id, title, rule, why, source, check, needs)
        REQUIREMENTS[requirement_id] = Check(named, function, alone)
        return function

    return register
