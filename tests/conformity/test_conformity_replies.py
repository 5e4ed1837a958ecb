"""Replies that the published schema allows are accepted, and replies that it forbids are not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contract.operations import ExternalReply
from tests.conformity.reading import ADJUST, PUBLISHED, Published, faults

EXAMPLES: dict[str, dict[str, Any]] = {
    "success": {"bizCode": "", "code": "0", "msg": "ok", "tm": 12, "trace": "t", "ok": True, "fail": False},
    "failure": {"bizCode": "PAY", "code": "E17", "msg": "no {0}", "msgParams": "credit", "ok": False, "fail": True},
    "not applied": {"code": "US_0000001", "msg": "", "data": {}, "ok": False, "fail": True},
    "never received": {"code": "US_0000002", "data": {"any": {"thing": [1, 2.5, None]}}},
    "code alone": {"code": "0"},
    "largest time": {"code": "0", "tm": 2**63 - 1},
    "smallest time": {"code": "0", "tm": -(2**63)},
    "field of a later version": {"code": "0", "requestId": "r-1"},
}
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(codec="utf-8"), max_size=10),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "object": st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.integers() | st.text(max_size=3)),
}
PROPERTIES: dict[str, dict[str, Any]] = ADJUST.reply["properties"]
OF_SCHEMA = {name: BY_TYPE[schema["type"]] for name, schema in PROPERTIES.items()}
REST = {name: values for name, values in OF_SCHEMA.items() if name != "code"}
allowed = st.fixed_dictionaries({"code": OF_SCHEMA["code"]}, optional=REST)


@pytest.mark.parametrize("published", PUBLISHED.values(), ids=PUBLISHED)
@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_example_is_allowed_and_accepted(published: Published, example: dict[str, Any]) -> None:
    assert faults(published.reply, example) == []
    read = ExternalReply.model_validate(example).model_dump(exclude_none=True)
    assert read == {name: value for name, value in example.items() if name in PROPERTIES}


@given(allowed)
def test_every_allowed_reply_with_a_code_is_accepted(reply: dict[str, Any]) -> None:
    assert faults(ADJUST.reply, reply) == []
    assert ExternalReply.model_validate(reply).model_dump(exclude_none=True) == reply


@given(allowed, st.sampled_from(sorted(PROPERTIES)), st.sampled_from([7, 1.5, True, "text", ["list"], {"a": 1}]))
def test_type_that_the_schema_forbids_is_not_accepted(reply: dict[str, Any], field: str, value: object) -> None:
    changed = {**reply, field: value}
    if faults(ADJUST.reply, changed) and field != "data":
        with pytest.raises(ValidationError):
            ExternalReply.model_validate(changed)
    else:
        ExternalReply.model_validate(changed)


def test_this_project_is_stricter_about_a_missing_code() -> None:
    """The schema requires no field; without a code a reply has no meaning."""
    assert faults(ADJUST.reply, {}) == []
    with pytest.raises(ValidationError):
        ExternalReply.model_validate({})


@pytest.mark.parametrize("data", ["text", 7, 1.5, True, ["list"]])
def test_this_project_is_more_lenient_about_the_type_of_data(data: object) -> None:
    """The schema says object. The outcome does not depend on it, so another type must not void an order."""
    assert faults(ADJUST.reply, {"code": "0", "data": data})
    assert ExternalReply.model_validate({"code": "0", "data": data}).data == data


@pytest.mark.parametrize("field", [field for field in PROPERTIES if field != "code"])
def test_this_project_is_more_lenient_about_null(field: str) -> None:
    """Many servers write absent fields as null."""
    assert faults(ADJUST.reply, {"code": "0", field: None})
    assert ExternalReply.model_validate({"code": "0", field: None}) == ExternalReply(code="0")
