"""Who may do what at the front door, in plain words. A route that is not in `WHO_MAY` fails a test."""

import re

import httpx2

from api.keys.text import KeyText
from settlement.keys import Permission
from tests.api.doors import PEPPER, Door

EVERYBODY = None
READERS = {"platform", "viewer", "operator"}
SUBMITTERS = {"platform"}
OPERATORS = {"operator"}
ADMINS = {"admin"}

WHO_MAY: dict[tuple[str, str], set[str] | None] = {
    ("GET", "/docs"): EVERYBODY,
    ("GET", "/docs/oauth2-redirect"): EVERYBODY,
    ("GET", "/healthz"): EVERYBODY,
    ("GET", "/metrics"): READERS,
    ("GET", "/openapi.json"): EVERYBODY,
    ("GET", "/readyz"): EVERYBODY,
    ("GET", "/v1/api-keys"): ADMINS,
    ("POST", "/v1/api-keys"): ADMINS,
    ("POST", "/v1/api-keys/{keyId}/revocation"): ADMINS,
    ("GET", "/v1/batch-retry-preview"): READERS,
    ("GET", "/v1/batch-retries"): READERS,
    ("POST", "/v1/batch-retries"): OPERATORS,
    ("GET", "/v1/batch-retries/{batchId}"): READERS,
    ("GET", "/v1/batch-retries/{batchId}/items"): READERS,
    ("POST", "/v1/batch-retries/{batchId}/stop"): OPERATORS,
    ("GET", "/v1/exposure"): READERS,
    ("GET", "/v1/reconciliation"): READERS,
    ("GET", "/v1/reconciliation/findings"): READERS,
    ("POST", "/v1/reconciliation/findings/{findingId}/closing"): OPERATORS,
    ("POST", "/v1/reconciliation/rounds"): OPERATORS,
    ("POST", "/v1/reconciliation/take-up-allowances"): OPERATORS,
    ("GET", "/v1/settlements"): READERS,
    ("POST", "/v1/settlements"): SUBMITTERS,
    ("GET", "/v1/settlements/{requestUniqueNo}"): READERS,
    ("GET", "/v1/settlements/{requestUniqueNo}/events"): READERS,
    ("GET", "/v1/settlements/{requestUniqueNo}/explain"): READERS,
    ("POST", "/v1/settlements/{requestUniqueNo}/cancel-adjust-retries"): OPERATORS,
    ("POST", "/v1/settlements/{requestUniqueNo}/resolution"): OPERATORS,
}

GUARDED_ROUTES = sorted(route for route, roles in WHO_MAY.items() if roles is not EVERYBODY)
NAMES = ["-".join(route) for route in GUARDED_ROUTES]
BY_ROLES = {
    Permission.READ: READERS,
    Permission.SUBMIT: SUBMITTERS,
    Permission.ACT: OPERATORS,
    Permission.MANAGE_KEYS: ADMINS,
}

UNKNOWN_KEY = "0123456789abcdef." + "A" * 59
"""Made up by somebody who has not the pepper."""
UNISSUED_KEY = KeyText.new(PEPPER).full
"""Made with the pepper; the ledger does not know it."""


async def ask(door: Door, route: tuple[str, str], headers: dict[str, str]) -> httpx2.Response:
    """Ask for a route, with nothing in the request that it could be carried out with."""
    method, path = route
    return await door.http.request(method, re.sub(r"\{\w+\}", "nothing-1", path), headers=headers)
