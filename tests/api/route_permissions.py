"""Who may use each route, and what a key with the scope of another company gets. A route without a row fails a test."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2

from api.keys.text import KeyText
from ledger import BrokerStatements, Findings
from settlement.batch_retry import BatchRetryRequest
from settlement.broker_statement import StatementRequest
from settlement.keys import Permission, Role
from settlement.operator_rules import RetryReason
from settlement.reconciliation import FindingKind
from settlement.snapshot import Snapshot
from settlement.start import DEFAULT_SYSTEM
from settlement.states import Decision, State
from tests.api.api_harness import PEPPER, ApiHarness, accept
from tests.support.orders import id_of, order, settlement

COMPANY, OTHER_COMPANY = 1, 2
NO_EFFECT = {"reasonCode": "BROKER_RECOVERED", "note": "broker is back"}
RESOLUTION = {"reasonCode": "OTHER", "note": "reversed by the broker", "brokerReference": "ticket 17"}
BATCH = NO_EFFECT | {"selection": {"companyId": COMPANY}, "expectedCount": 1}
NEW_KEY = {"client": "new", "role": "viewer", "companies": [1]}
PROPOSAL = {"proposalNo": 0, "note": "checked"}
STATEMENT = {
    "digest": "a" * 64,
    "startsAt": "2026-01-05T00:00:00Z",
    "endsAt": "2026-01-06T00:00:00Z",
    "lineCount": 0,
}
AFTER_THE_END = {"last-event-id": "99"}


@dataclass(frozen=True)
class Row:
    """One route: who may use it, and the status of a valid request about COMPANY, while Temporal is unreachable."""

    roles: frozenset[Role] | None
    """None: public."""
    right: int = 200
    """With a key of such a role whose scope has the company."""
    foreign: int = 200
    """With a key of such a role whose scope is only OTHER_COMPANY."""
    body: Any = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    everything: bool = False
    """Whether it concerns the whole installation, so that only the scope `all` may use it."""


PUBLIC = Row(None)
READERS = frozenset({Role.PLATFORM, Role.VIEWER, Role.OPERATOR})
OPERATORS = frozenset({Role.OPERATOR})
ADMINS = frozenset({Role.ADMIN})

# 503 with the right key: the request was allowed, but it needs Temporal.
ROWS: dict[tuple[str, str], Row] = {
    ("GET", "/docs"): PUBLIC,
    ("GET", "/docs/oauth2-redirect"): PUBLIC,
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/metrics"): Row(READERS, foreign=403, everything=True),
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/v1/api-keys"): Row(ADMINS, foreign=403, everything=True),
    ("POST", "/v1/api-keys"): Row(ADMINS, right=201, foreign=403, everything=True, body=NEW_KEY),
    ("POST", "/v1/api-keys/{keyId}/revocation"): Row(ADMINS, foreign=403, everything=True),
    ("GET", "/v1/batch-retry-preview"): Row(READERS, params={"all": "true"}),
    ("GET", "/v1/batch-retries"): Row(READERS),
    ("POST", "/v1/batch-retries"): Row(OPERATORS, right=202, foreign=403, body=BATCH),
    ("GET", "/v1/batch-retries/{batchId}"): Row(READERS, foreign=404),
    ("GET", "/v1/batch-retries/{batchId}/items"): Row(READERS, foreign=404),
    ("POST", "/v1/batch-retries/{batchId}/stop"): Row(OPERATORS, foreign=404),
    ("GET", "/v1/exposure"): Row(READERS),
    ("GET", "/v1/external-systems"): Row(READERS),
    # The system of the test serves every company.
    ("GET", "/v1/external-systems/{name}"): Row(READERS),
    ("POST", "/v1/external-systems/{name}/pause"): Row(
        OPERATORS, foreign=403, everything=True, body={"note": "checked"}
    ),
    ("POST", "/v1/external-systems/{name}/resume"): Row(
        OPERATORS, foreign=403, everything=True, body={"note": "checked"}
    ),
    ("GET", "/v1/security-events"): Row(OPERATORS | ADMINS, foreign=403, everything=True),
    ("GET", "/v1/reconciliation"): Row(READERS, foreign=403, everything=True),
    ("GET", "/v1/reconciliation/findings"): Row(READERS),
    ("POST", "/v1/reconciliation/findings/{findingId}/closing"): Row(OPERATORS, foreign=404, body={"note": "checked"}),
    ("POST", "/v1/reconciliation/rounds"): Row(OPERATORS, right=503, foreign=403, everything=True),
    ("POST", "/v1/reconciliation/take-up-allowances"): Row(
        OPERATORS, right=201, foreign=403, everything=True, body={"count": 1, "note": "checked"}
    ),
    ("GET", "/v1/settlements"): Row(READERS),
    ("POST", "/v1/settlements"): Row(
        frozenset({Role.PLATFORM}), right=503, foreign=403, body=order(), headers={"companyId": str(COMPANY)}
    ),
    ("GET", "/v1/settlements/{requestUniqueNo}"): Row(READERS, foreign=404),
    ("GET", "/v1/settlements/{requestUniqueNo}/events"): Row(READERS, right=204, foreign=404, headers=AFTER_THE_END),
    ("GET", "/v1/settlements/{requestUniqueNo}/explain"): Row(READERS, foreign=404),
    ("POST", "/v1/settlements/{requestUniqueNo}/cancel-adjust-retries"): Row(
        OPERATORS, right=503, foreign=404, body=NO_EFFECT
    ),
    ("POST", "/v1/settlements/{requestUniqueNo}/resolution"): Row(OPERATORS, right=503, foreign=404, body=RESOLUTION),
    ("POST", "/v1/settlements/{requestUniqueNo}/resolution-approvals"): Row(
        OPERATORS, right=503, foreign=404, body=PROPOSAL
    ),
    ("POST", "/v1/settlements/{requestUniqueNo}/resolution-withdrawals"): Row(
        OPERATORS, right=503, foreign=404, body=PROPOSAL
    ),
    ("GET", "/v1/statements"): Row(READERS, foreign=403, everything=True),
    ("POST", "/v1/statements"): Row(OPERATORS, right=201, foreign=403, everything=True, body=STATEMENT),
    ("GET", "/v1/statements/{statementId}"): Row(READERS, foreign=403, everything=True),
    ("POST", "/v1/statements/{statementId}/comparison"): Row(OPERATORS, foreign=403, everything=True),
    ("POST", "/v1/statements/{statementId}/lines"): Row(
        OPERATORS, foreign=403, everything=True, body={"position": 0, "lines": []}
    ),
}

PROTECTED_ROUTES = sorted(route for route, row in ROWS.items() if row.roles is not None)
NAMES = ["-".join(route) for route in PROTECTED_ROUTES]
ROLES_BY_PERMISSION = {
    Permission.READ: READERS,
    Permission.SUBMIT: frozenset({Role.PLATFORM}),
    Permission.ACT: OPERATORS,
    Permission.MANAGE_KEYS: ADMINS,
    Permission.READ_SECURITY_EVENTS: OPERATORS | ADMINS,
}

FORGED_KEY = "0123456789abcdef." + "A" * 59
"""Made without the pepper."""
UNISSUED_KEY = KeyText.new(PEPPER).full
"""Made with the pepper, but not in the ledger."""


async def stock(api: ApiHarness) -> dict[str, str]:
    """Write an ABORTED and a SETTLED settlement, a batch, a finding and a key of COMPANY; return their ids by name.

    The settlement in paths is the ABORTED one; its event stream would not end, so `events` has the SETTLED one.
    """
    now = datetime.now(UTC)
    numbers = []
    for state, decision in ((State.ABORTED, Decision.VOID), (State.SETTLED, Decision.PROCEED)):
        snapshot = Snapshot(version=1, state=state, decision=decision, decided_at=now, updated_at=now)
        numbers.append(await accept(api.ledger, settlement(company_id=COMPANY), snapshot))
    request = BatchRetryRequest.model_validate(BATCH | {"reasonCode": RetryReason.BROKER_RECOVERED})
    batch = await api.app.state.services.batches.create(request, "the test", now)
    finding = await Findings(api.ledger.engine).report(
        FindingKind.DECISION_CONFLICT, id_of(numbers[0]), "they differ", round_started_at=now
    )
    # Of other lines than the import that the table begins.
    to_import = StatementRequest.model_validate(STATEMENT | {"digest": "b" * 64})
    statement = (await BrokerStatements(api.ledger.engine).create(to_import, "the test", now)).statement
    key = await api.create_key(Role.VIEWER, "spare", (COMPANY,))
    return {
        "requestUniqueNo": numbers[0],
        "events": numbers[1],
        "batchId": batch.batch_id,
        "findingId": str(finding),
        "keyId": key.partition(".")[0],
        "name": DEFAULT_SYSTEM,
        "statementId": str(statement.statement_id),
    }


async def request_route(
    api: ApiHarness, route: tuple[str, str], headers: dict[str, str], ids: Mapping[str, str] | None = None
) -> httpx2.Response:
    """Send a valid request about the things with these ids; without ids, one that has no effect if it is allowed."""
    method, path = route
    if ids is None:
        return await api.http.request(method, re.sub(r"\{\w+\}", "nothing-1", path), headers=headers)
    row = ROWS[route]
    if path.endswith("/events"):
        path = path.replace("{requestUniqueNo}", "{events}")
    return await api.http.request(
        method, path.format(**ids), headers={**headers, **row.headers}, json=row.body, params=dict(row.params)
    )
