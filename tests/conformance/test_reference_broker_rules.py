"""The reference broker refuses what breaks a rule, by the name of the field, and replies as table 4 says."""

import asyncio

import pytest

from tests.support.reference_broker import CANCEL_ADJUST, NOW, PARALLEL, Broker, adjust_body, cancel_body


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "0"},
        {"amount": "-1"},
        {"amount": "1", "operationType": "ABNORMAL_OVERTRADING"},
        {"amount": "1e1"},
        {"amount": "+1"},
        {"amount": " 1"},
        {"amount": "01"},
        {"amount": "NaN"},
        {"amount": 1.5},
        {"amount": "1.234"},
        {"amountDigits": "2"},
        {"amountDigits": -1},
        {"bizType": True},
        {"bizType": 1.0},
        {"bizType": 3},
        {"operationType": "open_position"},
        {"currency": "usd"},
        {"currency": "XXX"},
        {"currency": "XTS"},
        {"currency": "ZZZ"},
        {"userName": "x" * 49},
        {"userName": ""},
        {"userName": "a\0"},
        {"userName": "\ud800"},
        {"thirdServerCode": None},
        {"orderId": 2**63},
        {"orderId": "7"},
        {"requestTime": NOW // 1000},
        {"metadata": "x" * 201},
    ],
    ids=repr,
)
async def test_a_broken_rule_is_refused_and_changes_nothing(
    broker: Broker, number: str, changes: dict[str, object]
) -> None:
    reply = await broker.post("/", adjust_body(number) | changes)
    assert reply["code"] == "US_0000400"
    assert next(iter(changes)) in reply["msg"]
    assert await broker.balance(number) == 0
    assert await broker.cancel(number) == "US_0000002"


@pytest.mark.parametrize("field", adjust_body("x"))
async def test_a_missing_field_is_refused_by_name(broker: Broker, number: str, field: str) -> None:
    body = adjust_body(number)
    del body[field]
    reply = await broker.post("/", body)
    assert (reply["code"], reply["msg"]) == ("US_0000400", f"{field} Field required")


@pytest.mark.parametrize("headers", [{"trace": ""}, {"timestamp": ""}, {"timestamp": "1760000000"}, {"companyId": "x"}])
async def test_a_header_that_breaks_its_rule_is_refused_by_name(
    broker: Broker, number: str, headers: dict[str, str]
) -> None:
    for path, body in (("/", adjust_body(number)), (CANCEL_ADJUST, cancel_body(number, "C"))):
        reply = await broker.post(path, body, **headers)
        assert reply["code"] == "US_0000400"
        assert f"header {next(iter(headers))} " in reply["msg"]
    assert await broker.adjust(number) == "0"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff", b"[" * 60_000], ids=lambda body: repr(body[:3]))
async def test_what_is_no_json_object_is_refused(broker: Broker, body: bytes) -> None:
    response = await broker.http.post("/", content=body)
    assert (response.status_code, response.json()["code"]) == (200, "US_0000400")


async def test_a_reply_has_every_field_of_table_4_and_its_own_trace(broker: Broker, number: str) -> None:
    sent = [broker.post("/", adjust_body(f"{number}-{each}"), trace=f"t-{each}") for each in range(PARALLEL)]
    for each, reply in enumerate(await asyncio.gather(*sent)):
        assert isinstance(reply.pop("tm"), int)
        assert reply == {
            "bizCode": "BROKER",
            "code": "0",
            "msg": "",
            "trace": f"t-{each}",
            "msgParams": "",
            "data": {},
            "ok": True,
            "fail": False,
        }
