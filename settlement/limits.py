"""The time limits of the activities and of the calls inside them: each one is chosen with regard to the others.

Workflows, activities and `explain` read them here, so that code needed for a replay imports no activity module.

The 3 seconds are promised to the external system and run on this side's clock, from our send to the
last byte of its reply. Temporal's start-to-close clock starts earlier, on the server, before the worker
even has the task: 3 s there would cut the external system short and let the cancel overtake a call in
flight. So it stands above everything that may happen inside, and only catches a lost worker
(ADR 0002).
"""

from datetime import timedelta

ADJUST_DEADLINE_S = 3.0
"""From our send to the last byte of the reply (contract, rule 1)."""
CONNECT_DEADLINE_S = 1.0
"""From asking for a connection to having one; when it passes, nothing was sent."""
PICKUP_DELAY_MAX_S = 1.0
"""An adjust that reaches the worker later than this after the server started it is not sent: its call
could outlive the start-to-close timeout."""
REPORT_MARGIN_S = 1.0
"""For the outcome's way back to the server."""

ADJUST_START_TO_CLOSE = timedelta(seconds=PICKUP_DELAY_MAX_S + CONNECT_DEADLINE_S + ADJUST_DEADLINE_S + REPORT_MARGIN_S)
"""The backstop for a lost worker, never the limit of a call."""
CANCEL_START_TO_CLOSE = ADJUST_START_TO_CLOSE
"""A cancel has the same deadlines; one that is picked up late is sent all the same."""

RECORD_START_TO_CLOSE = timedelta(seconds=15)
"""Above the ledger's own statement and lock timeouts."""

BATCH_CHUNK_S = 1.0
"""A batch takes settlements a second's worth at a time: so long may a stop take to be heard."""
BATCH_ITEM_ATTEMPTS = 3
BATCH_ITEM_LIMIT_S = 10.0
"""For one settlement's workflow to answer one attempt: longer than it takes another worker to replace a lost one."""
BATCH_ITEM_PAUSE_S = 1.0
BATCH_LEDGER_MARGIN_S = 30.0
"""For three ledger transactions that each take as long as they may."""

BATCH_CHUNK_START_TO_CLOSE = timedelta(
    seconds=BATCH_CHUNK_S
    + BATCH_ITEM_ATTEMPTS * (BATCH_ITEM_LIMIT_S + BATCH_ITEM_PAUSE_S)
    + BATCH_LEDGER_MARGIN_S
    + REPORT_MARGIN_S
)
"""The settlements of a chunk are retried side by side, so one that does not answer holds up its chunk and no more."""
BATCH_HEARTBEAT = timedelta(seconds=10)
"""Without a sign of life for so long, the worker is lost and another one goes on with the chunk."""
BATCH_END_START_TO_CLOSE = RECORD_START_TO_CLOSE
RECONCILE_UNTOUCHED_S = 5.0
"""A settlement that the ledger heard of within this time is at work and is not looked at."""
RECONCILE_START_SLACK_S = 10.0
"""Beyond its expiry, before a settlement without a workflow counts as lost: its POST may be on its way to Temporal, and
this machine's clock may be off by so much."""
RECONCILE_BEHIND_S = 60.0
"""How long a ledger write may take to arrive: longer than the longest interval between its attempts."""
RECONCILE_STUCK_ATTEMPTS = 5
"""Attempts of one workflow task after which code and history do not fit; a worker that was killed costs one or two."""
RECONCILE_FIRST_WINDOW = timedelta(hours=24)
"""How far back closed workflows are looked at by the first round of all; each later one goes back to the one before."""
RECONCILE_LIST_SLACK = timedelta(minutes=2)
"""And so much further: Temporal's list trails what it knows."""
RECONCILE_PAGE = 100
RECONCILE_LIST_PAGE = 500
RECONCILE_CHECKED_MAX = 2_000
RECONCILE_LISTED_MAX = 20_000
"""Settlements looked at in one round, from the ledger and from Temporal's list; the next round goes on from there."""
RECONCILE_TAKE_UPS_MAX = 50
"""Lost workflows that one round starts anew. More at once are rather a Temporal that has lost its data, or a mistake of
an operator, than accidents; each sends a cancel to the broker, so a person decides about the rest."""
RECONCILE_BATCHES_MAX = 50
"""Running batches whose workflows one round starts or finds running, all at once; the oldest come first."""
RECONCILE_CONCURRENCY = 10
RECONCILE_RATE_PER_S = 50.0
"""Settlements that Temporal is asked about, in one second."""
RECONCILE_RPC_S = 5.0
RECONCILE_QUERY_S = 10.0
"""For a lost workflow to say what it knew: a worker replays its whole history."""
RECONCILE_PAGE_BUDGET_S = 30.0
"""After so long a part is ended early, and says where."""
RECONCILE_PAGE_START_TO_CLOSE = timedelta(seconds=120)
"""Above the budget and the slowest settlements that can have been begun within it."""
RECONCILE_HEARTBEAT = timedelta(seconds=20)
RECONCILE_ROUND_MAX = timedelta(minutes=10)
"""Then a round is given up, whatever holds it: the next one must begin."""
