"""The JUnit XML report of a run, as CI systems read it: one suite, one test case for each requirement.

A run that decided nothing has one more test case, `the verdict`, with an error: otherwise a CI system that reads
only this file would show a run without failures as a success.
"""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from conformance.exchange import Exchange
from conformance.report.messages import cut
from conformance.report.summary import counts
from conformance.report.visible import visible, visible_bytes
from conformance.requirement import Outcome, Result
from conformance.verdict import RunReport, Verdict

NAME = "settlement-conformance"
EXCHANGES_MAX = 5
"""The last exchanges of a failed requirement are shown; the other reports have all of them."""
BYTES_MAX = 2048
"""Bytes shown of each request and of each reply."""
MESSAGE_CHARACTERS_MAX = 500
"""CI systems show the attribute `message` on one line."""


def as_junit(report: RunReport) -> str:
    """Return the report as JUnit XML. What XML does not allow is shown as an escape."""
    found = counts(report)
    is_undecided = report.verdict is Verdict.NOT_DECIDED
    figures = {
        "tests": str(len(report.results) + is_undecided),
        "failures": str(found.failed),
        "errors": str(int(is_undecided)),
        "skipped": str(found.not_checked),
        "time": _seconds(report.elapsed_s),
    }
    suites = Element("testsuites", {"name": NAME, **figures})
    suite = SubElement(suites, "testsuite", {"name": NAME, **figures, "timestamp": report.started_at.isoformat()})
    _add_properties(suite, report)
    for result in report.results:
        _add_case(suite, result)
    if is_undecided:
        case = SubElement(suite, "testcase", {"classname": NAME, "name": "the verdict", "time": "0.000"})
        SubElement(case, "error", {"type": report.verdict.name, "message": _message(report.sentence)})
    indent(suites)
    return tostring(suites, encoding="unicode", xml_declaration=False) + "\n"


def _add_properties(suite: Element, report: RunReport) -> None:
    properties = SubElement(suite, "properties")
    run = {"verdict": report.sentence, "base-url": report.base_url, "kit-version": report.kit_version}
    for name, value in {**run, "seed": str(report.seed), **report.settings}.items():
        SubElement(properties, "property", {"name": visible(name), "value": visible(value)})


def _add_case(suite: Element, result: Result) -> None:
    requirement = result.requirement
    name = visible(f"{requirement.id} {requirement.title}")
    case = SubElement(suite, "testcase", {"classname": NAME, "name": name, "time": _seconds(result.elapsed_s)})
    if result.outcome is Outcome.FAILED:
        attributes = {"type": "BrokenRequirement", "message": _message(result.reason)}
        SubElement(case, "failure", attributes).text = _explanation(result)
    elif result.outcome is Outcome.NOT_CHECKED:
        SubElement(case, "skipped", {"message": _message(result.reason)})


def _explanation(result: Result) -> str:
    requirement = result.requirement
    last = result.exchanges[-EXCHANGES_MAX:]
    parts = [
        visible(result.reason),
        f"Rule: {visible(requirement.rule)}\nWhy: {visible(requirement.why)}\nSource: {visible(requirement.source)}",
        f"The last {len(last)} of {len(result.exchanges)} exchanges:",
        *(_exchange(each) for each in last),
    ]
    return "\n\n".join(parts)


def _exchange(exchange: Exchange) -> str:
    ended = f": {visible(exchange.failure)}" if exchange.failure is not None else ""
    return (
        f"{visible(exchange.label)} ({exchange.elapsed_s:.3f} s{ended})\n{visible(exchange.curl)}\n"
        f"sent:\n{_bytes(exchange.sent)}\nreceived:\n{_bytes(exchange.received)}"
    )


def _bytes(data: bytes) -> str:
    shown = cut(data, BYTES_MAX)
    return visible_bytes(shown.data) + (f"\n… {shown.omitted} more bytes" if shown.omitted else "")


def _message(text: str) -> str:
    text = visible(text)
    return text if len(text) <= MESSAGE_CHARACTERS_MAX else text[: MESSAGE_CHARACTERS_MAX - 1] + "…"


def _seconds(value: float) -> str:
    return f"{value:.3f}"
