"""`make dev`: runs all parts as `make up` does, and restarts worker and API when one of their source files changes.

Temporal, the simulator and the ledger keep running, so open settlements continue. A part that does not start, for
example because of a syntax error, is reported and started again after the next change. A new migration of the ledger is
applied by the next `make dev`.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from watchfiles import PythonFilter, awatch

from config.settings import load_settings
from stack.parts import ROOT, Stack
from stack.ports import with_free_ports
from stack.process import Process, StackError
from stack.up import addresses, report_end, starting, stop_signal, unless_stopped

NOT_LOADED = frozenset({"bench", "cli", "simulator", "stack"})
"""Packages that neither worker nor API imports."""


async def dev() -> None:
    """Run the stack until SIGINT or SIGTERM; raises StackError if any other part than worker and API fails."""
    stop = stop_signal()
    stack = Stack(with_free_ports(load_settings()), hide_unsafe_actions=True)
    print(starting(stack), flush=True)
    reloaded = Reloaded(stack.ours)
    others = [part for part in stack.parts if part not in reloaded.parts]
    await unless_stopped(stack.start(others), stop)
    try:
        if not stop.is_set():
            await unless_stopped(_run(stack, reloaded, others), stop)
    finally:
        print("stopping …", flush=True)
        await stack.stop()


async def _run(stack: Stack, reloaded: "Reloaded", others: Sequence[Process]) -> None:
    """Start worker and API, and restart them after each change of a source file, until cancelled."""
    changed: asyncio.Queue[Path] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        for watch in (watch_sources(ROOT, changed.put_nowait), *(report_end(part) for part in others)):
            group.create_task(watch)
        await reloaded.start()
        print(addresses(stack), flush=True)
        print("worker and API restart when one of their source files changes; Ctrl-C stops everything", flush=True)
        while True:
            files = [await changed.get()]
            while not changed.empty():
                files.append(changed.get_nowait())
            print(f"changed: {', '.join(sorted({str(file.relative_to(ROOT)) for file in files}))}", flush=True)
            await reloaded.restart()


class Reloaded:
    """The parts that are restarted, in the order in which they start; they stop in reverse order."""

    def __init__(self, parts: Sequence[Process]) -> None:
        self.parts = parts
        self._ends: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start every part that can be started; print for each whether it is ready."""
        for part in self.parts:
            try:
                await part.start()
            except StackError as error:
                await part.stop()
                print(f"{error}\n{part.name} will be started again at the next change", flush=True)
            else:
                print(f"{part.name} is ready", flush=True)
                self._ends.append(asyncio.create_task(report_end(part)))

    async def restart(self) -> None:
        """Stop every part by SIGTERM, so that calls in flight can finish; then start them with the new sources."""
        for end in self._ends:
            end.cancel()
        self._ends.clear()
        for part in reversed(self.parts):
            await part.stop()
        await self.start()


def source_folders(root: Path) -> Iterator[Path]:
    """Yield the top-level packages of a source tree that worker and API may import."""
    for init in root.glob("*/__init__.py"):
        if init.parent.name not in NOT_LOADED:
            yield init.parent


async def watch_sources(root: Path, changed: Callable[[Path], None]) -> None:
    """Call `changed` with each Python file of worker and API that is changed, created or deleted."""

    async def watch(*folders: Path, recursive: bool) -> None:
        async for changes in awatch(*folders, watch_filter=PythonFilter(), recursive=recursive):
            for _, path in changes:
                changed(Path(path))

    # worker.py is watched by its folder: editors replace files, and a watch on the file itself would end then.
    await asyncio.gather(watch(root, recursive=False), watch(*source_folders(root), recursive=True))
