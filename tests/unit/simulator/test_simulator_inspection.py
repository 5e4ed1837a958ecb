"""The inspection routes: journal, numbers, accounts and outages."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.datastructures import Headers

from contract.operations import Operation
from contract.path_segments import segment_of
from simulator.call_journal import CallJournal, ConnectionEnding, Request
from simulator.database import IN_MEMORY, connect
from tests.unit.simulator.conftest import CANCEL_PATH, OPERATION_PATH, Calls, Maker


@pytest.fixture
def outage(client: httpx2.Client) -> Iterator[Callable[..., Any]]:
    """Return a function that sets an outage; all outages end with the test."""
    yield lambda **body: client.put("/simulator/outage", json=body).raise_for_status().json()["outages"]
    client.put("/simulator/outage", json={"mode": "off"}).raise_for_status()


def test_journal_records_each_request_and_how_it_ended(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker, ended_calls: Calls, number: str
) -> None:
    client.post("/", json=adjust_body())
    client.post(CANCEL_PATH, json=cancel_body(), headers={"companyId": "8"})
    adjust, cancel = ended_calls(2)
    assert (adjust["operation"], cancel["operation"]) == ("ADJUST", "CANCEL_ADJUST")
    assert (adjust["requestUniqueNo"], adjust["reverseRequestUniqueNo"]) == (number, None)
    assert (cancel["requestUniqueNo"], cancel["reverseRequestUniqueNo"]) == (f"C1-{number}"[:48], number)
    assert json.loads(cancel["body"]) == cancel_body()
    assert (adjust["companyId"], cancel["companyId"]) == ("7", "8")
    assert (adjust["trace"], adjust["timestamp"]) == ("trace-1", "1760000000000")
    assert (adjust["httpStatus"], adjust["replyCode"], adjust["ended"]) == (200, "0", "replied")
    times = [call[at] for call in (adjust, cancel) for at in ("receivedAtNs", "endedAtNs")]
    assert times == sorted(times)


def test_calls_can_be_paged(client: httpx2.Client, adjust_body: Maker, number: str) -> None:
    for _ in range(3):
        client.post("/", json=adjust_body())
    page: dict[str, str | int] = {"number": number, "limit": 2}
    first = client.get("/simulator/calls", params=page).json()["calls"]
    rest = client.get("/simulator/calls", params=page | {"after": first[-1]["id"]}).json()["calls"]
    assert [len(first), len(rest)] == [2, 1]


def test_journal_is_bounded() -> None:
    """The oldest call is deleted first."""
    journal = CallJournal(connect(IN_MEMORY), calls_max=3)
    for number in range(5):
        body = json.dumps({"requestUniqueNo": f"N{number}"}).encode()
        journal.begin(Request(Operation.ADJUST, 1, Headers({}), body), None)
    assert [call.request_unique_no for call in journal.calls(None, 0, 10)] == ["N2", "N3", "N4"]


def test_call_that_a_killed_process_left_in_flight_is_marked() -> None:
    journal = CallJournal(connect(IN_MEMORY))
    done, interrupted = (journal.begin(Request(Operation.ADJUST, 1, Headers({}), b"{}"), None) for _ in range(2))
    journal.end(done, ConnectionEnding.REPLIED, 2, 200, "0")
    journal.close_interrupted()
    found = {call.id: (call.ended, call.ended_at_ns) for call in journal.calls(None, 0, 10)}
    assert found == {done: (ConnectionEnding.REPLIED, 2), interrupted: (ConnectionEnding.SIMULATOR_STOPPED, None)}


def test_accounts_show_exact_balances(client: httpx2.Client, adjust_body: Maker, number: str) -> None:
    client.post("/", json=adjust_body(amount="0.1"))
    client.post("/", json=adjust_body(amount="0.2", requestUniqueNo=f"{number}-2"))
    found = client.get("/simulator/accounts", params={"thirdServerCode": f"customer of {number}"}).json()
    assert found == {"accounts": [{"thirdServerCode": f"customer of {number}", "currency": "USD", "balance": "0.3"}]}


def test_number_with_a_slash_can_be_looked_up(client: httpx2.Client, adjust_body: Maker, number: str) -> None:
    name = f"{number}/7"
    client.post("/", json=adjust_body(requestUniqueNo=name))
    assert client.get(f"/simulator/numbers/{segment_of(name)}").json() == {
        "requestUniqueNo": name,
        "state": "APPLIED",
        "burnt": False,
        "timesApplied": 1,
        "timesReversed": 0,
        "amount": "12.50",
        "currency": "USD",
        "thirdServerCode": f"customer of {number}",
        "landingDueAtNs": None,
        "cancels": [],
    }


@pytest.mark.parametrize(
    "case", [("refuse", httpx2.ReadError, "reset"), ("hang", httpx2.ReadTimeout, "client_disconnected")]
)
def test_outage_without_a_reply(
    client: httpx2.Client,
    outage: Callable[..., Any],
    adjust_body: Maker,
    ended_calls: Calls,
    case: tuple[str, type[Exception], str],
) -> None:
    """The books do not change, the journal records the request, and the inspection routes still work."""
    mode, error, ended = case
    outage(mode=mode)
    with pytest.raises(error):
        client.post("/", json=adjust_body(), timeout=0.3)
    (call,) = ended_calls(1)
    assert (call["fault"], call["ended"]) == (f"outage:{mode}", ended)
    outage(mode="off")
    assert client.post("/", json=adjust_body()).json()["code"] == "0"


def test_outage_of_one_company_does_not_affect_others(
    client: httpx2.Client, outage: Callable[..., Any], adjust_body: Maker, cancel_body: Maker
) -> None:
    assert outage(mode="http_500", companyId=8) == [{"mode": "http_500", "companyId": 8}]
    assert client.post("/", json=adjust_body()).json()["code"] == "0"
    assert client.post(CANCEL_PATH, json=cancel_body(), headers={"companyId": "8"}).status_code == 500
    assert outage(mode="off", companyId=8) == []
    assert client.post(CANCEL_PATH, json=cancel_body(), headers={"companyId": "8"}).json()["code"] == "0"


def test_outage_of_one_company_overrides_an_outage_of_all(
    client: httpx2.Client, outage: Callable[..., Any], adjust_body: Maker
) -> None:
    outage(mode="hang")
    outage(mode="http_500", companyId=7)
    assert client.get("/simulator/outage").json()["outages"] == [
        {"mode": "hang", "companyId": None},
        {"mode": "http_500", "companyId": 7},
    ]
    assert client.post("/", json=adjust_body()).status_code == 500
    assert outage(mode="off") == []


def test_unknown_outage_is_refused(client: httpx2.Client) -> None:
    assert client.put("/simulator/outage", json={"mode": "explode"}).status_code == 422


@pytest.mark.parametrize("company", [True, False, "7", 7.0, 7.5, 2**63, -(2**63) - 1, 10**30])
def test_company_that_is_not_a_64_bit_integer_is_refused(client: httpx2.Client, company: object) -> None:
    """`false` is not a company; read as 0, it would change the outage of company 0."""
    answer = client.put("/simulator/outage", json={"mode": "hang", "companyId": company})
    assert answer.status_code == 422
    assert client.get("/simulator/outage").json() == {"outages": []}


@pytest.mark.parametrize("after", [2**53 + 1, 2**63, 10**20, -1])
def test_id_that_no_call_can_have_is_refused(client: httpx2.Client, after: int) -> None:
    assert client.get("/simulator/calls", params={"after": after}).status_code == 422


def test_wrong_method_gets_the_list_of_allowed_methods(client: httpx2.Client) -> None:
    """RFC 9110, 15.5.6; two routes share the path."""
    answer = client.delete("/simulator/outage")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, PUT")
    assert client.get("/").headers["allow"] == "POST"


def test_number_with_a_line_break_is_not_found(client: httpx2.Client) -> None:
    assert client.get("/simulator/numbers/a%0Ab").status_code == 404


def test_openapi_document_explains_refusals_and_links_to_the_inspection_routes(client: httpx2.Client) -> None:
    """A refusal is HTTP 200 with a code; a client that reads only the status would treat it as a success."""
    document = client.get("/openapi.json").json()
    names = {each["operationId"] for methods in document["paths"].values() for each in methods.values()}
    for path in ("/", CANCEL_PATH, OPERATION_PATH):
        operation = document["paths"][path]["post"]
        assert "Every refusal is HTTP 200" in operation["description"]
        assert {link["operationId"] for link in operation["responses"]["200"]["links"].values()} <= names
    headers = {each["name"]: each["required"] for each in document["paths"]["/"]["post"]["parameters"]}
    assert headers == {"trace": True, "timestamp": True, "companyId": False}


def test_bounds_in_the_openapi_document_are_exact(client: httpx2.Client) -> None:
    """Bounds written as floats would allow numbers that are refused."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    bounds = schemas["Outage"]["properties"]["companyId"]["anyOf"][0]
    assert (bounds["minimum"], bounds["maximum"]) == (-(2**63), 2**63 - 1)


