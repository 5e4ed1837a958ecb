"""`make dev`: worker and API restart after a change of the sources; the other parts keep running."""

import os
import shutil
import signal
import sys
from asyncio import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from stack.parts import ROOT
from stack.ports import HOST, PORT_SETTINGS, free_port
from tests.support.orders import order
from tests.support.polling import until

LIMIT_S = 60.0
READY = "is ready"
KEPT = ("temporal", "stack.ui", "simulator")
RELOADED = ("worker.py", "api")


@dataclass
class Dev:
    """`make dev` with a copy of the sources."""

    process: subprocess.Process
    sources: Path
    log: Path
    api_url: str
    last: dict[str, int] = field(default_factory=dict)

    def change(self, path: str, old: str, new: str) -> None:
        """Replace text in a source file as an editor does: by a new file."""
        file, beside = self.sources / path, self.sources / f"{path}.new"
        text = file.read_text()
        assert old in text
        beside.write_text(text.replace(old, new))
        beside.replace(file)

    async def have_printed(self, what: str, times: int) -> bool:
        """Return whether the log has this text `times` times for each of worker and API."""
        said = self.log.read_text()
        assert self.process.returncode is None, said
        return all(said.count(f"{part} {what}") == times for part in ("worker", "api"))

    def pids(self) -> dict[str, int]:
        """Return the process ids of its parts by name."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {_name_of(pid): int(pid) for pid in children}

    def still_running(self) -> list[int]:
        """Return the parts that still run after the end."""
        return [pid for pid in self.last.values() if Path(f"/proc/{pid}").exists()]

    async def get(self, path: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the JSON of a GET; None while the API is down."""
        try:
            async with aiohttp.ClientSession() as http, http.get(self.api_url + path) as answer:
                return await answer.json()
        except aiohttp.ClientError:
            return None

    async def settle(self) -> str:
        """Settle an order; return its number."""
        body = order()
        async with (
            aiohttp.ClientSession(headers={"prefer": "wait=15"}) as http,
            http.post(f"{self.api_url}/v1/settlements", json=body) as answer,
        ):
            assert (await answer.json())["decision"] == "PROCEED"
        return str(body["requestUniqueNo"])


@asynccontextmanager
async def developing(folder: Path) -> AsyncIterator[Dev]:
    sources, log = folder / "sources", folder / "dev.log"
    packages = [init.parent.name for init in ROOT.glob("*/__init__.py")]
    for package in packages:
        shutil.copytree(ROOT / package, sources / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "worker.py", sources)
    ports = {name: free_port() for name in PORT_SETTINGS}
    env = {f"SETTLEMENT_{name}".upper(): str(port) for name, port in ports.items()}
    env |= {"SETTLEMENT_STATE_DIR": str(folder / "state"), "PYTHONPATH": str(sources)}
    with log.open("wb") as out:
        process = await subprocess.create_subprocess_exec(
            *(sys.executable, "-m", "stack", "dev"), cwd=sources, env=os.environ | env, stdout=out, stderr=out
        )
    dev = Dev(process, sources, log, f"http://{HOST}:{ports['api_port']}")
    try:
        await until(lambda: dev.have_printed(READY, 1), limit_s=LIMIT_S, what="make dev is up")
        yield dev
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


def _name_of(pid: str) -> str:
    words = [word.split("/")[-1] for word in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]
    return next(name for name in (*KEPT, *RELOADED) if name in words)


@pytest.mark.skipif(sys.platform != "linux", reason="process ids are read from /proc")
async def test_worker_and_api_restart_and_the_other_parts_keep_running(tmp_path: Path) -> None:
    async with developing(tmp_path) as dev:
        before, number = dev.pids(), await dev.settle()
        assert sorted(before) == sorted((*KEPT, *RELOADED))

        dev.change("activities/adjust.py", "class Adjust:", "class Adjust(:")
        await until(lambda: dev.have_printed("will be started again at the next change", 1), limit_s=LIMIT_S)
        assert "SyntaxError" in dev.log.read_text()
        assert "worker stopped" in (tmp_path / "state/logs/worker.log").read_text(), "it stopped normally"

        # One change of two files: while the second is wrong, neither part starts.
        dev.change("api/app.py", 'title="Order settlement"', 'title="Changed"')
        dev.change("activities/adjust.py", "class Adjust(:", "class Adjust:")
        await until(lambda: dev.have_printed(READY, 2), limit_s=LIMIT_S, what="worker and API have restarted")
        assert (await dev.get("/openapi.json"))["info"]["title"] == "Changed"
        assert (await dev.get(f"/v1/settlements/{number}"))["state"] == "SETTLED"
        await dev.settle()
        dev.last = dev.pids()
        assert {name for name, pid in dev.last.items() if before[name] == pid} == set(KEPT)
    assert dev.process.returncode == 0
    assert dev.still_running() == []
