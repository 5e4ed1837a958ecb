"""What befalls one settlement from its acceptance to its end: everything is decided before it starts."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from contract.operations import Operation
from settlement.calls import CancelOperation
from settlement.policy import SettlementPolicy
from tests.simulation.call_outcomes import HONEST, Fate

POLICY = SettlementPolicy(
    cancel_max_attempts=3,
    cancel_initial_interval_s=1,
    cancel_max_interval_s=4,
    confirm_after_s=30,
    expire_after_s=86_400,
)


class Act(StrEnum):
    """What people, or a clumsy machine, do to a settlement meanwhile."""

    STOP = "STOP"
    """Temporal's workflow cancellation."""
    STOP_TWICE = "STOP_TWICE"
    RETRY = "RETRY"
    """The operator's `retry_cancel_adjust`; refused unless ABORTED."""
    RESOLVE = "RESOLVE"
    """The operator's `resolve`; refused unless ABORTED."""
    LOSE = "LOSE"
    """Its workflow is ended from outside, and reconciliation takes it up."""


class Where(StrEnum):
    """What is under way when an act falls."""

    START = "START"
    """Started, and no worker has seen it."""
    CALL = "CALL"
    """During the nth attempt of an external call; the adjust is the 0th."""
    WRITE = "WRITE"
    """During the nth attempt of a ledger write; one of them always falls into the quarantine's beginning."""
    ABORT = "ABORT"
    """When the ledger has heard for the nth time that it is ABORTED."""


class Moment(NamedTuple):
    """One moment in the life of a settlement."""

    where: Where
    n: int = 0


@dataclass(frozen=True)
class Plan:
    """One order and its faults."""

    adjust: Fate = HONEST
    cancels: tuple[Fate, ...] = ()
    """Of the attempts at any cancel, in order; those beyond are honest."""
    actions: tuple[tuple[Moment, Act], ...] = ()
    lost_writes: frozenset[int] = field(default=frozenset())
    """Which attempts at ledger writes fail."""
    repeated_writes: frozenset[int] = field(default=frozenset())
    """Which attempts at ledger writes are carried out and not reported, so that they are repeated."""
    refuses: bool = False
    """Whether the external system rejects the adjust."""
    guarded: bool = True
    """Whether the external system burns the numbers of cancels that come first, as the contract wants."""
    cancel_operation: CancelOperation = Operation.CANCEL_ADJUST
    """By which operation the external system undoes an adjust."""
    taken_up: bool = False
    """Its first workflow is lost with the adjust in flight, and a second one goes on."""
    stale: bool = False
    """It is too old when it starts."""
    amount: str = "12.50"
    policy: SettlementPolicy = POLICY

    def fate(self, attempt: int) -> Fate:
        """Return what befalls the nth attempt at an external call; the 0th is the adjust's."""
        if attempt == 0:
            return self.adjust
        return self.cancels[attempt - 1] if attempt <= len(self.cancels) else HONEST

    def acts_at(self, moment: Moment) -> list[Act]:
        """Return what is done at a moment."""
        return [act for when, act in self.actions if when == moment]

    def operator_actions(self) -> int:
        """Count the times that somebody waits for it to abort."""
        return len({when.n for when, _ in self.actions if when.where is Where.ABORT})

    def in_words(self) -> str:
        """Say what befalls it, in a few words."""
        calls = [each.in_words() for each in (self.adjust, *self.cancels)]
        acts = [f"{act} at {when.where} {when.n}" for when, act in self.actions]
        traits = {
            "refused": self.refuses,
            "numbers not burnt": not self.guarded,
            f"undone by {self.cancel_operation}": self.cancel_operation is not Operation.CANCEL_ADJUST,
            "taken up": self.taken_up,
            "stale": self.stale,
            f"ledger away for writes {sorted(self.lost_writes)}": bool(self.lost_writes),
            f"writes repeated {sorted(self.repeated_writes)}": bool(self.repeated_writes),
        }
        return "; ".join([" / ".join(calls), *acts, *(trait for trait, there in traits.items() if there)])
