"""The contract's rules for requests: the simulator refuses with HTTP 200 and a reply of table 4."""

import json
from typing import Any

import httpx2
import pytest

from simulator.request_handler import BODY_SIZE_MAX
from tests.unit.simulator.conftest import CANCEL_PATH, OPERATION_PATH, Maker

TABLE_4 = {"bizCode", "code", "msg", "tm", "trace", "msgParams", "data", "ok", "fail"}


def refused(response: httpx2.Response) -> str:
    """Check that the reply is a complete refusal for a broken rule, and return its msg."""
    reply = response.json()
    assert (response.status_code, set(reply)) == (200, TABLE_4)
    assert (reply["code"], reply["ok"], reply["fail"]) == ("US_0000400", False, True)
    message: str = reply["msg"]
    return message


def test_success_is_a_complete_reply_of_table_4(client: httpx2.Client, adjust_body: Maker) -> None:
    reply = client.post("/", json=adjust_body(), headers={"trace": "trace-of-its-own"}).json()
    assert isinstance(reply.pop("tm"), int)
    assert reply == {
        "bizCode": "SIMULATOR",
        "code": "0",
        "msg": "the adjust is applied",
        "trace": "trace-of-its-own",
        "msgParams": "",
        "data": {},
        "ok": True,
        "fail": False,
    }


@pytest.mark.parametrize("field", ["thirdServerCode", "userName", "currency", "amount", "requestUniqueNo", "ip"])
def test_each_missing_field_is_named(client: httpx2.Client, adjust_body: Maker, field: str) -> None:
    body = adjust_body()
    del body[field]
    assert refused(client.post("/", json=body)) == f"{field}: Field required"


@pytest.mark.parametrize("amount", ["1e5", "+1", "-1", "0", "1.234", 12.5, "NaN", ""])
def test_amount_that_is_not_a_plain_positive_decimal_is_refused(
    client: httpx2.Client, adjust_body: Maker, amount: object
) -> None:
    assert refused(client.post("/", json=adjust_body(amount=amount))).startswith("amount: ")


def test_cancel_amount_is_only_positive(client: httpx2.Client, cancel_body: Maker) -> None:
    message = refused(client.post(CANCEL_PATH, json=cancel_body(amount="-12.50")))
    assert message == "amount: must be positive in a cancel adjust"


def test_cancel_operation_is_read_by_table_3(client: httpx2.Client) -> None:
    message = refused(client.post(OPERATION_PATH, json={"txid": "T", "reverse_type": 3}))
    assert {part.partition(":")[0] for part in message.split("; ")} == {
        "username",
        "tx_reverse_id",
        "reverse_type",
        "requesttime",
        "ip",
        "cancel_remark",
    }


@pytest.mark.parametrize(
    "header",
    [
        ("trace", None),
        ("timestamp", None),
        ("timestamp", "1760000000"),
        ("timestamp", "17600000000000"),
        ("timestamp", "now"),
        ("companyId", "7.0"),
    ],
)
@pytest.mark.parametrize("path", ["/", CANCEL_PATH])
def test_headers_are_checked(
    url: str, adjust_body: Maker, cancel_body: Maker, path: str, header: tuple[str, str | None]
) -> None:
    headers = dict([("trace", "t"), ("timestamp", "1760000000000"), header])
    sent = {name: text for name, text in headers.items() if text is not None}
    body = adjust_body() if path == "/" else cancel_body()
    assert refused(httpx2.post(url + path, json=body, headers=sent)).startswith(f"header {header[0]}: ")


@pytest.mark.parametrize("path", ["/", CANCEL_PATH, OPERATION_PATH])
@pytest.mark.parametrize("name", ["trace", "companyId", "timestamp"])
@pytest.mark.parametrize("values", [["7", "8"], ["7,8"]], ids=["twice", "as a list"])
def test_header_with_one_value_is_refused_when_it_has_two(
    url: str, adjust_body: Maker, path: str, name: str, values: list[str]
) -> None:
    others = {"trace": "t", "timestamp": "1760000000000"}
    headers = [*((key, value) for key, value in others.items() if key != name), *((name, each) for each in values)]
    assert f"header {name}: this header has one value" in refused(
        httpx2.post(url + path, json=adjust_body(), headers=headers)
    )


def test_company_in_the_query_is_refused(client: httpx2.Client, adjust_body: Maker) -> None:
    """If it were ignored, the order would be settled without a company."""
    assert refused(client.post("/?companyId=7", json=adjust_body())).startswith("query companyId: send companyId as a")


def test_blank_company_counts_as_absent(client: httpx2.Client, adjust_body: Maker) -> None:
    assert client.post("/", json=adjust_body(), headers={"companyId": ""}).json()["code"] == "0"


def test_cancel_operation_needs_no_header(url: str, cancel_operation_body: dict[str, Any]) -> None:
    reply = httpx2.post(url + OPERATION_PATH, json=cancel_operation_body).json()
    assert (reply["code"], reply["trace"]) == ("US_0000002", "")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"requestUniqueNo": "\\ud800"}', b"[" * 50_000],
    ids=["empty", "half", "list", "null", "no UTF-8", "lone surrogate", "deep"],
)
def test_body_that_is_not_a_json_object_is_refused(client: httpx2.Client, content: bytes) -> None:
    refused(client.post("/", content=content))


def test_body_above_the_limit_is_refused_and_not_read_on(client: httpx2.Client, adjust_body: Maker) -> None:
    content = json.dumps(adjust_body()).encode() + b" " * BODY_SIZE_MAX
    assert refused(client.post("/", content=content)) == f"body: longer than {BODY_SIZE_MAX} bytes"


def test_refused_request_does_not_change_the_books_and_is_recorded_in_the_journal(
    client: httpx2.Client, adjust_body: Maker, number: str
) -> None:
    refused(client.post("/", json=adjust_body(currency="usd")))
    assert client.get(f"/simulator/numbers/{number}").json()["state"] == "NEVER_RECEIVED"
    (call,) = client.get("/simulator/calls", params={"number": number}).json()["calls"]
    assert (call["requestUniqueNo"], call["replyCode"], call["fault"]) == (number, "US_0000400", None)


def test_unknown_field_is_ignored(
    client: httpx2.Client, adjust_body: Maker, cancel_body: Maker, cancel_operation_body: dict[str, Any]
) -> None:
    """docs/contract.md#unknown-fields: a later version of the contract may add a field."""
    number = adjust_body()["requestUniqueNo"]
    adjust, cancel = {**adjust_body(), "note": {"a": 1}}, {**cancel_body(), "note": "x"}
    operation = {**cancel_operation_body, "note": 1}
    paths = (("/", adjust), (CANCEL_PATH, cancel), (OPERATION_PATH, operation))
    assert [client.post(path, json=body).json()["code"] for path, body in paths] == ["0", "0", "0"]
    assert client.get(f"/simulator/numbers/{number}").json()["timesReversed"] == 1


def test_number_of_a_refused_request_can_be_used_again(client: httpx2.Client, adjust_body: Maker) -> None:
    refused(client.post("/", json=adjust_body(currency="usd")))
    assert client.post("/", json=adjust_body()).json()["code"] == "0"
