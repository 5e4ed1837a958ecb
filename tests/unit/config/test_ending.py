"""A process ends by itself after its limit and at once on a second signal, even if its event loop is stuck."""

import signal
import subprocess
import sys

import pytest

STUCK = """
import asyncio, os, signal, sys, time
from config.ending import Ending
from config.logging import configure_logging

configure_logging("json", "INFO")
ending = Ending(float(sys.argv[1]), lambda: ["a part that hangs"])
signal.signal(signal.SIGTERM, lambda number, _: ending.signalled(number))
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""
PATIENCE_S = 30


@pytest.mark.parametrize(("limit_s", "signals", "code"), [(0.5, 1, 1), (1000, 2, 128 + signal.SIGTERM)])
def test_the_process_ends_and_says_what_was_left(limit_s: float, signals: int, code: int) -> None:
    command = [sys.executable, "-c", STUCK, str(limit_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        if signals == 2:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == code
        said = process.stderr.read()
    assert "ended by force" in said
    assert "a part that hangs" in said
