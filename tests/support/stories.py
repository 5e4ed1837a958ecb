"""One story for each way a settlement can end: recorded as histories that all later code must replay.

`python -m tests.support.stories` records those, and those of batches and rounds, that have no history yet. It never
replaces a history: after a release, a history stands for what was open when the next release replaced it. The
histories become binding with the release of 0.1.0; until then, delete a history to have it recorded again.
"""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from temporalio.testing import WorkflowEnvironment

from ledger import open_engine
from ledger.migrate import migrate
from settlement.policy import ConfirmMode, SettlementPolicy
from settlement.snapshot import Snapshot
from settlement.start import Carried, SettlementInput, TakeUp
from settlement.states import State
from tests.support import lost
from tests.support.batch_stories import batch_stories, history_of_batch
from tests.support.histories import HISTORIES, RELEASE, without_stack_traces
from tests.support.ledgers import FlakyLedger
from tests.support.orders import ALWAYS_CONFIRMED, QUICK_POLICY, SPARSE_POLICY, settlement
from tests.support.rounds import history_of_round, round_stories
from tests.support.sagas import settling, time_skipping
from tests.support.scripted import (
    APPLIED,
    BUSY,
    IN_PROCESS,
    NEVER_RECEIVED,
    NOT_APPLIED,
    NOT_CONFIGURED,
    NOT_SENT,
    OWN_REVERSED,
    REFUSED,
    REJECTED,
    REVERSED,
    UNKNOWN,
    Answer,
    Gate,
    ScriptedExternalSystem,
)
from tests.support.story_acts import (
    ATTEMPTS,
    FAILED,
    Act,
    approved,
    decided,
    proposed_then_retried,
    resolved,
    resolved_by_two,
    resolved_unverified,
    resolved_when_taken_up,
    retried,
    retried_twice,
    retried_when_taken_up,
    stopped_during,
    stopped_in_quarantine,
    stopped_when_aborted,
)

NEVER = ConfirmMode.NEVER


@dataclass(frozen=True)
class Story:
    """What the external system answers, what people do meanwhile, and where it all ends."""

    end: State
    adjust: Answer
    cancels: tuple[Answer, ...] = ()
    act: Act | None = None
    age: timedelta = timedelta(0)
    known: Callable[[SettlementInput], Snapshot] | None = None
    """For a workflow that goes on for a lost one: what was known of it."""
    carried: bool = False
    """Whether that is a workflow that continued as new, rather than one that was lost."""
    policy: SettlementPolicy = QUICK_POLICY
    four_eyes: bool = False
    """Whether its resolution needs a second operator."""
    lost_after: timedelta | None = None
    """How long after its last change that one was ended; None: nobody knows."""


