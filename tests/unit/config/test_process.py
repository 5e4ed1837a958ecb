"""A process ends after its shutdown limit, and at once on a second signal, even if its event loop is blocked."""

import signal
import subprocess
import sys

import pytest

BLOCKED_PROCESS = """
import asyncio, os, signal, sys, time
from config.process import ShutdownLimit
from config.logging import configure_logging

configure_logging("json", "INFO")
shutdown_limit = ShutdownLimit(float(sys.argv[1]), lambda: ["a part that hangs"])
signal.signal(signal.SIGTERM, lambda number, _: shutdown_limit.on_signal(number))
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""
LIMIT_S = 30


@pytest.mark.parametrize(("limit_s", "signals", "code"), [(0.5, 1, 1), (1000, 2, 128 + signal.SIGTERM)])
def test_process_ends_and_logs_what_was_unfinished(limit_s: float, signals: int, code: int) -> None:
    command = [sys.executable, "-c", BLOCKED_PROCESS, str(limit_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        if signals == 2:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == code
        log = process.stderr.read()
    assert "ended by force" in log
    assert "a part that hangs" in log
