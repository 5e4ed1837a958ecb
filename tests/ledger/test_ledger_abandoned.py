"""Transactions whose caller no longer waits: they complete, and their result is logged."""

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


class SlowRecord:
    """A record that writes when the test allows it."""

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


async def write_with_timeout(record: SlowRecord) -> None:
    """Start a write, time out, then let the write continue."""
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
async def test_the_result_of_an_abandoned_write_is_logged(
    logs: list[MutableMapping[str, Any]], error: Exception | None, level: str, event: str
) -> None:
    """Otherwise a failed write would leave no trace."""
    record = SlowRecord()
    record.error = error
    await write_with_timeout(record)

    async def told() -> bool:
        return bool(logs)

    await until(told)
    (entry,) = logs
    assert (entry["log_level"], entry["event"], entry["transaction"]) == (level, event, "SlowRecord.write")
    assert entry.get("error") == (f"{type(error).__name__}: {error}" if error else None)


async def test_a_waiting_caller_gets_the_error_and_nothing_is_logged(logs: list[MutableMapping[str, Any]]) -> None:
    record = SlowRecord()
    record.go_on.set()
    assert await record.write() == "written"
    record.error = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        await record.write()
    assert logs == []


async def abandoned() -> "weakref.ref[asyncio.Event]":
    """Begin a write and give it up; return what lets it end, which from now on only the write itself refers to."""
    record = SlowRecord()
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
