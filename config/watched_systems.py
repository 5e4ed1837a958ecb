"""The external systems that are in use now. A changed file is loaded without a restart; an invalid one is rejected."""

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from config.external_systems import (
    ExternalSystems,
    InvalidSystemsFileError,
    parse_systems,
    read_content,
)
from config.settings import ENV_PREFIX, Settings
from config.system_entry import SystemEntry
from settlement.start import DEFAULT_SYSTEM

CHECK_EVERY_S = 1.0
"""Interval between two looks at the content of the file."""

FILE_CURRENT = "settlement_external_systems_current"
FILE_CURRENT_HELP = "1 if the newest content of the file of external systems is in use, 0 if it was rejected."
"""A metric of every API process and every worker."""

log = structlog.get_logger()


@dataclass(frozen=True)
class FileState:
    """Which content of the file is in use."""

    path: Path | None
    """None: the settings describe the one system, and there is no file."""
    loaded_at: datetime
    """When the systems in use were loaded."""
    rejected: str | None = None
    """Why the newest content is not in use; None if it is."""

    @property
    def is_current(self) -> bool:
        """Whether the newest content of the file is in use."""
        return self.rejected is None


def _nothing(_: ExternalSystems) -> None:
    """Activate nothing."""


def _look_no_further() -> None:
    """Look at no other file."""


class WatchedSystems:
    """Holds the external systems in use, and replaces them when the content of their file changes.

    `activate` is called with each new set of systems before it is in use. If it raises InvalidSystemsFileError, the set
    is rejected like an invalid file. Without a file, the one system of the settings never changes.
    """

    def __init__(self, settings: Settings, activate: Callable[[ExternalSystems], None] = _nothing) -> None:
        """Load the systems. Raises InvalidSystemsFileError: there are no earlier systems that could stay in use."""
        self._path = settings.external_systems
        self._activate = activate
        self._content: bytes | None = None
        self._requested = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        if self._path is None:
            self.active = system_of_settings(settings)
        else:
            self._content = read_content(self._path)
            self.active = parse_systems(self._path, self._content)
        self._activate(self.active)
        self.file = FileState(path=self._path, loaded_at=datetime.now(UTC))

    async def refresh(self) -> None:
        """Read the file, and use its content if it has changed and is valid. Repeating it changes nothing.

        A content that was rejected is tried again at each call, because `activate` may depend on other files.
        """
        if self._path is not None:
            async with self._one_at_a_time:
                await self._refresh(self._path)

    async def _refresh(self, path: Path) -> None:
        try:
            # In a thread: a file system that does not respond must not block the process.
            content = await asyncio.to_thread(read_content, path)
            if content == self._content and self.file.is_current:
                return
            systems = parse_systems(path, content)
            self._activate(systems)
        except InvalidSystemsFileError as error:
            self._reject(str(error))
            return
        if content != self._content:
            log.info("external systems loaded", file=str(path), systems=sorted(systems.entries))
        self._content, self.active = content, systems
        self.file = FileState(path=path, loaded_at=datetime.now(UTC))

    def reload_on_sighup(self) -> None:
        """Let `watch` read the file at once when the process gets SIGHUP. Must be called in the main thread."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._requested.set)

    async def watch(self, after_each_look: Callable[[], None] = _look_no_further) -> None:
        """Refresh every `CHECK_EVERY_S` and on SIGHUP, until cancelled."""
        while True:
            try:
                await self.refresh()
                after_each_look()
            except Exception:
                # Our defect. It must not end the watch, after which no change would be seen.
                log.exception("external systems not looked at")
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_S):
                    await self._requested.wait()
            self._requested.clear()

    def _reject(self, why: str) -> None:
        if self.file.rejected != why:
            log.error("external systems not loaded; the previous ones stay in use", reason=why)
        self.file = replace(self.file, rejected=why)


def load_systems(settings: Settings, activate: Callable[[ExternalSystems], None] = _nothing) -> WatchedSystems:
    """Load the systems at the start of a process. If they are invalid, print what is wrong and exit with 2."""
    try:
        return WatchedSystems(settings, activate)
    except InvalidSystemsFileError as error:
        variable = "EXTERNAL_CA_FILE" if settings.external_systems is None else "EXTERNAL_SYSTEMS"
        print(f"{ENV_PREFIX}{variable}: {error}", file=sys.stderr)  # noqa: T201 - as settings do
        raise SystemExit(2) from None


def system_of_settings(settings: Settings) -> ExternalSystems:
    """Return the one system that the variables SETTLEMENT_EXTERNAL_… describe: it serves everything."""
    # Settings have validated these values. Unlike a file, they may contain a password, and http to any host.
    entry = SystemEntry.model_construct(
        default=True,
        base_url=settings.external_url,
        allow_http=True,
        adjust_path=settings.external_adjust_path,
        cancel_adjust_path=settings.external_cancel_adjust_path,
        cancel_operation_path=settings.external_cancel_operation_path,
        cancel_protocol=settings.external_cancel_protocol,
        trace=settings.external_trace,
        ca_file=settings.external_ca_file,
    )
    return ExternalSystems({DEFAULT_SYSTEM: entry})
