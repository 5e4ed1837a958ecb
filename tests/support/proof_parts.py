"""The parts of the proof: what each folder of `make test` proves, and what each part of `make prove` proves.

A test with the marker `prove` runs in `make prove` only; one with `longer` runs in both, in `make prove` with more
cases. The argument of either marker is the name of its part there.
"""

FOLDERS = {
    "unit/contract": "the wire format: every boundary of every field, strict JSON and strict requests",
    "unit/settlement": "the domain types: states, ids, snapshot, audit window, backoff, records of replies",
    "unit/schemas": "the JSON of the API: error codes, the broker's message, explanations",
    "unit/connector": "each reply, timeout and broken connection leads to exactly one outcome",
    "unit/encryption": "the payload codec: every payload is restored under its key, and any change is refused",
    "unit/activities": "the bulkhead, the comparison of ledger and Temporal, and how snapshots are merged",
    "unit/ledger": "every SQL statement is in the table of queries",
    "unit/config": "settings, secrets, log sampling, traces and the limits of a shutdown",
    "unit/cli": "the command line through failures of network and API, in a terminal and in a pipe",
    "unit/simulator": "the reference broker keeps its own books right, under faults and restarts",
    "unit/stack": "which ports `make up` needs and finds",
    "unit/bench": "the figures of the measurements: CPU times, percentiles, ratios, and which of them became worse",
    "unit/deploy": "image, compose file, container scripts, alert rules and dashboard",
    "unit/docs": "documents agree with the code, and their links and command blocks are complete",
    "unit/support": "this table: each test belongs to a part, and each skip is named",
    "conformity": "requests and replies follow the published OpenAPI documents of the broker",
    "conformance": "the conformance kit finds what an external system does wrong, and its reports show every byte",
    "ledger": "the ledger on SQLite and PostgreSQL: idempotency, locks, crashes, migrations, query plans",
    "api": "the API: access, validation, idempotency, outages, limits, streams",
    "saga": "the workflow and its activities, with time skipped: every ending, limit and operator action",
    "reconciliation": "rounds on a real Temporal find and repair what ledger or Temporal have lost",
    "replay": "today's code replays every recorded history",
    "simulation": "the invariant at every step and in every order of faults, and planted bugs are caught",
    "fuzz": "API and simulator answer random requests as their OpenAPI documents say",
    "chaos": "the parts of a chaos run: the fault proxy, the shifted clock and the verdict work",
    "e2e": "the whole stack as `make up` runs it: outcomes, kill -9, shutdown, batch retry, traces",
}
"""By folder under `tests/`, in the order of the table."""

LONG_PARTS = {
    "documents": "every command in every document prints what the document shows",
    "browser": "an operator finds, reads and retries an aborted settlement in the Temporal UI",
    "bench": "a small run of `make bench` has every figure, and no order is lost, sent twice or left uncancelled",
    "batch": "one batch retries 200 aborted settlements, through a kill -9 of the worker",
    "overload": "10 times more hanging calls than slots: no caller hangs, no company starves another",
    "chaos-run": "kills, full disk, wrong clock and broken network: no promise is broken",
    "audit": "a settlement that is retried hundreds of times keeps its histories and payloads small",
    "statement": "a broker's statement of 200,000 lines, in bounded memory: every difference and no other",
    "plans": "no combination of filters makes a query read a whole table that grows",
    "reference-broker": "the whole conformance kit finds nothing wrong with the reference broker, on both databases",
    "mutants": "each of the planted bugs is caught by name",
    "conformance-mutants": "the conformance kit fails each broken broker in what it breaks, and in nothing else",
    "interleavings": "every order of faults within the large bounds keeps the invariant",
    "steps": "each step fails, is repeated, is cancelled or meets an action in every way",
    "seeds": "settlements with random faults and operator actions keep the invariant",
    "fuzzing": "many more random requests, and sequences of them along the documents' links",
}
"""By the argument of the markers, in the order in which they run."""


def folder_of(node_id: str) -> str:
    """Return the folder of FOLDERS that a test belongs to. Raises KeyError if there is none: add a line for it."""
    parts = node_id.partition("::")[0].split("/")[1:-1]
    for length in range(len(parts), 0, -1):
        if (folder := "/".join(parts[:length])) in FOLDERS:
            return folder
    message = f"{node_id} is in no folder of tests/support/proof_parts.py"
    raise KeyError(message)
