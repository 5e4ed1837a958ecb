"""Every route with every role and without a key: permitted exactly as `route_permissions` says."""

from collections.abc import Iterator

import httpx2
import pytest

from api.app import create_app
from settlement.keys import PERMISSIONS, Role
from tests.api.api_harness import ApiHarness, bearer
from tests.api.openapi_checker import PROBLEM
from tests.api.route_permissions import (
    FORGED_KEY,
    NAMES,
    PROTECTED_ROUTES,
    PUBLIC,
    ROLES_BY_PERMISSION,
    ROLES_BY_ROUTE,
    request_route,
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
    assert {route for route in routes_of(api_without_temporal) if route[0] != "HEAD"} == set(ROLES_BY_ROUTE)


def test_every_role_and_every_permission_occurs() -> None:
    assert {role for roles in ROLES_BY_ROUTE.values() if roles for role in roles} == set(Role)
    for permission, roles in ROLES_BY_PERMISSION.items():
        assert {role.value for role in Role if permission in PERMISSIONS[role]} == roles


@pytest.mark.parametrize("route", PROTECTED_ROUTES, ids=NAMES)
async def test_a_role_is_permitted_exactly_where_the_table_says_so(
    api_with_keys: ApiHarness, route: tuple[str, str]
) -> None:
    permitted = set()
    for role in Role:
        answer = await request_route(api_with_keys, route, bearer(await api_with_keys.create_key(role)))
        assert answer.status_code not in {401, 500}
        if answer.status_code != 403:
            permitted.add(role.value)
        else:
            assert answer.json()["code"] == "forbidden"
    assert permitted == ROLES_BY_ROUTE[route]


def refused(answer: httpx2.Response) -> bool:
    """Return whether a response is a well-formed 401."""
    if answer.status_code != 401:
        return False
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthenticated"
    return True


@pytest.mark.parametrize("route", PROTECTED_ROUTES, ids=NAMES)
async def test_without_an_active_key_every_route_gives_the_same_401(
    api_with_keys: ApiHarness, route: tuple[str, str]
) -> None:
    """All responses are byte for byte equal: none reveals whether the key exists or why it was rejected."""
    keys = [await api_with_keys.create_key(role) for role in Role]
    revoked = await api_with_keys.create_key(Role.PLATFORM)
    await api_with_keys.app.state.services.keys.revoke(revoked.partition(".")[0], "the test")
    crossed = keys[0].partition(".")[0] + "." + keys[1].partition(".")[2]
    sent = [{}, *(bearer(key) for key in (FORGED_KEY, revoked, crossed, keys[0][:-1] + "~"))]
    answers = [await request_route(api_with_keys, route, headers) for headers in sent]
    assert all(refused(answer) for answer in answers)
    assert len({answer.content for answer in answers}) == 1


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


@pytest.mark.parametrize("route", sorted(set(ROLES_BY_ROUTE) - set(PROTECTED_ROUTES)), ids="-".join)
async def test_public_routes_need_no_key_and_ignore_one(api_with_keys: ApiHarness, route: tuple[str, str]) -> None:
    for headers in ({}, bearer(FORGED_KEY)):
        assert (await request_route(api_with_keys, route, headers)).status_code in {200, 503}


def test_the_document_has_the_permission_of_every_operation(api_with_keys: ApiHarness) -> None:
    document = api_with_keys.app.openapi()
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            roles = ROLES_BY_ROUTE[method.upper(), path]
            if roles is PUBLIC:
                assert not {"x-permission", "security"} & operation.keys()
                assert not {"401", "403"} & operation["responses"].keys()
                continue
            assert ROLES_BY_PERMISSION[operation["x-permission"]] == roles
            assert operation["security"] == [{"apiKey": []}]
            assert "unauthenticated" in operation["responses"]["401"]["description"]
            assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
            assert "forbidden" in operation["responses"]["403"]["description"]
            assert "ledger-unavailable" in operation["responses"]["503"]["description"]


def test_two_apps_of_one_process_share_no_document(api_with_keys: ApiHarness) -> None:
    """Each document gets the security additions once."""
    other = create_app(api_with_keys.app.state.services)
    assert other.openapi() == api_with_keys.app.openapi()
