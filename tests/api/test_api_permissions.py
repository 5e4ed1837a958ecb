"""Every route with every kind of key: answered exactly as `route_permissions` says."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
import time_machine

from api.app import create_app
from schemas.keys import ApiKeyRequest
from settlement.keys import PERMISSIONS, Role
from settlement.scope import Companies
from tests.api.api_harness import ApiHarness, bearer
from tests.api.openapi_checker import PROBLEM
from tests.api.route_permissions import (
    COMPANY,
    FORGED_KEY,
    NAMES,
    OTHER_COMPANY,
    PROTECTED_ROUTES,
    PUBLIC,
    ROLES_BY_PERMISSION,
    ROWS,
    UNISSUED_KEY,
    request_route,
    stock,
)

MALFORMED = {
    "no scheme": "{key}",
    "another scheme": "Basic {key}",
    "scheme alone": "Bearer",
    "scheme and a blank": "Bearer ",
    "scheme without a blank": "Bearer{key}",
    "two keys": "Bearer {key} {key}",
    "a list": "Bearer {key}, Bearer {key}",
    "a parameter": "Bearer {key};x=1",
    "quoted": 'Bearer "{key}"',
    "id alone": "Bearer {id}",
    "id and a dot": "Bearer {id}.",
    "secret alone": "Bearer {secret}",
    "upper case id": "Bearer {ID}.{secret}",
    "cut short": "Bearer {short}",
    "one more": "Bearer {key}A",
    "tab": "Bearer\t{key}",
    "very long": "Bearer {long}",
}


def routes_of(api: ApiHarness) -> Iterator[tuple[str, str]]:
    """Yield method and path of every route that the app has, in its document or not."""
    for route in [*api.app.state.endpoints, *api.app.routes]:
        for method in getattr(route, "methods", None) or ():
            yield method, route.path
    for path, operations in api.app.openapi()["paths"].items():
        for method in operations:
            yield method.upper(), path


def test_every_route_is_in_the_table(api_without_temporal: ApiHarness) -> None:
    """HEAD is left out: FastAPI adds it only to its own pages."""
    assert {route for route in routes_of(api_without_temporal) if route[0] != "HEAD"} == set(ROWS)


def test_every_role_and_every_permission_occurs() -> None:
    assert {role for row in ROWS.values() if row.roles for role in row.roles} == set(Role)
    for permission, roles in ROLES_BY_PERMISSION.items():
        assert {role for role in Role if permission in PERMISSIONS[role]} == roles


def refused(answer: httpx2.Response) -> bool:
    """Return whether a response is a well-formed 401."""
    if answer.status_code != 401:
        return False
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthenticated"
    return True


async def key_of(api: ApiHarness, role: Role, companies: Companies) -> str:
    """Create a key, also one that the API does not create: an admin with the scope of one company."""
    request = ApiKeyRequest.model_construct(client=f"{role}-{companies}", role=role, companies=companies)
    made = await api.app.state.services.keys.create(request, "the test")
    return str(made.api_key)


async def expired_key(api: ApiHarness, role: Role) -> str:
    """Create a key, and let its time pass."""
    key = await api.create_key(role, "late", expires_in_s=60)
    with time_machine.travel(datetime.now(UTC) - timedelta(days=1)):
        late = await api.create_key(role, "late", expires_in_s=60)
    assert not refused(await request_route(api, ("GET", "/v1/settlements"), bearer(key)))
    return late


async def revoked_key(api: ApiHarness, role: Role) -> str:
    """Create a key and revoke it."""
    key = await api.create_key(role, "gone")
    await api.app.state.services.keys.revoke(key.partition(".")[0], "the test")
    return key


@pytest.mark.parametrize("route", PROTECTED_ROUTES, ids=NAMES)
async def test_each_kind_of_key_gets_the_status_of_the_table(api_with_keys: ApiHarness, route: tuple[str, str]) -> None:
    """No key, a wrong, revoked or expired one; every role; the scope of another company; and the right key.

    The harness compares every response with the OpenAPI document, so each of these statuses is documented. Without a
    valid key, all responses are byte for byte equal: none reveals whether the key exists or why it was rejected.
    """
    api, row, ids = api_with_keys, ROWS[route], await stock(api_with_keys)
    assert row.roles is not None
    scope: Companies = "all" if row.everything else (COMPANY, 3)
    keys = {role: await key_of(api, role, "all" if role is Role.ADMIN else scope) for role in Role}
    [role, *_] = sorted(row.roles)
    crossed = keys[Role.VIEWER].partition(".")[0] + "." + keys[Role.ADMIN].partition(".")[2]
    invalid = [FORGED_KEY, UNISSUED_KEY, crossed, await revoked_key(api, role), await expired_key(api, role)]
    answers = [await request_route(api, route, each, ids) for each in ({}, *map(bearer, invalid))]
    assert all(refused(answer) for answer in answers)
    assert len({answer.content for answer in answers}) == 1
    foreign = await request_route(api, route, bearer(await key_of(api, role, (OTHER_COMPANY,))), ids)
    assert foreign.status_code == row.foreign
    for each in sorted(Role, key=row.roles.__contains__):
        answer = await request_route(api, route, bearer(keys[each]), ids)
        assert answer.status_code == (row.right if each in row.roles else 403), each
        assert each in row.roles or answer.json()["code"] == "forbidden"


@pytest.mark.parametrize("form", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_authorization_header_is_rejected(api_with_keys: ApiHarness, form: str) -> None:
    key = await api_with_keys.create_key(Role.VIEWER)
    key_id, _, secret = key.partition(".")
    header = form.format(key=key, id=key_id, secret=secret, ID=key_id.upper() + "A", short=key[:-1], long="A" * 10_000)
    assert refused(await request_route(api_with_keys, ("GET", "/v1/settlements"), {"authorization": header}))


async def test_two_authorization_headers_are_rejected(api_with_keys: ApiHarness) -> None:
    """It is ambiguous which key is meant."""
    header = ("authorization", f"Bearer {await api_with_keys.create_key(Role.VIEWER)}")
    answer = await api_with_keys.http.get("/v1/settlements", headers=[header, header])
    assert refused(answer)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_the_scheme_is_case_insensitive(api_with_keys: ApiHarness, scheme: str) -> None:
    key = await api_with_keys.create_key(Role.VIEWER)
    assert (
        await request_route(api_with_keys, ("GET", "/v1/settlements"), {"authorization": f"{scheme} {key}"})
    ).status_code == 200


@pytest.mark.parametrize("route", sorted(set(ROWS) - set(PROTECTED_ROUTES)), ids="-".join)
async def test_public_routes_need_no_key_and_ignore_one(api_with_keys: ApiHarness, route: tuple[str, str]) -> None:
    for headers in ({}, bearer(FORGED_KEY)):
        assert (await request_route(api_with_keys, route, headers)).status_code in {200, 503}


def test_the_document_has_the_permission_of_every_operation(api_with_keys: ApiHarness) -> None:
    document = api_with_keys.app.openapi()
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            row = ROWS[method.upper(), path]
            if row is PUBLIC:
                assert not {"x-permission", "security"} & operation.keys()
                assert not {"401", "403", "429"} & operation["responses"].keys()
                continue
            assert ROLES_BY_PERMISSION[operation["x-permission"]] == row.roles
            assert operation.get("x-scope") == ("all" if row.everything else None)
            assert operation["security"] == [{"apiKey": []}]
            assert "unauthenticated" in operation["responses"]["401"]["description"]
            assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
            assert "forbidden" in operation["responses"]["403"]["description"]
            assert "rate-limited" in operation["responses"]["429"]["description"]
            assert {"RateLimit", "RateLimit-Policy"} <= operation["responses"]["429"]["headers"].keys()
            assert "ledger-unavailable" in operation["responses"]["503"]["description"]


def test_two_apps_of_one_process_share_no_document(api_with_keys: ApiHarness) -> None:
    """Each document gets the security additions once."""
    other = create_app(api_with_keys.app.state.services)
    assert other.openapi() == api_with_keys.app.openapi()
