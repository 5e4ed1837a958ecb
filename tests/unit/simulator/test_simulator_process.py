"""The simulator as a process: killed, restarted, stopped while requests hang, and under 100 adjusts at once."""

import asyncio
import json
import math
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from stack.ports import free_port
from tests.unit.simulator.conftest import LIMIT_S, Maker

ROOT = Path(__file__).parents[3]
HEADERS = {"trace": "t", "timestamp": "1760000000000"}
START_S = 15.0
PAUSE_S = 0.03

Process = subprocess.Popen[bytes]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], tuple[Process, httpx2.Client]]]:
    """Return a function that starts a simulator on one shared database file; all are killed after the test."""
    port = free_port()
    started: list[tuple[Process, httpx2.Client]] = []

    def start() -> tuple[Process, httpx2.Client]:
        options = ["--port", str(port), "--database", str(tmp_path / "books.sqlite"), "--log-level", "warning"]
        process = subprocess.Popen([sys.executable, "-m", "simulator", *options], cwd=ROOT)  # noqa: S603 - our own command
        client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=HEADERS, timeout=LIMIT_S)
        started.append((process, client))
        wait_until_ready(process, client)
        return started[-1]

    yield start
    for process, client in started:
        client.close()
        process.kill()
        process.wait()


def wait_until_ready(process: Process, client: httpx2.Client) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx2.TransportError):
            if client.get("/simulator/health").is_success:
                return
        time.sleep(PAUSE_S)
    message = "the simulator did not start"
    raise AssertionError(message)


@contextmanager
def hanging(client: httpx2.Client, body: dict[str, Any]) -> Iterator[socket.socket]:
    """Send an adjust over a plain socket and keep it open for the length of the block."""
    url = client.base_url
    content = json.dumps(body).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    with socket.create_connection((url.host, url.port or 80), timeout=LIMIT_S) as connection:
        connection.sendall(
            f"POST / HTTP/1.1\r\nhost: x\r\n{head}content-length: {len(content)}\r\n\r\n".encode() + content
        )
        deadline = time.monotonic() + LIMIT_S
        while not client.get("/simulator/calls", params={"number": body["requestUniqueNo"]}).json()["calls"]:
            assert time.monotonic() < deadline
            time.sleep(PAUSE_S)
        yield connection


def test_books_survive_a_kill(start: Callable[[], tuple[Process, httpx2.Client]], adjust_body: Maker) -> None:
    """Answered requests are kept, requests in flight are marked as ended, and delayed adjusts are still applied."""
    process, client = start()
    client.post("/", json=adjust_body(requestUniqueNo="applied"))
    late = adjust_body({"adjust": "land_late", "seconds": 1.5}, requestUniqueNo="late")
    with hanging(client, late) as connection:
        assert client.get("/simulator/numbers/late").json()["state"] == "NEVER_RECEIVED"
        process.kill()
        process.wait()
        assert connection.recv(1) == b""
    _, client = start()
    assert client.get("/simulator/numbers/applied").json()["timesApplied"] == 1
    assert client.post("/", json=adjust_body(requestUniqueNo="applied")).json()["code"] == "0"
    first, interrupted, repeat = client.get("/simulator/calls").json()["calls"]
    assert [call["ended"] for call in (first, interrupted, repeat)] == ["replied", "simulator_stopped", "replied"]
    deadline = time.monotonic() + LIMIT_S
    while (view := client.get("/simulator/numbers/late").json())["state"] != "APPLIED":
        assert time.monotonic() < deadline
        time.sleep(PAUSE_S)
    assert view["timesApplied"] == 1


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_hanging_request_does_not_delay_the_shutdown(
    start: Callable[[], tuple[Process, httpx2.Client]], adjust_body: Maker, stop: signal.Signals
) -> None:
    process, client = start()
    with hanging(client, adjust_body({"adjust": "hang"}, requestUniqueNo="hanging")):
        assert client.get("/simulator/calls").json()["calls"][0]["ended"] is None
        process.send_signal(stop)
        process.wait(timeout=LIMIT_S)  # the request itself would hang for longer
    _, client = start()
    (call,) = client.get("/simulator/calls").json()["calls"]
    assert call["ended"] == "simulator_stopped"
    assert call["endedAtNs"] is not None


AT_ONCE = 100


async def received_within_s(client: httpx2.Client, adjust_body: Maker, prefix: str) -> float:
    """Send many adjusts at once; return the seconds from the first stamp to the last."""
    limits = httpx2.Limits(max_connections=AT_ONCE)
    async with httpx2.AsyncClient(base_url=client.base_url, headers=HEADERS, limits=limits, timeout=LIMIT_S) as many:
        await asyncio.gather(*(many.get("/simulator/health") for _ in range(AT_ONCE)))
        bodies = [adjust_body(requestUniqueNo=f"{prefix}{index}") for index in range(AT_ONCE)]
        replies = await asyncio.gather(*(many.post("/", json=body) for body in bodies))
    assert {reply.json()["code"] for reply in replies} == {"0"}
    received = [call["receivedAtNs"] for call in client.get("/simulator/calls").json()["calls"][-AT_ONCE:]]
    assert len(received) == AT_ONCE
    return float(max(received) - min(received)) / 1e9


async def test_hundred_adjusts_at_once_are_received_promptly(
    start: Callable[[], tuple[Process, httpx2.Client]], adjust_body: Maker
) -> None:
    """All are applied, and each is stamped when it came, not when its turn came. A busy machine gets several tries."""
    _, client = start()
    spread_s = math.inf
    for tries in range(1, 9):
        spread_s = await received_within_s(client, adjust_body, f"N{tries}-")
        (account,) = client.get("/simulator/accounts").json()["accounts"]
        assert account["balance"] == f"{tries * 1250}.00"
        if spread_s < 1:
            return
    pytest.fail(f"the last of {AT_ONCE} adjusts was stamped {spread_s} s after the first")


async def test_one_number_sent_fifty_times_at_once_is_applied_once(url: str, adjust_body: Maker, number: str) -> None:
    async with httpx2.AsyncClient(base_url=url, headers=HEADERS, timeout=LIMIT_S) as many:
        replies = await asyncio.gather(*(many.post("/", json=adjust_body()) for _ in range(50)))
        view = (await many.get(f"/simulator/numbers/{number}")).json()
    assert {reply.json()["code"] for reply in replies} == {"0"}
    assert view["timesApplied"] == 1
