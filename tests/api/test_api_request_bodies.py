"""Behind real uvicorn: bodies that are too large, chunked or incomplete, and callers that disconnect."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from api.http.strict_body import BODY_BYTES_MAX
from settlement.states import State
from tests.api.api_harness import SETTLEMENTS, ApiHarness, openapi_checker
from tests.api.openapi_checker import PROBLEM
from tests.api.sockets import HOST, RawResponse, chunk, exchange, head, served
from tests.support.orders import order
from tests.support.polling import until
from tests.support.scripted import APPLIED, Gate, ScriptedExternalSystem

JSON = "content-type: application/json"
CHUNKED = "transfer-encoding: chunked"
RETRIES = f"{SETTLEMENTS}/N-1/cancel-adjust-retries"


@pytest_asyncio.fixture
async def port(api_without_temporal: ApiHarness) -> AsyncIterator[int]:
    """Yield the port of an app without Temporal: an accepted order gets temporal-unavailable."""
    async with served(api_without_temporal.app) as chosen:
        yield chosen


def post(length: int | str, path: str = SETTLEMENTS) -> bytes:
    """Return the head of a POST that announces a length."""
    return head("POST", path, JSON, f"content-length: {length}")


def padded(length: int) -> bytes:
    """Return a valid order of exactly this many bytes."""
    return json.dumps(order()).encode().ljust(length)


def code(answer: RawResponse) -> str:
    """Return the code of a well-formed problem."""
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    openapi_checker().validate({"$ref": "#/components/schemas/Problem"}, problem)
    assert problem["status"] == answer.status
    return str(problem["code"])


async def test_largest_body_is_accepted_and_one_byte_more_is_not(port: int, api_without_temporal: ApiHarness) -> None:
    accepted = await exchange(port, post(BODY_BYTES_MAX), padded(BODY_BYTES_MAX))
    refused = await exchange(port, post(BODY_BYTES_MAX + 1), padded(BODY_BYTES_MAX + 1))
    assert code(accepted) == "temporal-unavailable"
    assert (refused.status, code(refused)) == (413, "body-too-large")
    assert len(await api_without_temporal.accepted_numbers()) == 1


async def test_a_too_large_content_length_is_rejected_before_the_body_arrives(port: int) -> None:
    for length in (BODY_BYTES_MAX + 1, 10**9, 10**18):
        answer = await exchange(port, post(length))
        assert (answer.status, code(answer)) == (413, "body-too-large")


async def test_an_invalid_content_length_is_a_4xx(port: int, api_without_temporal: ApiHarness) -> None:
    for length in ("-1", "1e3", "0x10", "", "1_000", "9" * 21, "9" * 5000):
        answer = await exchange(port, post(length), b"{}")
        assert 400 <= answer.status < 500, length
        assert b"Traceback" not in answer.content
    assert await api_without_temporal.accepted_numbers() == []


async def test_chunked_body_is_refused_as_soon_as_it_is_too_large(port: int, api_without_temporal: ApiHarness) -> None:
    """The response does not wait for the end of the body."""
    chunks = [chunk(b" " * 4096)] * (BODY_BYTES_MAX // 4096) + [chunk(b" ")]
    answer = await exchange(port, head("POST", SETTLEMENTS, JSON, CHUNKED), *chunks)
    assert (answer.status, code(answer)) == (413, "body-too-large")
    assert await api_without_temporal.accepted_numbers() == []


async def test_chunked_body_within_the_limit_is_accepted(port: int, api_without_temporal: ApiHarness) -> None:
    body = padded(BODY_BYTES_MAX)
    pieces = [chunk(body[start : start + 100]) for start in range(0, len(body), 100)]
    answer = await exchange(port, head("POST", SETTLEMENTS, JSON, CHUNKED), *pieces, chunk(b""))
    assert code(answer) == "temporal-unavailable"
    assert len(await api_without_temporal.accepted_numbers()) == 1


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
async def test_the_body_of_an_operator_action_is_limited(port: int, *, chunked: bool) -> None:
    body = b" " * (BODY_BYTES_MAX + 1)
    answer = (
        await exchange(port, head("POST", RETRIES, JSON, CHUNKED), chunk(body), chunk(b""))
        if chunked
        else await exchange(port, post(len(body), RETRIES), body)
    )
    assert (answer.status, code(answer)) == (413, "body-too-large")


async def test_an_incomplete_body_is_not_accepted(port: int, api_without_temporal: ApiHarness) -> None:
    body = padded(400)
    _, writer = await asyncio.open_connection(HOST, port)
    writer.write(post(len(body)) + body[:-1])
    await writer.drain()
    writer.close()
    # A response on another connection shows that the server has processed the disconnect.
    answer = await exchange(port, head("GET", "/healthz"))
    assert answer.status == 200
    assert await api_without_temporal.accepted_numbers() == []


async def test_a_caller_that_disconnects_while_waiting_loses_nothing(api: ApiHarness) -> None:
    """The settlement continues, and its state can be read."""
    body = order()
    content = json.dumps(body).encode()
    gate = Gate(APPLIED)
    external = ScriptedExternalSystem(adjust=gate)
    async with api.workers(external), served(api.app) as chosen:
        _, writer = await asyncio.open_connection(HOST, chosen)
        writer.write(head("POST", SETTLEMENTS, JSON, f"content-length: {len(content)}", "prefer: wait=10") + content)
        await until(lambda: _is_set(gate.reached), what="the adjust")
        writer.close()
        gate.opened.set()
        await api.wait_for_state(body["requestUniqueNo"], State.SETTLED)
    assert len(external.adjusts) == 1


async def _is_set(event: asyncio.Event) -> bool:
    return event.is_set()


NOT_FOUND = [
    "/v1/settlements/%00",
    "/v1/settlements/%ff%fe",
    "/v1/settlements/%2F",
    "/v1/settlements/N%2F1",
    "/v1/settlements/..%2f..%2fetc",
    "/v1/settlements/%",
    "/v1/settlements/%E2%82%AC",
    "/v1/settlements/%0d%0aX-Evil:%20yes",
    "/v1/settlements/" + "N" * 30_000,
]
INVALID = [
    "/v1/settlements?cursor=%ff%fe",
    "/v1/settlements?cursor=%00",
    "/v1/settlements?limit=%00",
    "/v1/settlements?state=%F0%9F%98%80",
]


async def status_and_code(port: int, path: str) -> tuple[int, str]:
    """Return status and code of a GET of a path."""
    answer = await exchange(port, head("GET", path))
    assert "x-evil" not in answer.headers
    return answer.status, code(answer) if answer.content else "no body"


async def test_a_path_without_a_valid_number_is_not_found(port: int) -> None:
    answers = {path: await status_and_code(port, path) for path in NOT_FOUND}
    assert answers == dict.fromkeys(NOT_FOUND, (404, "not-found"))


async def test_an_invalid_query_is_rejected(port: int) -> None:
    answers = {path: await status_and_code(port, path) for path in INVALID}
    assert answers == dict.fromkeys(INVALID, (422, "validation-failed"))
