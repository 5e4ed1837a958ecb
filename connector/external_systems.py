"""The clients of all external systems by name, each with its own connection pool, which follow the configuration."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from connector.external_system import ExternalSystem, ExternalSystemConfig

log = structlog.get_logger()

RetryConfiguration = Callable[[], Awaitable[None]]


class SystemsByName(Protocol):
    """Finds external systems by the name that a settlement stores."""

    async def named(self, name: str) -> ExternalSystem | None:
        """Return the client of an external system; None if there is no such system in the configuration."""


class UnusableSystemError(Exception):
    """The connection pool of a system cannot be opened. Names the system and the reason; nothing was replaced."""

    def __init__(self, name: str, error: OSError) -> None:
        super().__init__(f"a TLS file cannot be read or used ({error.strerror or type(error).__name__})")
        self.name = name


@dataclass
class _Client:
    config: ExternalSystemConfig
    tls: tuple[bytes | None, ...]
    """The contents of the TLS files with which the pool was opened."""
    system: ExternalSystem


async def _nothing() -> None:
    """Read no configuration."""


class ExternalSystems:
    """Holds one open client for each external system, and replaces it when its configuration or a TLS file changes.

    Calls in flight end on the connection pool on which they began. `read_again` is called when a name is unknown: the
    API may have read a new configuration a moment before this process does.
    """

    def __init__(self, read_again: RetryConfiguration = _nothing) -> None:
        self._clients: dict[str, _Client] = {}
        self._read_again = read_again
        self._closing: set[asyncio.Task[None]] = set()

    async def named(self, name: str) -> ExternalSystem | None:
        """Return the client of an external system; None if the configuration, read again, has no such system."""
        if name not in self._clients:
            await self._read_again()
        client = self._clients.get(name)
        return client.system if client is not None else None

    async def why_unusable(self, name: str) -> str | None:
        """Return why no call to an external system can be sent now; None if calls can be sent."""
        system = await self.named(name)
        return "it is not in the configuration" if system is None else system.why_unusable()

    def unusable(self) -> dict[str, str]:
        """Return why each of the systems that cannot be called now cannot be called, by name."""
        found = {name: client.system.why_unusable() for name, client in self._clients.items()}
        return {name: why for name, why in found.items() if why is not None}

    def replace(self, configs: Mapping[str, ExternalSystemConfig]) -> None:
        """Use these systems from now on. A system whose configuration and TLS files are unchanged keeps its pool.

        Raises UnusableSystemError if the TLS files of a new or changed system cannot be used; then nothing is replaced.
        """
        opened: dict[str, _Client] = {}
        try:
            for name, config in configs.items():
                if name not in self._clients or self._clients[name].config != config:
                    opened[name] = self._opened(name, config)
        except UnusableSystemError:
            for client in opened.values():
                self._close_later(client)
            raise
        replaced = [client for name, client in self._clients.items() if name in opened or name not in configs]
        self._clients = {name: opened.get(name) or self._clients[name] for name in configs}
        for client in replaced:
            self._close_later(client)

    def follow_tls_files(self) -> None:
        """Reopen the pool of each system whose TLS files have changed. Unusable files are tried again the next time.

        So a rotation that replaces certificate and key one after the other fails no call.
        """
        for name, client in list(self._clients.items()):
            try:
                if client.config.tls_files.contents() == client.tls:
                    continue
                self._clients[name] = self._opened(name, client.config)
            except (OSError, UnusableSystemError) as error:
                log.warning("TLS files not used yet; the previous ones stay in use", system=name, reason=str(error))
            else:
                log.info("TLS files replaced", system=name)
                self._close_later(client)

    async def close(self) -> None:
        """Close every connection pool."""
        for client in self._clients.values():
            self._close_later(client)
        self._clients = {}
        await asyncio.gather(*self._closing)

    def _opened(self, name: str, config: ExternalSystemConfig) -> _Client:
        system = ExternalSystem(config)
        try:
            contents = config.tls_files.contents()
            system.open()
        except OSError as error:
            raise UnusableSystemError(name, error) from error
        return _Client(config, contents, system)

    def _close_later(self, client: _Client) -> None:
        closing = asyncio.create_task(client.system.close())
        # asyncio refers to tasks weakly.
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