def test_openapi_document_describes_the_operations(client: httpx2.Client) -> None:
    """The document contains the request bodies, although FastAPI does not read them."""
    document = client.get("/openapi.json").json()
    bodies = {path: spec["post"]["requestBody"] for path, spec in document["paths"].items() if "post" in spec}
    required = [body["content"]["application/json"]["schema"]["required"] for body in bodies.values()]
    assert sorted(bodies) == ["/", CANCEL_PATH, OPERATION_PATH]
    assert [len(fields) for fields in required] == [11, 10, 7]
    references = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    assert "$defs" not in json.dumps(document)


def test_file_that_is_not_a_database_is_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no database, only words, and enough of them to fill a header of 100 bytes " * 3)
    with pytest.raises(sqlite3.DatabaseError):
        connect(str(file))


@pytest.mark.parametrize("number", ["..", ".", "%2F", "a b ", "\u8ba2\u5355", "#?"])
def test_every_number_can_be_looked_up(client: httpx2.Client, adjust_body: Maker, number: str) -> None:
    client.post("/", json=adjust_body(requestUniqueNo=number))
    view = client.get(f"/simulator/numbers/{segment_of(number)}").json()
    assert (view["requestUniqueNo"], view["timesApplied"]) == (number, 1)
    (call,) = client.get("/simulator/calls", params={"number": number}).json()["calls"]
    assert call["requestUniqueNo"] == number


@pytest.mark.parametrize(
    ("query", "field"),
    [("numbr=N", "numbr"), ("number=N&number=M", "number"), ("limit=1&limit=2", "limit"), ("number=%FF", "number")],
)
def test_ambiguous_query_is_refused_by_name(client: httpx2.Client, query: str, field: str) -> None:
    answer = client.get(f"/simulator/calls?{query}")
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", field])


@pytest.mark.parametrize("path", ["health", "outage", "accounts", "numbers/N"])
def test_unknown_parameter_is_refused_on_every_route(client: httpx2.Client, path: str) -> None:
    assert client.get(f"/simulator/{path}?unknown=1").status_code == 422


def test_blank_parameters_count_as_absent(client: httpx2.Client) -> None:
    assert client.get("/simulator/calls?number=&after=&limit=").status_code == 200