def stories() -> dict[str, Story]:
    """Return all stories by name, each to be run once."""
    gate, cancel_gate = Gate(APPLIED), Gate(REVERSED)
    worker_lost = RuntimeError("the worker is gone")
    return {
        "settled": Story(State.SETTLED, APPLIED, act=decided),
        "expired-stale": Story(State.EXPIRED, APPLIED, age=timedelta(seconds=QUICK_POLICY.expire_after_s)),
        "expired-not-sent": Story(State.EXPIRED, NOT_SENT),
        "rejected": Story(State.CANCELLED, REJECTED, (NOT_APPLIED,), decided),
        "reversed-after-retries": Story(State.CANCELLED, UNKNOWN, (FAILED, FAILED, REVERSED)),
        "waited-for-its-system": Story(
            State.CANCELLED, UNKNOWN, (FAILED, NOT_CONFIGURED, NOT_CONFIGURED, NEVER_RECEIVED, NOT_CONFIGURED, REVERSED)
        ),
        "expired-not-configured": Story(State.EXPIRED, NOT_CONFIGURED),
        "late-arrival-caught": Story(State.CANCELLED, UNKNOWN, (NEVER_RECEIVED, REVERSED)),
        "confirmed": Story(State.CANCELLED, UNKNOWN, (NOT_APPLIED, NOT_APPLIED)),
        "adjust-never-reported": Story(State.CANCELLED, Gate(APPLIED), (REVERSED,)),
        "worker-lost": Story(State.CANCELLED, worker_lost, (REVERSED,)),
        "aborted-then-retried": Story(State.CANCELLED, UNKNOWN, (*[FAILED] * ATTEMPTS, REVERSED), retried),
        "aborted-confirming": Story(
            State.CANCELLED, UNKNOWN, (NOT_APPLIED, *[FAILED] * ATTEMPTS, NOT_APPLIED), retried
        ),
        "resolved": Story(State.RESOLVED, UNKNOWN, (FAILED,) * ATTEMPTS, resolved),
        "resolved-unverified": Story(State.RESOLVED, UNKNOWN, (FAILED,) * ATTEMPTS, resolved_unverified),
        "resolved-by-two": Story(State.RESOLVED, UNKNOWN, (FAILED,) * ATTEMPTS, resolved_by_two, four_eyes=True),
        "proposed-then-retried": Story(
            State.CANCELLED, UNKNOWN, (*[FAILED] * ATTEMPTS, REVERSED), proposed_then_retried, four_eyes=True
        ),
        "resolved-confirming": Story(State.RESOLVED, UNKNOWN, (NOT_APPLIED, *[FAILED] * ATTEMPTS), resolved),
        "stopped-while-adjusting": Story(State.CANCELLED, gate, (REVERSED,), stopped_during(gate)),
        "stopped-while-cancelling": Story(State.CANCELLED, UNKNOWN, (cancel_gate,), stopped_during(cancel_gate)),
        "stopped-in-quarantine": Story(State.CANCELLED, UNKNOWN, (NOT_APPLIED, REVERSED), stopped_in_quarantine),
        "stopped-when-aborted": Story(State.CANCELLED, UNKNOWN, (*[FAILED] * ATTEMPTS, REVERSED), stopped_when_aborted),
        **taken_up_stories(),
        **policy_stories(),
    }


def policy_stories() -> dict[str, Story]:
    """Return the stories of the sparse band, declared codes, `Retry-After` and the modes of confirmation."""
    sparse, always = SPARSE_POLICY, ALWAYS_CONFIRMED
    all_fail = [FAILED] * (ATTEMPTS + sparse.cancel_sparse_attempts)
    return {
        "reversed-in-sparse-band": Story(
            State.CANCELLED, UNKNOWN, (*[FAILED] * ATTEMPTS, FAILED, REVERSED), policy=sparse
        ),
        "aborted-after-sparse-band": Story(State.RESOLVED, UNKNOWN, tuple(all_fail), resolved, policy=sparse),
        "sparse-band-retried": Story(State.CANCELLED, UNKNOWN, (*all_fail, REVERSED), retried, policy=sparse),
        "in-process": Story(
            State.CANCELLED, UNKNOWN, (IN_PROCESS, FAILED, IN_PROCESS, IN_PROCESS, REVERSED), policy=sparse
        ),
        "refused-for-good": Story(State.RESOLVED, UNKNOWN, (FAILED, REFUSED), resolved),
        "retry-after": Story(State.CANCELLED, UNKNOWN, (BUSY, FAILED, BUSY, REVERSED), policy=sparse),
        "declared-result": Story(State.CANCELLED, REJECTED, (OWN_REVERSED,)),
        "always-confirmed": Story(State.CANCELLED, REJECTED, (REVERSED, REVERSED), policy=always),
        "contradiction-resolved": Story(State.RESOLVED, UNKNOWN, (REVERSED, NOT_APPLIED), resolved, policy=always),
        "contradiction-retried": Story(
            State.CANCELLED, UNKNOWN, (REVERSED, NOT_APPLIED, REVERSED), retried, policy=always
        ),
        "never-confirmed": Story(
            State.CANCELLED, UNKNOWN, (NEVER_RECEIVED,), policy=QUICK_POLICY.model_copy(update={"confirm": NEVER})
        ),
    }


