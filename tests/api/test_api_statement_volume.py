"""A statement of a whole day of a busy platform: every difference is found, in bounded memory."""

import asyncio
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path

import httpx2
import pytest

from ledger import open_engine
from ledger.migrate import migrate_url
from stack.ports import free_port
from tests.support.broker_statements import ENDS_AT, PLANTED, STARTS_AT, Case, agreeing, fill_many, planted, write_csv
from tests.support.cli import PROGRAM, ROOT, environment
from tests.support.polling import until

LINES = int(os.environ.get("STATEMENT_LINES", "200000"))
MEMORY_MAX_MIB = 190
"""For each process, with any number of lines. Without a statement, the API process needs about 130 MiB."""


def cases() -> Iterator[Case]:
    return chain(agreeing(LINES), planted())


def peak_mib(pid: int) -> float:
    """Return the largest resident memory of a process so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


@asynccontextmanager
async def api_process(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """Run the API as its own process on a ledger in `folder`, without Temporal; yield its URL and pid."""
    port = free_port()
    variables = {
        "SETTLEMENT_DATABASE_URL": f"sqlite:///{folder / 'ledger.db'}",
        "SETTLEMENT_STATE_DIR": str(folder),
        "SETTLEMENT_API_PORT": str(port),
        "SETTLEMENT_AUTH": "off",
        "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api"), cwd=ROOT, env=environment(**variables), stdout=DEVNULL, stderr=DEVNULL
    )
    url = f"http://127.0.0.1:{port}"

    async def is_up() -> bool:
        async with httpx2.AsyncClient() as http:
            try:
                return (await http.get(f"{url}/healthz")).is_success
            except httpx2.HTTPError:
                return False

    try:
        await until(is_up, limit_s=60, what="the API")
        yield url, process.pid
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.prove("statement")
@pytest.mark.timeout(1800)
async def test_a_long_statement_is_compared_in_bounded_memory(tmp_path: Path) -> None:
    await migrate_url(f"sqlite:///{tmp_path / 'ledger.db'}")
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    await fill_many(engine, tmp_path / "ledger.db", cases())
    await engine.dispose()
    count = write_csv(tmp_path / "day.csv", cases())
    began = time.monotonic()
    async with api_process(tmp_path) as (url, api_pid):
        period = ("--from", STARTS_AT.isoformat(), "--to", ENDS_AT.isoformat())
        command = await asyncio.create_subprocess_exec(
            *(*PROGRAM, "statement", "import", str(tmp_path / "day.csv"), *period, "--json"),
            cwd=ROOT,
            env=environment(url),
            stdout=PIPE,
            stderr=PIPE,
        )
        peaks = [0.0]

        async def watch() -> None:
            while command.returncode is None:
                peaks.append(peak_mib(command.pid))
                await asyncio.sleep(0.2)

        watching = asyncio.create_task(watch())
        out, err = await command.communicate()
        watching.cancel()
        await asyncio.wait([watching])
        async with httpx2.AsyncClient() as http:
            found = (await http.get(f"{url}/v1/reconciliation/findings", params={"limit": 100})).json()["items"]
        memory = {"api": peak_mib(api_pid), "cli": max(peaks)}
    print(f"{count} lines in {time.monotonic() - began:.0f} s; peak MiB: {memory}\n{err.decode()}")  # noqa: T201 - shown by `pytest -s`
    assert command.returncode == 4, (out, err)
    assert {(each["requestUniqueNo"], each["kind"]) for each in found} == PLANTED
    assert max(memory.values()) < MEMORY_MAX_MIB
