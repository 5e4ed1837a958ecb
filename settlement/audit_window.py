"""Bounds the size of snapshots in Temporal payloads: the oldest audit entries that the ledger has are left out.

Pure functions on snapshots. The limits hold even if every field has its greatest length. They keep each payload below
a fifth of 2 MiB. Above 2 MiB the server fails the workflow task, and retrying does not help.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from contract.model import Model
from contract.operations import Operation
from settlement.calls import CallRecord, Verdict
from settlement.ids import CancelKind
from settlement.snapshot import BEGINS_A_ROUND, AuditCounts, CancelLeftOut, LeftOut, Snapshot

PAYLOAD_BYTES_MAX: Final = 419_430
"""A fifth of the server's limit for one payload (2 MiB)."""

CALLS_BYTES_MAX: Final = 24_000
ACTIONS_BYTES_MAX: Final = 16_000
STATE_CHANGES_BYTES_MAX: Final = 6_000
"""Maximum size as JSON of each part of a snapshot's audit. Above it, the oldest entries that the ledger has are left
out."""

UNRECORDED_BYTES_MAX: Final = 30_000
"""Maximum size as JSON of the entries that the ledger does not have. Above it, a round of cancels that an operator
requests waits for the ledger, so that a snapshot stays bounded during a ledger outage."""

CANCEL_ATTEMPTS_MAX: Final = 20
"""Maximum `cancel_max_attempts` of a policy. The records of one band travel together in one heartbeat, failure and
ledger write, so their number must be bounded."""
SPARSE_ATTEMPTS_MAX: Final = 10
"""Maximum `cancel_sparse_attempts` of a policy."""
IN_PROCESS_MAX: Final = 10
"""Maximum `cancel_in_process_max` of a policy."""
CALLS_OF_ROUND_MAX: Final = CANCEL_ATTEMPTS_MAX + SPARSE_ATTEMPTS_MAX + IN_PROCESS_MAX


def audit_counts(snapshot: Snapshot) -> AuditCounts:
    """Return the number of entries in the whole audit, including those that the snapshot leaves out."""
    left_out = snapshot.left_out
    return AuditCounts(
        calls=left_out.calls + len(snapshot.calls),
        actions=left_out.actions + len(snapshot.actions),
        state_changes=left_out.state_changes + len(snapshot.state_changes),
    )


def leave_out(snapshot: Snapshot, before: AuditCounts) -> Snapshot:
    """Return the snapshot without the entries before these positions of the audit. Entries already left out stay so."""
    left_out = snapshot.left_out
    calls = snapshot.calls[: max(0, before.calls - left_out.calls)]
    actions = snapshot.actions[: max(0, before.actions - left_out.actions)]
    changes = snapshot.state_changes[: max(0, before.state_changes - left_out.state_changes)]
    if not (calls or actions or changes):
        return snapshot
    return snapshot.model_copy(
        update={
            "calls": snapshot.calls[len(calls) :],
            "actions": snapshot.actions[len(actions) :],
            "state_changes": snapshot.state_changes[len(changes) :],
            "left_out": LeftOut(
                calls=left_out.calls + len(calls),
                actions=left_out.actions + len(actions),
                state_changes=left_out.state_changes + len(changes),
                adjust=left_out.adjust or _adjust(calls),
                cancels=tuple(_cancels(left_out, calls)),
                actions_without_round=left_out.actions_without_round
                + sum(action.kind not in BEGINS_A_ROUND for action in actions),
            ),
        }
    )


def within_window(snapshot: Snapshot, recorded: AuditCounts) -> Snapshot:
    """Return the snapshot without its oldest entries where a part of its audit exceeds the window.

    Only entries that the ledger has (`recorded`) are left out. The newest entry of each part always stays. The audit
    of a usual settlement fits into the window, so the workflow alone can restore a lost ledger row.
    """
    total = audit_counts(snapshot)
    return leave_out(
        snapshot,
        AuditCounts(
            calls=min(recorded.calls, total.calls - _newest_that_fit(snapshot.calls, CALLS_BYTES_MAX)),
            actions=min(recorded.actions, total.actions - _newest_that_fit(snapshot.actions, ACTIONS_BYTES_MAX)),
            state_changes=min(
                recorded.state_changes,
                total.state_changes - _newest_that_fit(snapshot.state_changes, STATE_CHANGES_BYTES_MAX),
            ),
        ),
    )


def unrecorded_bytes(snapshot: Snapshot, recorded: AuditCounts) -> int:
    """Return the size in bytes, as JSON, of the entries that the ledger does not have."""
    new = leave_out(snapshot, recorded)
    return sum(_size(entry) for entries in (new.calls, new.actions, new.state_changes) for entry in entries)


def _newest_that_fit(entries: Sequence[Model], size_max: int) -> int:
    """Return how many of the newest entries fit into `size_max` bytes; at least one."""
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
            result = next((call.cancel_result for call in reversed(new) if call.cancel_result), known.result)
            yield CancelLeftOut(kind=kind, attempts=known.attempts + len(new), result=result)