def taken_up_stories() -> dict[str, Story]:
    """Return the stories of workflows that go on for lost ones; the first answer is for an adjust that never comes."""
    never = AssertionError("adjusted again")
    old = timedelta(minutes=5)
    return {
        "taken-up-adjusting": Story(
            State.CANCELLED, never, (NEVER_RECEIVED, NEVER_RECEIVED), decided, old, known=lost.adjusting
        ),
        "taken-up-cancelling": Story(State.CANCELLED, never, (FAILED, REVERSED), age=old, known=lost.cancelling),
        "taken-up-terminated": Story(
            State.CANCELLED, never, (REVERSED,), age=old, known=lost.cancelling, lost_after=timedelta(seconds=2)
        ),
        "taken-up-in-quarantine": Story(State.CANCELLED, never, (REVERSED,), known=lost.quarantined),
        "taken-up-aborted": Story(State.CANCELLED, never, (REVERSED,), retried_when_taken_up, old, lost.aborted),
        "taken-up-aborted-confirming": Story(
            State.CANCELLED, never, (NOT_APPLIED,), retried_when_taken_up, old, lost.aborted_confirming
        ),
        "continued-aborted": Story(
            State.CANCELLED,
            never,
            (*[FAILED] * ATTEMPTS, REVERSED),
            retried_twice,
            old,
            lost.aborted,
            carried=True,
        ),
        "continued-aborted-confirming": Story(
            State.CANCELLED, never, (NOT_APPLIED,), retried_when_taken_up, old, lost.aborted_confirming, carried=True
        ),
        "taken-up-proposed": Story(State.RESOLVED, never, (), approved, old, lost.proposed, four_eyes=True),
        "continued-proposed": Story(
            State.RESOLVED, never, (), approved, old, lost.proposed, carried=True, four_eyes=True
        ),
        "taken-up-resolved": Story(State.RESOLVED, never, (), resolved_when_taken_up, old, lost.aborted),
    }


def _before(story: Story, start: SettlementInput) -> TakeUp | Carried | None:
    if story.known is None:
        return None
    known = story.known(start)
    if story.carried:
        return lost.carried(known)
    return lost.taken_up(known, known.updated_at + story.lost_after if story.lost_after is not None else None)


async def history_of(environment: WorkflowEnvironment, ledger: FlakyLedger, name: str, story: Story) -> str:
    """Run a story and return its history as JSON."""
    external = ScriptedExternalSystem(adjust=story.adjust, cancels=story.cancels)
    accepted_at = await environment.get_current_time() - story.age
    start = settlement(policy=story.policy, accepted_at=accepted_at, requestUniqueNo=f"story-{name}")
    if story.four_eyes:
        start = start.model_copy(update={"four_eyes_above": "0"})
    before = _before(story, start)
    if isinstance(before, Carried):
        await ledger.record(start, before.snapshot)
    async with settling(environment, ledger, external, start, before) as saga:
        if story.act is not None:
            await story.act(environment, saga)
        snapshot = await saga.result()
        assert snapshot.state is story.end, (name, snapshot)
        return without_stack_traces((await saga.handle.fetch_history()).to_json())


async def record() -> None:
    """Write the missing histories of this release."""
    folder = HISTORIES / RELEASE
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        engine = open_engine(f"sqlite:///{scratch}/ledger.db")
        await migrate(engine)
        async with time_skipping() as environment:
            for name, story in stories().items():
                path = folder / f"{name}.json"
                if not path.exists():
                    path.write_text(await history_of(environment, FlakyLedger(engine), name, story) + "\n")
            for name, batch_story in batch_stories().items():
                path = folder / f"{name}.json"
                if not path.exists():
                    path.write_text(await history_of_batch(environment, FlakyLedger(engine), batch_story) + "\n")
            for name, parts in round_stories().items():
                path = folder / f"{name}.json"
                if not path.exists():
                    path.write_text(await history_of_round(environment, name, parts) + "\n")
        await engine.dispose()


if __name__ == "__main__":
    asyncio.run(record())
