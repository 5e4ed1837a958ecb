"""Keep payloads of Temporal small however long an audit becomes: leave out the oldest entries that the ledger has.

Pure functions on snapshots. The limits hold for the longest texts that every field allows, and keep each payload
below a tenth of the 2 MiB at which the server fails a workflow task for good.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from contract.model import Model
from contract.operations import Operation
from settlement.calls import CallRecord, Verdict
from settlement.ids import CancelKind
from settlement.snapshot import AuditCounts, CancelLeftOut, LeftOut, Snapshot

PAYLOAD_BYTES_MAX: Final = 209_715
"""A tenth of what the server allows for one payload (2 MiB)."""

CALLS_BYTES: Final = 24_000
ACTS_BYTES: Final = 16_000
STATE_CHANGES_BYTES: Final = 6_000
"""What a snapshot still carries of entries that the ledger has: the newest ones, up to these sizes as JSON."""

UNRECORDED_BYTES_MAX: Final = 30_000
"""Size as JSON of entries that the ledger has not taken, above which a round of cancels that an operator asks for waits
for the ledger: while it is out of reach, a snapshot must not grow without a limit."""

CANCEL_ATTEMPTS_MAX: Final = 20
"""Attempts in one round that a policy may allow: their records travel together in one heartbeat, failure and write."""


def counts(snapshot: Snapshot) -> AuditCounts:
    """Count the entries of the whole audit, those that are left out included."""
    left_out = snapshot.left_out
    return AuditCounts(
        calls=left_out.calls + len(snapshot.calls),
        actions=left_out.actions + len(snapshot.actions),
        state_changes=left_out.state_changes + len(snapshot.state_changes),
    )


def leave_out(snapshot: Snapshot, before: AuditCounts) -> Snapshot:
    """Return the snapshot without the entries before these positions; what is left out already stays so."""
    left_out = snapshot.left_out
    calls = snapshot.calls[: max(0, before.calls - left_out.calls)]
    acts = snapshot.actions[: max(0, before.actions - left_out.actions)]
    changes = snapshot.state_changes[: max(0, before.state_changes - left_out.state_changes)]
    if not (calls or acts or changes):
        return snapshot
    return snapshot.model_copy(
        update={
            "calls": snapshot.calls[len(calls) :],
            "actions": snapshot.actions[len(acts) :],
            "state_changes": snapshot.state_changes[len(changes) :],
            "left_out": LeftOut(
                calls=left_out.calls + len(calls),
                actions=left_out.actions + len(acts),
                state_changes=left_out.state_changes + len(changes),
                adjust=left_out.adjust or _adjust(calls),
                cancels=tuple(_cancels(left_out, calls)),
            ),
        }
    )


def within_window(snapshot: Snapshot, recorded: AuditCounts) -> Snapshot:
    """Leave out the oldest entries that the ledger has, as far as the rest is larger than the window.

    The newest entry of each part always stays. A usual audit fits whole, so that a lost row can be written anew
    from the workflow alone.
    """
    whole = counts(snapshot)
    return leave_out(
        snapshot,
        AuditCounts(
            calls=min(recorded.calls, whole.calls - _fitting(snapshot.calls, CALLS_BYTES)),
            actions=min(recorded.actions, whole.actions - _fitting(snapshot.actions, ACTS_BYTES)),
            state_changes=min(
                recorded.state_changes, whole.state_changes - _fitting(snapshot.state_changes, STATE_CHANGES_BYTES)
            ),
        ),
    )


def unrecorded_bytes(snapshot: Snapshot, recorded: AuditCounts) -> int:
    """Return the size as JSON of the entries that the ledger has not taken."""
    new = leave_out(snapshot, recorded)
    return sum(_size(entry) for entries in (new.calls, new.actions, new.state_changes) for entry in entries)


def _fitting(entries: Sequence[Model], size_max: int) -> int:
    """Count the newest entries that fit into a size; at least one."""
    size = 0
    for count, entry in enumerate(reversed(entries)):
        size += _size(entry)
        if size > size_max:
            return max(1, count)
    return len(entries)


def _size(entry: Model) -> int:
    return len(entry.model_dump_json().encode())


def _adjust(calls: Sequence[CallRecord]) -> Verdict | None:
    found = next((call.verdict for call in calls if call.operation is Operation.ADJUST), None)
    return Verdict(outcome=found.outcome, rule=found.rule) if found else None


def _cancels(before: LeftOut, calls: Sequence[CallRecord]) -> Iterator[CancelLeftOut]:
    for kind in CancelKind:
        known, new = before.cancel(kind), [call for call in calls if call.kind is kind]
        if known.attempts or new:
            result = next((call.cancel_result for call in new if call.cancel_result), known.result)
            yield CancelLeftOut(kind=kind, attempts=known.attempts + len(new), result=result)
