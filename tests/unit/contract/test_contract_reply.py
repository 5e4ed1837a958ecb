"""The reply of table 4: only code is required, types are strict, and ok and fail must agree with code."""

from itertools import product

import pytest

from contract.operations import CODE_NEVER_RECEIVED, CODE_NOT_APPLIED, CODE_SUCCESS, ExternalReply
from tests.unit.contract.wire_bodies import refusals

COMPLETE = {
    "bizCode": "",
    "code": "0",
    "msg": "done",
    "tm": 12,
    "trace": "t-1",
    "msgParams": "a,b",
    "data": {"any": [1, None, {"deep": 1.5}]},
    "ok": True,
    "fail": False,
}
WRONG: dict[str, list[object]] = {
    "bizCode": [7, True, []],
    "code": [0, True, None, [], {}],
    "msg": [7, False, []],
    "tm": ["12", 1.0, 1.5, True],
    "trace": [7, True],
    "msgParams": [7, ["a"]],
    "ok": [1, 0, "true", "false", []],
    "fail": [1, 0, "true", "false", []],
}


def test_reply_with_every_field_is_read() -> None:
    assert ExternalReply.model_validate(COMPLETE).model_dump() == COMPLETE


def test_reply_needs_only_a_code() -> None:
    assert ExternalReply.model_validate({"code": "0"}).model_dump(exclude_none=True) == {"code": "0"}


def test_no_field_but_code_is_required() -> None:
    assert refusals(ExternalReply, {"ok": True}) == {"code": "Field required"}


@pytest.mark.parametrize("field", [field for field in COMPLETE if field != "code"])
def test_null_counts_as_absent(field: str) -> None:
    assert ExternalReply.model_validate({"code": "0", field: None}) == ExternalReply(code="0")


@pytest.mark.parametrize(
    ("field", "value"),
    [pytest.param(field, value, id=f"{field}={value!r}") for field, values in WRONG.items() for value in values],
)
def test_wrong_type_is_not_a_reply_of_table_4(field: str, value: object) -> None:
    assert set(refusals(ExternalReply, {**COMPLETE, field: value})) == {field}


@pytest.mark.parametrize("data", ["text", "", [], [1, {"a": None}], 7, 1.5, True, False, {}])
def test_data_may_be_of_any_type(data: object) -> None:
    assert ExternalReply.model_validate({"code": "0", "data": data}).data == data


def test_unknown_fields_are_ignored() -> None:
    assert ExternalReply.model_validate({"code": "0", "success": True, "Code": "1"}) == ExternalReply(code="0")


@pytest.mark.parametrize(("code", "ok", "fail"), list(product(["0", "E1"], [None, True, False], [None, True, False])))
def test_ok_and_fail_must_agree_with_the_code(*, code: str, ok: bool | None, fail: bool | None) -> None:
    success = code == "0"
    agree = (ok is None or ok == success) and (fail is None or fail != success)
    assert ExternalReply(code=code, ok=ok, fail=fail).is_consistent() is agree


@pytest.mark.parametrize("code", ["", " 0", "0 ", "00", "0.0", "\uff10", "success", "US_0000001"])
def test_only_the_code_0_is_success(code: str) -> None:
    assert ExternalReply(code=code, ok=False, fail=True).is_consistent()
    assert not ExternalReply(code=code, ok=True).is_consistent()


def test_published_codes_are_these() -> None:
    assert (CODE_SUCCESS, CODE_NOT_APPLIED, CODE_NEVER_RECEIVED) == ("0", "US_0000001", "US_0000002")
