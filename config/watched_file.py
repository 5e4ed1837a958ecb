"""A configuration file that is loaded again when it changes, without a restart. An invalid new content is rejected."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from config.configuration_file import InvalidFileError, read_content

CHECK_EVERY_S = 1.0
"""Interval between two looks at the content of a file."""

log = structlog.get_logger()

T = TypeVar("T")


@dataclass(frozen=True)
class FileState:
    """Which content of the file is in use."""

    path: Path | None
    """None: there is no file."""
    loaded_at: datetime
    """When the content in use was loaded."""
    rejected: str | None = None
    """Why the newest content is not in use; None if it is."""

    @property
    def is_current(self) -> bool:
        """Whether the newest content of the file is in use."""
        return self.rejected is None


def nothing(*_: object) -> None:
    """Do nothing with a new content, or after a look at the file."""


class WatchedFile(Generic[T]):
    """Holds what a configuration file contains, and replaces it when the content changes.

    `activate` is called with each new content before it is in use. If it raises InvalidFileError, the content is
    rejected. If the content is rejected, the previous one stays in use, and `file` says why.
    """

    def __init__(
        self,
        what: str,
        path: Path | None,
        parse: Callable[[Path, bytes], T],
        *,
        without_file: Callable[[], T],
        activate: Callable[[T], None] = nothing,
    ) -> None:
        """Load the file. Raises InvalidFileError: there is no earlier content that could stay in use."""
        self._what = what
        self._path = path
        self._parse = parse
        self._activate = activate
        self._content: bytes | None = None
        self._requested = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        if path is None:
            self.active = without_file()
        else:
            self._content = read_content(path)
            self.active = parse(path, self._content)
        self._activate(self.active)
        self.file = FileState(path=path, loaded_at=datetime.now(UTC))

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
            active = self._parse(path, content)
            self._activate(active)
        except InvalidFileError as error:
            self._reject(str(error))
            return
        if content != self._content:
            log.info("configuration file loaded", what=self._what, file=str(path))
        self._content, self.active = content, active
        self.file = FileState(path=path, loaded_at=datetime.now(UTC))

    def look_now(self) -> None:
        """Let `watch` read the file at once."""
        self._requested.set()

    async def watch(self, after_each_look: Callable[[], None] = nothing) -> None:
        """Refresh every `CHECK_EVERY_S` and after `look_now`, until cancelled."""
        while True:
            try:
                await self.refresh()
                after_each_look()
            except Exception:
                # Our defect. It must not end the watch, after which no change would be seen.
                log.exception("configuration file not looked at", what=self._what)
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_S):
                    await self._requested.wait()
            self._requested.clear()

    def _reject(self, why: str) -> None:
        if self.file.rejected != why:
            log.error("configuration file not loaded; the previous content stays in use", what=self._what, reason=why)
        self.file = replace(self.file, rejected=why)


def reload_on_sighup(*files: WatchedFile[Any]) -> None:
    """Let the files be read at once when the process gets SIGHUP. Must be called in the main thread."""

    def look_now() -> None:
        for each in files:
            each.look_now()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, look_now)
