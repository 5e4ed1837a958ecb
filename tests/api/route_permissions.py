"""The roles that may use each route. A route that is missing in `ROLES_BY_ROUTE` fails a test."""

import re

import httpx2

from api.keys.text import KeyText
from settlement.keys import Permission
from tests.api.api_harness import PEPPER, ApiHarness

PUBLIC = None
READERS = {"platform", "viewer", "operator"}
SUBMITTERS = {"platform"}
OPERATORS = {"operator"}
ADMINS = {"admin"}

ROLES_BY_ROUTE: dict[tuple[str, str], set[str] | None] = {
    ("GET", "/docs"): PUBLIC,
    ("GET", "/docs/oauth2-redirect"): PUBLIC,
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/metrics"): READERS,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
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

PROTECTED_ROUTES = sorted(route for route, roles in ROLES_BY_ROUTE.items() if roles is not PUBLIC)
NAMES = ["-".join(route) for route in PROTECTED_ROUTES]
ROLES_BY_PERMISSION = {
    Permission.READ: READERS,
    Permission.SUBMIT: SUBMITTERS,
    Permission.ACT: OPERATORS,
    Permission.MANAGE_KEYS: ADMINS,
}

FORGED_KEY = "0123456789abcdef." + "A" * 59
"""Made without the pepper."""
UNISSUED_KEY = KeyText.new(PEPPER).full
"""Made with the pepper, but not in the ledger."""


async def request_route(api: ApiHarness, route: tuple[str, str], headers: dict[str, str]) -> httpx2.Response:
    """Request a route without a valid body or id, so that an allowed request has no effect."""
    method, path = route
    return await api.http.request(method, re.sub(r"\{\w+\}", "nothing-1", path), headers=headers)
