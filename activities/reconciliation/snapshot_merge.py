"""Merges two snapshots of one settlement, the ledger's and the workflow's. Pure functions."""

from typing import TypeVar

from activities.reconciliation.diagnose import Execution
from settlement.snapshot import Snapshot
from settlement.states import END_STATES, decision_of

T = TypeVar("T")


class NotRepairedError(Exception):
    """A mismatch was not repaired. The message says why, for the finding."""


def newer_snapshot(in_ledger: Snapshot, in_workflow: Snapshot | None) -> Snapshot:
    """Return the newer of two snapshots, the ledger's and the workflow's, with the higher of both versions.

    A snapshot with a decision is newer than one without, regardless of the versions, because a decision never changes.

    Raises:
        NotRepairedError: the snapshots have opposite decisions. Two Temporal clusters have processed the settlement,
            or the data of one was restored. The money may be in the wrong place; an operator must act.
    """
    if in_workflow is None:
        return in_ledger
    if in_ledger.decision and in_workflow.decision and in_ledger.decision is not in_workflow.decision:
        message = (
            f"the ledger has the decision {in_ledger.decision}, but the workflow has {in_workflow.decision}: two "
            "Temporal clusters have processed it, or Temporal's data was restored from a backup. Compare the broker's "
            "books with the decision that the platform received"
        )
        raise NotRepairedError(message)
    # Of equal versions the workflow's: what it knows is what was sent.
    newer = max(in_workflow, in_ledger, key=lambda each: (each.decision is not None, each.version))
    return newer.model_copy(update={"version": max(in_ledger.version, in_workflow.version)})


def with_higher_version(in_ledger: Snapshot, in_workflow: Snapshot) -> Snapshot:
    """Return the workflow's snapshot with a version above the ledger's, so that the ledger records it.

    If Temporal's data was restored from a backup, the workflow's version can be lower than the ledger's. Then audit
    entries that only the ledger has are added.
    """
    if in_workflow.version > in_ledger.version:
        return in_workflow
    return in_workflow.model_copy(
        update={
            "version": in_ledger.version + 1,
            "calls": _union(in_ledger.calls, in_workflow.calls),
            "actions": _union(in_ledger.actions, in_workflow.actions),
            "state_changes": _union(in_ledger.state_changes, in_workflow.state_changes),
            "cancel_intents": in_workflow.cancel_intents or in_ledger.cancel_intents,
            "left_out": in_ledger.left_out,
        }
    )


def can_continue_from_ledger(in_ledger: Snapshot, execution: Execution | None) -> bool:
    """Return whether a new workflow can continue from the ledger's snapshot if the lost workflow does not answer.

    It can if Temporal has no workflow, or if the lost workflow had no decision that the ledger lacks.
    """
    if execution is None:
        return True
    state = execution.state
    # A lost workflow task may have written a decision that its workflow does not have (ADR 0023).
    return state is not None and state not in END_STATES and decision_of(state) in {None, in_ledger.decision}


def _union(first: tuple[T, ...], second: tuple[T, ...]) -> tuple[T, ...]:
    return (*first, *(each for each in second if each not in first))
