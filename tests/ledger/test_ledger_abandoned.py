"""A transaction whose caller has given up ends by itself, and what became of it is logged."""

import asyncio
import gc
import weakref
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from ledger.transactions import shielded_transaction
from tests.support.polling import until


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as entries:
        yield entries


class Record:
    """Writes when the test lets it."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    @shielded_transaction
    async def write(self) -> str:
        """Wait, then fail or not."""
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return "written"


async def gives_up(record: Record) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await record.write()
    record.go_on.set()


@pytest.mark.parametrize(
    ("error", "level", "event"),
    [
        (OSError("disk full"), "error", "an abandoned transaction failed"),
        (None, "warning", "an abandoned transaction was completed"),
    ],
)
async def test_the_end_of_an_abandoned_write_is_logged(
    logs: list[MutableMapping[str, Any]], error: Exception | None, level: str, event: str
) -> None:
    """Swallowed, a write that is never done leaves no trace of why."""
    record = Record()
    record.error = error
    await gives_up(record)

    async def told() -> bool:
        return bool(logs)

    await until(told)
    (entry,) = logs
    assert (entry["log_level"], entry["event"], entry["transaction"]) == (level, event, "Record.write")
    assert entry.get("error") == (f"{type(error).__name__}: {error}" if error else None)


async def test_a_caller_who_waits_gets_the_error_and_nothing_is_logged(logs: list[MutableMapping[str, Any]]) -> None:
    record = Record()
    record.go_on.set()
    assert await record.write() == "written"
    record.error = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        await record.write()
    assert logs == []


async def abandoned() -> "weakref.ref[asyncio.Event]":
    """Begin a write and give it up; return what lets it end, which from now on only the write itself refers to."""
    record = Record()
    caller = asyncio.create_task(record.write())
    await asyncio.sleep(0.01)
    caller.cancel()
    await asyncio.wait([caller])
    return weakref.ref(record.go_on)


async def test_the_garbage_collector_leaves_an_abandoned_write_alone(logs: list[MutableMapping[str, Any]]) -> None:
    """The event loop refers to a task weakly, so something else must keep one that nobody waits for any more."""
    written = await abandoned()
    gc.collect()
    go_on = written()
    assert go_on is not None
    go_on.set()

    async def told() -> bool:
        return bool(logs)

    await until(told)
    assert [entry["event"] for entry in logs] == ["an abandoned transaction was completed"]
