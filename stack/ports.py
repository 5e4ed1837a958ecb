"""Chooses the ports of the parts: the configured ones, or free ones instead of defaults that are in use."""

import os
import secrets
import socket
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from config.settings import ENV_PREFIX, Settings
from stack.process import StackError

HOST = "127.0.0.1"
PORT_SETTINGS = ("api_port", "temporal_port", "temporal_ui_port", "simulator_port", "worker_metrics_port")

_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST_PORT = 10_000
_CHOICES = 100
_SLICES = 64
"""Processes whose ids are close to each other choose from different slices of the range. Otherwise two test processes
could choose one port, each before the other one binds it."""
_chosen: deque[int] = deque(maxlen=_CHOICES)
"""The latest ports that this process has chosen. Something may be about to bind them."""


def with_free_ports(settings: Settings, env: Mapping[str, str] = os.environ) -> Settings:
    """Return settings whose ports are free; the simulator's port is not checked if no simulator will be started.

    Raises StackError if a port that the environment names is in use, because its clients expect that port.
    """
    has_simulator = settings.external_base_url is None and settings.external_systems is None
    needed = [name for name in PORT_SETTINGS if name != "simulator_port" or has_simulator]
    return settings.model_copy(update={name: _free(name, getattr(settings, name), env) for name in needed})


def free_port() -> int:
    """Return a port that was free a moment ago.

    On Linux it is below the range from which the kernel takes the ports of outgoing connections. Otherwise a connection
    could take the port of a part while that part restarts.
    """
    for port in _candidates():
        if port not in _chosen and is_free(port):
            _chosen.append(port)
            return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _candidates() -> Iterator[int]:
    try:
        ephemeral_from = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except OSError:
        return
    size = max(1, (ephemeral_from - _FIRST_PORT) // _SLICES)
    first = _FIRST_PORT + os.getpid() % _SLICES * size
    for _ in range(_CHOICES):
        yield first + secrets.randbelow(size)


def is_free(port: int) -> bool:
    """Tell whether a server could bind the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free(name: str, port: int, env: Mapping[str, str]) -> int:
    if is_free(port):
        return port
    variable = f"{ENV_PREFIX}{name}".upper()
    if env.get(variable):
        message = f"{variable}: port {port} is already in use"
        raise StackError(message)
    found = free_port()
    print(f"port {port} is already in use; {variable} is {found} this time", flush=True)
    return found
