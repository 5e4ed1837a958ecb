"""The JSON report follows its schema, and holds every byte that it can hold."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from conformance.checks import REQUIREMENTS
from conformance.report.as_json import BYTES_MAX, as_json
from tests.support.conformance_reports import every_outcome, exchange, failed, lost, run_report
from tests.support.hostile_bytes import BYTES, TEXTS

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "conformance" / "report.schema.json"
SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


def closed(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Return the schema with no fields allowed but those that it documents."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if "required" in schema else {}
    return {key: closed(value) for key, value in schema.items()} | more


def parsed(text: str) -> dict[str, Any]:
    """Return a report that was validated against the closed schema."""
    report: dict[str, Any] = json.loads(text)
    validator = Draft202012Validator(closed(SCHEMA), format_checker=Draft202012Validator.FORMAT_CHECKER)
    validator.validate(report)
    return report


def content(data: dict[str, Any]) -> bytes:
    """Return the bytes of a request or reply."""
    text: str = data["content"]
    return base64.b64decode(text) if data["encoding"] == "base64" else text.encode()


def test_the_schema_is_a_valid_schema_and_requires_every_field_that_it_documents() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for part in (SCHEMA, *SCHEMA["$defs"].values()):
        assert part["required"] == list(part["properties"])
        assert all("description" in each for each in part["properties"].values())


def test_a_report_has_exactly_the_documented_fields() -> None:
    report = parsed(as_json(every_outcome()))
    assert (report["verdict"], report["counts"]) == (
        "DOES_NOT_CONFORM",
        {"passed": len(REQUIREMENTS) - 5, "failed": 2, "notChecked": 3},
    )
    assert [each["id"] for each in report["results"] if each["outcome"] == "FAILED"] == ["C-012", "C-044"]
    assert report["startedAt"] == "2026-11-28T09:30:04.250Z"


def test_a_report_without_results_and_replies_is_valid() -> None:
    latency = parsed(as_json(run_report(latencies_s=())))["latency"]
    assert (latency["replies"], latency["p50S"], latency["points"]) == (0, None, [])


@pytest.mark.parametrize("name", BYTES)
def test_bytes_are_kept_exactly_up_to_the_limit(name: str) -> None:
    report = parsed(as_json(run_report(failed("C-001", "", exchange(received=BYTES[name])))))
    received = report["results"][0]["exchanges"][0]["received"]
    kept = content(received)
    assert BYTES[name].startswith(kept)
    assert received["size"] == len(BYTES[name])
    assert received["omitted"] == len(BYTES[name]) - len(kept)
    assert min(BYTES_MAX - 3, len(BYTES[name])) <= len(kept) <= BYTES_MAX


def test_a_cut_never_makes_valid_utf_8_invalid() -> None:
    for ahead in range(4):
        reply = b"x" * ahead + "😀".encode() * BYTES_MAX
        report = parsed(as_json(run_report(failed("C-001", "", exchange(received=reply)))))
        assert report["results"][0]["exchanges"][0]["received"]["encoding"] == "utf-8"


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_valid_json_that_can_be_written_as_utf_8(name: str) -> None:
    text = TEXTS[name]
    labelled = exchange(text, failure=text, curl=text)
    json_text = as_json(run_report(failed("C-001", text, labelled), settings={text: text}, base_url=text))
    assert json_text.isascii()
    [result] = parsed(json_text)["results"]
    assert result["reason"] == text.encode("utf-8", "backslashreplace").decode()
    assert result["reason"].encode()


def test_an_exchange_without_a_reply_says_why() -> None:
    [found] = parsed(as_json(run_report(failed("C-001", "", lost("the adjust")))))["results"][0]["exchanges"]
    assert (found["status"], found["failure"], found["received"]["size"]) == (None, "no reply within 10 s", 0)
