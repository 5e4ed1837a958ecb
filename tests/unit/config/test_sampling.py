"""Log lines that any caller can cause are limited; no other lines are left out."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from config import sampling
from config.logging import configure_logging
from config.sampling import INTERVAL_S, KINDS_MAX, SampledLog, Sampler


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_one_line_per_interval_and_the_next_one_counts_those_left_out() -> None:
    clock = Clock()
    with capture_logs() as lines:
        log = SampledLog(structlog.get_logger(), Sampler(clock))
        for _ in range(1000):
            log.warning("not authenticated", path="/x")
        log.error("ledger unavailable")
        clock.now += INTERVAL_S
        log.warning("not authenticated", path="/y")
        clock.now += INTERVAL_S
        log.warning("not authenticated", path="/z")
    assert [(line["event"], line.get("path"), line.get("left_out"), line["log_level"]) for line in lines] == [
        ("not authenticated", "/x", None, "warning"),
        ("ledger unavailable", None, None, "error"),
        ("not authenticated", "/y", 999, "warning"),
        ("not authenticated", "/z", None, "warning"),
    ]


def test_memory_is_bounded_however_many_kinds_there_are() -> None:
    sampler = Sampler(Clock())
    written = [sampler.admit(f"kind {each}") for each in range(10 * KINDS_MAX)]
    assert written.count(0) == KINDS_MAX + 1


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Collect the log output of a process."""
    printed, root, server = io.StringIO(), logging.getLogger(), logging.getLogger("uvicorn.error")
    handlers, level, servers_level = root.handlers[:], root.level, server.level
    # A simulator that another test has run in this process sets the level of uvicorn's logger, for good.
    server.setLevel(logging.NOTSET)
    monkeypatch.setattr("sys.stderr", printed)
    configure_logging("json", "INFO")
    yield printed
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    server.setLevel(servers_level)


def test_only_warnings_of_the_http_server_are_sampled(printed: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    server = logging.getLogger("uvicorn.error")
    for _ in range(100):
        server.warning("Invalid HTTP request received.")
        server.info("something of the process itself")
        server.error("something that is broken")
    monkeypatch.setattr(sampling, "INTERVAL_S", 0)
    server.warning("Invalid HTTP request received.")
    lines = [json.loads(line)["event"] for line in printed.getvalue().splitlines()]
    assert len([line for line in lines if line.startswith("something")]) == 200
    assert [line for line in lines if "Invalid" in line] == [
        "Invalid HTTP request received.",
        "Invalid HTTP request received. (99 more like this were left out)",
    ]
