"""Every route of the front door by every role, and by nobody: exactly what the table `who_may` says."""

from collections.abc import Iterator

import httpx2
import pytest

from api.app import create_app
from settlement.keys import PERMISSIONS, Role
from tests.api.answers import PROBLEM
from tests.api.doors import Door, bearer
from tests.api.who_may import BY_ROLES, EVERYBODY, GUARDED_ROUTES, NAMES, UNKNOWN_KEY, WHO_MAY, ask

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


def routes_of(door: Door) -> Iterator[tuple[str, str]]:
    """Yield method and path of every route that the app has, in its document or not."""
    for route in [*door.app.state.endpoints, *door.app.routes]:
        for method in getattr(route, "methods", None) or ():
            yield method, route.path
    for path, operations in door.app.openapi()["paths"].items():
        for method in operations:
            yield method.upper(), path


def test_every_route_is_in_the_table(closed_door: Door) -> None:
    """HEAD is GET without the body; FastAPI adds it to its own pages only."""
    assert {route for route in routes_of(closed_door) if route[0] != "HEAD"} == set(WHO_MAY)


def test_every_role_and_every_permission_occurs() -> None:
    assert {role for roles in WHO_MAY.values() if roles for role in roles} == set(Role)
    for permission, roles in BY_ROLES.items():
        assert {role.value for role in Role if permission in PERMISSIONS[role]} == roles


@pytest.mark.parametrize("route", GUARDED_ROUTES, ids=NAMES)
async def test_a_role_is_let_in_where_the_table_says_so_and_nowhere_else(guarded: Door, route: tuple[str, str]) -> None:
    let_in = set()
    for role in Role:
        answer = await ask(guarded, route, bearer(await guarded.key(role)))
        assert answer.status_code not in {401, 500}
        if answer.status_code != 403:
            let_in.add(role.value)
        else:
            assert answer.json()["code"] == "forbidden"
    assert let_in == WHO_MAY[route]


def refused(answer: httpx2.Response) -> bool:
    """Tell whether an answer says that the caller is not known, in the one way in which that is said."""
    if answer.status_code != 401:
        return False
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthenticated"
    return True


@pytest.mark.parametrize("route", GUARDED_ROUTES, ids=NAMES)
async def test_whoever_has_no_active_key_is_refused_everywhere_alike(guarded: Door, route: tuple[str, str]) -> None:
    """The answers are equal to the letter: none tells whether there is such a key, or what was wrong with it."""
    keys = [await guarded.key(role) for role in Role]
    revoked = await guarded.key(Role.PLATFORM)
    await guarded.app.state.services.keys.revoke(revoked.partition(".")[0], "the test")
    crossed = keys[0].partition(".")[0] + "." + keys[1].partition(".")[2]
    sent = [{}, *(bearer(key) for key in (UNKNOWN_KEY, revoked, crossed, keys[0][:-1] + "~"))]
    answers = [await ask(guarded, route, headers) for headers in sent]
    assert all(refused(answer) for answer in answers)
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("form", MALFORMED.values(), ids=MALFORMED)
async def test_header_that_is_none_is_refused(guarded: Door, form: str) -> None:
    key = await guarded.key(Role.VIEWER)
    key_id, _, secret = key.partition(".")
    header = form.format(key=key, id=key_id, secret=secret, ID=key_id.upper() + "A", short=key[:-1], long="A" * 10_000)
    assert refused(await ask(guarded, ("GET", "/v1/settlements"), {"authorization": header}))


async def test_two_headers_are_refused(guarded: Door) -> None:
    """Which of the two would be meant?"""
    header = ("authorization", f"Bearer {await guarded.key(Role.VIEWER)}")
    answer = await guarded.http.get("/v1/settlements", headers=[header, header])
    assert refused(answer)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_scheme_is_read_as_http_wants_it(guarded: Door, scheme: str) -> None:
    key = await guarded.key(Role.VIEWER)
    assert (await ask(guarded, ("GET", "/v1/settlements"), {"authorization": f"{scheme} {key}"})).status_code == 200


@pytest.mark.parametrize("route", sorted(set(WHO_MAY) - set(GUARDED_ROUTES)), ids="-".join)
async def test_what_is_open_needs_no_key_and_minds_none(guarded: Door, route: tuple[str, str]) -> None:
    for headers in ({}, bearer(UNKNOWN_KEY)):
        assert (await ask(guarded, route, headers)).status_code in {200, 503}


def test_document_says_of_every_operation_who_may(guarded: Door) -> None:
    document = guarded.app.openapi()
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            roles = WHO_MAY[method.upper(), path]
            if roles is EVERYBODY:
                assert not {"x-permission", "security"} & operation.keys()
                assert not {"401", "403"} & operation["responses"].keys()
                continue
            assert BY_ROLES[operation["x-permission"]] == roles
            assert operation["security"] == [{"apiKey": []}]
            assert "unauthenticated" in operation["responses"]["401"]["description"]
            assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
            assert "forbidden" in operation["responses"]["403"]["description"]
            assert "ledger-unavailable" in operation["responses"]["503"]["description"]


def test_two_apps_of_one_process_share_no_document(guarded: Door) -> None:
    """What is added to it is added to each once."""
    other = create_app(guarded.app.state.services)
    assert other.openapi() == guarded.app.openapi()
