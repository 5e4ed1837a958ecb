"""Time limits of activities and external calls, and limits of batch retry and reconciliation.

The limits depend on each other, so they are in one module. `explain` reads them here without importing activities.

The external system has 3 seconds, measured on our clock from the send to the last byte of its reply. Temporal's
start-to-close timeout starts earlier, on the server, before the worker has the task. A start-to-close timeout of 3 s
would therefore give the external system less than 3 s, and the cancel could overtake a call in flight. So
start-to-close is longer than everything inside the activity, and only detects a lost worker (ADR 0002).
"""

from datetime import timedelta

ADJUST_DEADLINE_S = 3.0
"""From the send to the last byte of the reply (docs/contract.md#rule-1)."""
CONNECT_DEADLINE_S = 1.0
"""Maximum time to get a connection. If it is exceeded, nothing was sent."""
PICKUP_DELAY_MAX_S = 1.0
"""Maximum delay from the server's start of an adjust to its arrival at the worker. A later adjust is not sent, because
its call could outlast the start-to-close timeout."""
REPORT_MARGIN_S = 1.0
"""Time to report the outcome to the server."""

ADJUST_START_TO_CLOSE = timedelta(seconds=PICKUP_DELAY_MAX_S + CONNECT_DEADLINE_S + ADJUST_DEADLINE_S + REPORT_MARGIN_S)
"""Detects a lost worker; never the limit of a call."""
CANCEL_START_TO_CLOSE = ADJUST_START_TO_CLOSE
"""A cancel has the same deadlines, but is sent even if it arrives late at the worker."""

SYSTEM_WAIT_MAX_S = 60.0
"""Longest wait of a cancel whose external system cannot be called now (`settlement.external_systems`)."""

RECORD_START_TO_CLOSE = timedelta(seconds=15)
"""Longer than the ledger's own statement and lock timeouts."""
RECORD_AT_ONCE_S = 0.5
"""Maximum time of a ledger write within a workflow task. A decision waits for this write, and for no other."""
RECORD_AT_ONCE_START_TO_CLOSE = timedelta(minutes=1)
"""Temporal demands a limit for a local activity. This one should not be reached: the activity ends after
`RECORD_AT_ONCE_S`, and a worker that is frozen for this long has lost the workflow task."""

BATCH_CHUNK_S = 1.0
"""Duration of one chunk of a batch at the batch's rate. A stop takes effect after the current chunk."""
BATCH_ITEM_ATTEMPTS = 3
BATCH_ITEM_LIMIT_S = 10.0
"""Time for a settlement's workflow to answer one attempt. Long enough for another worker to replace a lost one."""
BATCH_ITEM_PAUSE_S = 1.0
BATCH_LEDGER_MARGIN_S = 30.0
"""Time for three ledger transactions, each with its maximum duration."""

BATCH_CHUNK_START_TO_CLOSE = timedelta(
    seconds=BATCH_CHUNK_S
    + BATCH_ITEM_ATTEMPTS * (BATCH_ITEM_LIMIT_S + BATCH_ITEM_PAUSE_S)
    + BATCH_LEDGER_MARGIN_S
    + REPORT_MARGIN_S
)
"""The settlements of a chunk are retried concurrently, so the slowest one determines its duration."""
BATCH_HEARTBEAT = timedelta(seconds=10)
"""After this time without a heartbeat the worker counts as lost, and another worker repeats the chunk."""
BATCH_END_START_TO_CLOSE = RECORD_START_TO_CLOSE
RECONCILE_UNCHANGED_S = 5.0
"""A settlement that was written to the ledger within this time is in progress and is not examined."""
RECONCILE_START_SLACK_S = 10.0
"""Time after its expiry from which a settlement without a workflow counts as lost. Until then its POST may still start
the workflow, or the clocks of two machines may differ."""
RECONCILE_LEDGER_DELAY_MAX_S = 60.0
"""Maximum expected delay of a ledger write: longer than the longest interval between its attempts."""
RECONCILE_STUCK_ATTEMPTS = 5
"""Number of attempts of one workflow task from which it counts as stuck. A killed worker causes only one or two."""
RECONCILE_FIRST_WINDOW = timedelta(hours=24)
"""How far back the very first round scans closed workflows. Each later round starts where the previous one ended."""
RECONCILE_LIST_SLACK = timedelta(minutes=2)
"""Overlap of two scans: Temporal's list is updated with a delay."""
RECONCILE_PAGE = 100
RECONCILE_LIST_PAGE = 500
RECONCILE_CHECKED_MAX = 2_000
RECONCILE_LISTED_MAX = 20_000
"""Maximum settlements checked in one round, from the ledger and from Temporal's list. The next round continues."""
RECONCILE_TAKE_UPS_MAX = 50
"""Maximum number of lost workflows that one round restarts. If more are lost at once, the likely cause is lost Temporal
data or an operator's mistake. Each restart sends a cancel to the broker, so an operator decides about the rest."""
RECONCILE_BATCHES_MAX = 50
"""Maximum RUNNING batches whose workflows one round starts or finds running, concurrently; the oldest come first."""
RECONCILE_CONCURRENCY = 10
RECONCILE_RATE_PER_S = 50.0
"""Maximum settlements examined per second."""
RECONCILE_RPC_S = 5.0
RECONCILE_QUERY_S = 10.0
"""Time for a lost workflow to answer a query: a worker must replay its whole history."""
RECONCILE_PAGE_BUDGET_S = 30.0
"""After this time the scan of a page ends early and returns its cursor."""
RECONCILE_PAGE_START_TO_CLOSE = timedelta(seconds=120)
"""Longer than the budget plus the slowest settlements started within it."""
RECONCILE_HEARTBEAT = timedelta(seconds=20)
RECONCILE_ROUND_MAX = timedelta(minutes=10)
"""Then Temporal ends the round, so that the next one can begin."""
