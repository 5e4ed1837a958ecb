"""Endpoints that are no external system: the kit ends in bounded time with a clear verdict, and without a traceback."""

import socket

import pytest

from tests.conformance import hostile
from tests.conformance.hostile import HOSTILE
from tests.conformance.kit_runs import KitRun, run_kit

BOUNDS = ("--time-limit-s", "8", "--exchange-limit-s", "0.5", "--parallel", "16")
SHORT = ("--repeat-after-s", "0.2", "--load-s", "1", "--idle-s", "0.2", "--races", "2")
CONFORMS, USAGE = 0, 2
LOST = {"closes-without-a-reply", "half-a-reply"}
"""The endpoints that drop each connection: nothing can be decided about them."""
READABLE_MAX = 600
"""Longest reason, in characters."""


def run_within_bounds(url: str) -> KitRun:
    """Run the kit with a limit of 8 s for the run and of 0.5 s for an exchange; fail the test after 30 s."""
    return run_kit(url, *BOUNDS, *SHORT, limit_s=30)


def assert_clear(run: KitRun) -> None:
    """Assert that a run has ended with a verdict against the endpoint, reasons and no traceback."""
    assert run.exit_code not in {CONFORMS, USAGE}
    assert "Traceback" not in run.complaints + run.output
    assert str(run.report["sentence"]) in run.output.replace("\n", " ")
    assert not [reason for reason in run.reasons.values() if "internal error" in reason]
    assert all(0 < len(run.reasons[each]) <= READABLE_MAX for each in run.failed | run.not_checked)
    assert not [reason for reason in run.reasons.values() if "Answer(" in reason or "datetime" in reason]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_endpoint_does_not_conform(name: str) -> None:
    with hostile.serving(HOSTILE[name]) as url:
        run = run_within_bounds(url)
    assert_clear(run)
    assert run.report["verdict"] == ("NOT_DECIDED" if name in LOST else "DOES_NOT_CONFORM")


def test_a_dead_port_is_not_decided() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    run = run_within_bounds(f"http://127.0.0.1:{port}")
    assert_clear(run)
    assert run.report["verdict"] == "NOT_DECIDED"
    assert not run.failed
    assert "connection refused" in str(run.report["sentence"])


def test_a_mock_of_the_openapi_documents_keeps_the_form_but_not_the_meaning() -> None:
    """As the kit says of the mock server Prism itself."""
    with hostile.serving(HOSTILE["a-mock-of-the-openapi-documents"]) as url:
        run = run_within_bounds(url)
    assert run.failed == {"C-007", "C-008", "C-010", "C-044"}


def test_an_endpoint_with_one_answer_for_everything_passes_no_requirement_that_needs_a_refusal() -> None:
    with hostile.serving(HOSTILE["code-0-for-everything"]) as url:
        run = run_within_bounds(url)
    assert {"C-016", "C-022", "C-044", "C-052"} <= run.failed
