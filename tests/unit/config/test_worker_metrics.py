"""A worker that cannot serve its metrics does not start, and prints the reason in one line."""

import socket

import pytest

from tests.support.forks import PROGRAMS


async def started(**env: str) -> tuple[int, str]:
    """Start a worker that must exit, and return its exit code and its error output."""
    code, _, errors = await PROGRAMS.run("worker", [], env)
    return code, errors


async def test_a_taken_port_is_named() -> None:
    """The second of two workers on one host needs its own port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, errors = await started(SETTLEMENT_WORKER_METRICS_PORT=str(port))
    assert code == 2
    assert errors.count("\n") == 1
    assert errors.startswith(f"SETTLEMENT_WORKER_METRICS_PORT: cannot serve metrics on 127.0.0.1:{port}: ")
    assert "in use" in errors


@pytest.mark.parametrize("host", ["localhost", "192.0.2.1", "nonsense", "2001:db8::1"])
async def test_an_address_that_cannot_be_bound_is_named(host: str) -> None:
    code, errors = await started(SETTLEMENT_WORKER_METRICS_HOST=host)
    assert (code, errors.count("\n")) == (2, 1)
    assert host in errors
