"""The ports of the parts: a port in use stops `make up` only if one of its parts needs it."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import Settings
from stack.parts import Stack
from stack.ports import HOST, PORT_SETTINGS, free_port, is_free, with_free_ports
from stack.process import StackError
from stack.up import starting

NAMED = {"SETTLEMENT_SIMULATOR_PORT": "named"}


@pytest.fixture
def taken() -> Iterator[int]:
    """Yield a port on which something listens."""
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        listening.listen()
        yield int(listening.getsockname()[1])


def settings(**fields: object) -> Settings:
    return Settings.model_validate({name: free_port() for name in PORT_SETTINGS} | fields)


def test_port_of_the_simulator_may_be_in_use_if_none_is_started(taken: int) -> None:
    configured = settings(simulator_port=taken, external_base_url="https://broker.example")
    assert with_free_ports(configured, NAMED).simulator_port == taken


def test_configured_port_in_use_is_an_error(taken: int) -> None:
    with pytest.raises(StackError, match=f"SETTLEMENT_SIMULATOR_PORT: port {taken} is already in use"):
        with_free_ports(settings(simulator_port=taken), NAMED)


def test_default_port_in_use_is_replaced(taken: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert with_free_ports(settings(simulator_port=taken), {}).simulator_port != taken
    assert f"port {taken} is already in use" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="the range is read from /proc")
def test_free_port_is_never_one_that_an_outgoing_connection_can_get() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found = [free_port() for _ in range(50)]
    assert all(1024 < port < lowest for port in found)
    assert all(is_free(port) for port in found)
    assert len(set(found)) == len(found), "a port that something is about to bind is not chosen again"


@pytest.mark.parametrize(("external", "named"), [(None, True), ("https://broker.example", False)])
def test_make_up_lists_the_parts_that_it_starts(tmp_path: Path, external: str | None, *, named: bool) -> None:
    line = starting(Stack(settings(state_dir=tmp_path, external_base_url=external)))
    assert ("simulator" in line) is named
    assert line.startswith("starting: temporal, ")
