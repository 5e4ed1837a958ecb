"""Two records of one settlement, the ledger's and its workflow's: which of them to go by. Pure functions."""

from typing import TypeVar

from activities.reconciliation.diagnose import Execution
from settlement.snapshot import Snapshot
from settlement.states import END_STATES, decision_of

T = TypeVar("T")


class NotRepairedError(Exception):
    """It was left as it is; the message says why, in plain words, for the finding."""


def newest(known: Snapshot, own: Snapshot | None) -> Snapshot:
    """Return the newer of the ledger's snapshot and the workflow's own, with the higher of their versions.

    One that knows the decision is the newer one, whatever the versions: a decision that was given never changes.

    Raises NotRepairedError for two decisions: two Temporals have worked on it, or one was set back.
    """
    if own is None:
        return known
    if known.decision and own.decision and known.decision is not own.decision:
        message = (
            f"the ledger has the decision {known.decision}, its workflow {own.decision}: two Temporals have worked on "
            "it, or one was set back. Compare the broker's books and what the platform was told"
        )
        raise NotRepairedError(message)
    newer = max(known, own, key=lambda each: (each.decision is not None, each.version))
    return newer.model_copy(update={"version": max(known.version, own.version)})


def above(known: Snapshot, own: Snapshot) -> Snapshot:
    """Return the workflow's snapshot under a version that the ledger takes, with what only the ledger has kept.

    Where Temporal was set back, the workflow counts anew from there, below what the ledger has.
    """
    if own.version > known.version:
        return own
    return own.model_copy(
        update={
            "version": known.version + 1,
            "calls": _both(known.calls, own.calls),
            "actions": _both(known.actions, own.actions),
            "state_changes": _both(known.state_changes, own.state_changes),
            "cancel_intents": own.cancel_intents or known.cancel_intents,
            "left_out": known.left_out,
        }
    )


def ledger_is_enough(known: Snapshot, execution: Execution | None) -> bool:
    """Tell whether the ledger's snapshot is enough to go on from, when the lost workflow does not answer.

    It is if Temporal has nothing of it left, or if it had not come to a decision that the ledger does not have.
    """
    if execution is None:
        return True
    state = execution.state
    return state is not None and state not in END_STATES and decision_of(state) is known.decision


def _both(first: tuple[T, ...], second: tuple[T, ...]) -> tuple[T, ...]:
    return (*first, *(each for each in second if each not in first))
