"""The plan of one simulated settlement: all its faults and actions, decided before it starts."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from contract.operations import CancelOperation, Operation
from settlement.circuit_breaker import BreakerState
from settlement.policy import SettlementPolicy
from tests.simulation.call_scripts import HONEST, CallScript

POLICY = SettlementPolicy(
    cancel_max_attempts=3,
    cancel_initial_interval_s=1,
    cancel_max_interval_s=4,
    cancel_sparse_initial_interval_s=20,
    cancel_sparse_max_interval_s=40,
    confirm_after_s=30,
    expire_after_s=86_400,
)


FOUR_EYES_ABOVE = "1000"
"""Resolutions of larger amounts need a second operator."""


class Action(StrEnum):
    """An action of an operator, or an incident, during a settlement."""

    STOP = "STOP"
    """Temporal's workflow cancellation."""
    STOP_TWICE = "STOP_TWICE"
    RETRY = "RETRY"
    """The operator's `retry_cancel_adjust`; rejected unless ABORTED."""
    RESOLVE = "RESOLVE"
    """The operator's `resolve`; above the four-eyes amount a proposal and its approval. Rejected unless ABORTED."""
    PROPOSE = "PROPOSE"
    """A proposal that waits for its approval; rejected unless ABORTED and above the four-eyes amount."""
    LOSE = "LOSE"
    """The workflow is terminated, and reconciliation takes it up."""


class TriggerPoint(StrEnum):
    """What is under way when an action falls."""

    START = "START"
    """Started, but no worker has the task yet."""
    CALL = "CALL"
    """During the nth attempt of an external call; the adjust is the 0th."""
    WRITE = "WRITE"
    """During the nth attempt of a ledger write. One of them is always at the start of the quarantine."""
    ABORT = "ABORT"
    """When ABORTED was written to the ledger for the nth time."""


class Trigger(NamedTuple):
    """One trigger in the simulated of a settlement."""

    where: TriggerPoint
    n: int = 0


@dataclass(frozen=True)
class Plan:
    """One order and its faults."""

    adjust: CallScript = HONEST
    cancels: tuple[CallScript, ...] = ()
    """Scripts of the attempts of all cancels, in order. Later attempts have no fault."""
    actions: tuple[tuple[Trigger, Action], ...] = ()
    lost_writes: frozenset[int] = field(default=frozenset())
    """Indexes of the ledger writes that fail."""
    repeated_writes: frozenset[int] = field(default=frozenset())
    """Indexes of the ledger writes that succeed but are reported as failed, so that they are repeated."""
    refuses: bool = False
    """Whether the external system rejects the adjust."""
    guarded: bool = True
    """Whether the external system burns the number of an adjust that is cancelled before it arrives (contract)."""
    cancel_operation: CancelOperation = Operation.CANCEL_ADJUST
    """The operation with which the external system undoes an adjust."""
    taken_up: bool = False
    """The first workflow is lost with the adjust in flight, and a second one continues."""
    stale: bool = False
    """The order is already expired when it starts."""
    breaker: BreakerState | None = None
    """State of the circuit breaker of its external system before it starts; None: the system has none."""
    amount: str = "12.50"
    policy: SettlementPolicy = POLICY

    def script(self, attempt: int) -> CallScript:
        """Return the script of the nth attempt of an external call. Attempt 0 is the adjust."""
        if attempt == 0:
            return self.adjust
        return self.cancels[attempt - 1] if attempt <= len(self.cancels) else HONEST

    def actions_at(self, trigger: Trigger) -> list[Action]:
        """Return the actions at a trigger."""
        return [action for when, action in self.actions if when == trigger]

    def operator_actions(self) -> int:
        """Return the number of aborts at which an action follows."""
        return len({when.n for when, _ in self.actions if when.where is TriggerPoint.ABORT})

    def in_words(self) -> str:
        """Describe the plan in a few words."""
        calls = [each.in_words() for each in (self.adjust, *self.cancels)]
        acts = [f"{action} at {when.where} {when.n}" for when, action in self.actions]
        traits = {
            "refused": self.refuses,
            f"circuit breaker {self.breaker}": self.breaker is not None,
            "numbers not burnt": not self.guarded,
            f"undone by {self.cancel_operation}": self.cancel_operation is not Operation.CANCEL_ADJUST,
            "taken up": self.taken_up,
            "stale": self.stale,
            f"ledger away for writes {sorted(self.lost_writes)}": bool(self.lost_writes),
            f"writes repeated {sorted(self.repeated_writes)}": bool(self.repeated_writes),
        }
        return "; ".join([" / ".join(calls), *acts, *(trait for trait, there in traits.items() if there)])
