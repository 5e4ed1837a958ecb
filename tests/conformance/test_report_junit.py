"""The JUnit report is XML that any parser reads, with one test case for each requirement."""

from xml.etree.ElementTree import Element, fromstring

import pytest

from conformance.checks import REQUIREMENTS
from conformance.report.as_junit import as_junit
from conformance.verdict import Verdict
from tests.support.conformance_reports import every_outcome, exchange, failed, not_checked, passed, run_report
from tests.support.hostile_bytes import BYTES, TEXTS


def suite_of(text: str) -> Element:
    """Return the only suite of a report. Raises ParseError if it is not XML."""
    [suite] = fromstring(text)  # noqa: S314 - our own output
    return suite


def test_each_requirement_is_a_test_case_with_its_outcome() -> None:
    suite = suite_of(as_junit(every_outcome()))
    cases = suite.findall("testcase")
    found = {name: suite.get(name) for name in ("tests", "failures", "skipped", "errors", "time")}
    total = len(REQUIREMENTS)
    assert found == {"tests": f"{total}", "failures": "2", "skipped": "3", "errors": "0", "time": "192.400"}
    assert len(cases) == total
    assert [case.get("name", "")[:5] for case in cases if case.find("failure") is not None] == ["C-012", "C-044"]
    assert [case.get("name", "")[:5] for case in cases if case.find("skipped") is not None] == [
        "C-046",
        "C-080",
        "C-082",
    ]


def test_a_failure_says_what_was_expected_and_shows_the_bytes() -> None:
    suite = suite_of(as_junit(run_report(failed("C-001", "Expected `0`.\nReceived `1`.", exchange()))))
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.text is not None
    assert failure.get("message") == "Expected `0`.\nReceived `1`."
    for part in ("Expected `0`.", "Rule: ", "Why: ", "curl -sS", "HTTP/1.1 200 OK\\r\n", '"code": "0"'):
        assert part in failure.text


def test_a_requirement_that_was_not_checked_is_skipped_with_the_reason() -> None:
    skipped = suite_of(as_junit(run_report(passed("C-001"), not_checked("C-080", "--balance-url")))).find(
        "testcase/skipped"
    )
    assert skipped is not None
    assert skipped.get("message") == "`--balance-url` is missing"


def test_a_run_that_decided_nothing_is_not_a_success() -> None:
    report = run_report(passed("C-001"), ended_early="the endpoint was lost")
    assert report.verdict is Verdict.NOT_DECIDED
    suite = suite_of(as_junit(report))
    assert (suite.get("tests"), suite.get("errors"), len(suite.findall("testcase"))) == ("2", "1", 2)
    error = suite.find("testcase/error")
    assert error is not None
    assert error.get("message", "").startswith("NOT DECIDED: the endpoint was lost")


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_valid_xml(name: str) -> None:
    text = TEXTS[name]
    labelled = exchange(text, failure=text, curl=text)
    report = run_report(failed("C-001", text, labelled), settings={text: text}, base_url=text, sentence=text)
    written = as_junit(report)
    assert written.encode()
    suite = suite_of(written)
    assert len(suite.findall("testcase")) == 1


@pytest.mark.parametrize("name", BYTES)
def test_any_reply_is_valid_xml_of_a_limited_length(name: str) -> None:
    written = as_junit(run_report(failed("C-001", "", *(exchange(received=BYTES[name]) for _ in range(100)))))
    assert len(suite_of(written).findall("testcase")) == 1
    assert len(written) < 200_000


def test_what_cannot_be_seen_is_shown_as_an_escape() -> None:
    failure = suite_of(as_junit(run_report(failed("C-001", "\x00\ud800\ufeff", exchange(received=b"\xff\x1b"))))).find(
        "testcase/failure"
    )
    assert failure is not None
    assert failure.get("message") == r"\x00\ud800\ufeff"
    assert r"\xff\x1b" in (failure.text or "")
