"""The documents are executable: every console block prints what the document shows, on the real stack.

Each document has a shell, ports and a folder of its own. It starts what it needs by its own commands (`make up`). The
ports that it names are the defaults; here they stand for free ones. Waits between attempts are shorter than in
production, so what a document shows must not depend on them. What only reads is repeated until it shows what the
document shows: a reader looks again, too.
"""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from config.settings import ENV_PREFIX, Settings
from stack.ports import PORT_SETTINGS, free_port
from tests.support.documents import PAGES, ROOT, Command, Shape, blocks
from tests.support.shell import Foreground, Shell

LIMIT_S = 120.0
LOOKS_S = 60.0
RUNS_UNTIL_CTRL_C = re.compile(r"(SETTLEMENT_\w+=\S+ )*(make up|\.venv/bin/python -m (simulator|examples\.broker))\b")
ONLY_READS = re.compile(
    r"settlement (show|list|explain|exposure|findings|events|batch-retry (preview|status|report|list)) "
    r"|curl -s \S+ (\||$)"
)
QUICKER = {"cancel_initial_interval_s": "0.1", "cancel_max_interval_s": "0.5", "confirm_after_s": "2"}
BROKER_PORT = "8200"
"""The port of the reference broker in docs/brokers.md, which is no setting."""
LEFT_OUT = {".git", ".state", ".venv", "build"}

IN_EVERY_RUN = {"docs/deployment.md", "docs/simulator.md"}
"""The documents that `make test` runs; `make prove` runs the others, which have more commands."""


def to_run() -> Iterator[ParameterSet]:
    """Yield every document with commands that a test can run."""
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        if any(each.language == "console" and not each.not_run for each in blocks(page)):
            yield pytest.param(page, id=name, marks=() if name in IN_EVERY_RUN else pytest.mark.prove("documents"))


class Reader:
    """Runs the commands of a document, and compares their output with the document."""

    def __init__(self, shell: Shell, env: dict[str, str], folder: Path, ports: dict[str, str]) -> None:
        self._shell = shell
        self._env = env
        self._folder = folder
        self._ports = ports
        self._shape = Shape()
        self.running: list[Foreground] = []

    async def follow(self, command: Command, *, status_is_asked_for: bool) -> None:
        """Run a command. Fail if its output differs, or if it fails and the document does not show that."""
        text = self._with_our_ports(self._shape.typed(command.text))
        if RUNS_UNTIL_CTRL_C.match(text):
            await self._start(text, command)
            return
        repeated_until = asyncio.get_running_loop().time() + (LOOKS_S if ONLY_READS.match(f"{text} ") else 0)
        while True:
            printed, status = await self._shell.run(text, LIMIT_S)
            printed = self._with_default_ports(printed)
            if self._shape.fits(command.output, printed) or asyncio.get_running_loop().time() > repeated_until:
                break
            await asyncio.sleep(0.5)
        self._compare(command, printed)
        says_so = status_is_asked_for or any(line.startswith("error:") for line in command.output)
        assert status == 0 or says_so, f"line {command.line} ends with {status}, which the document does not say"

    async def _start(self, text: str, command: Command) -> None:
        started = await Foreground.start(text, self._env, self._folder)
        self.running.append(started)
        ends_at = asyncio.get_running_loop().time() + LIMIT_S
        while not self._shape.fits(command.output, self._with_default_ports(started.printed)):
            if started.ended or asyncio.get_running_loop().time() > ends_at:
                self._compare(command, self._with_default_ports(started.printed))
            await asyncio.sleep(0.1)

    def _compare(self, command: Command, printed: str) -> None:
        if not self._shape.fits(command.output, printed):
            misfit = self._shape.first_misfit(command.output, printed)
            pytest.fail(f"line {command.line}: {command.text}\n--- is not printed: {misfit}\n--- printed:\n{printed}")

    def _with_our_ports(self, text: str) -> str:
        for default, ours in self._ports.items():
            text = re.sub(rf"(?<=:){default}\b|(?<=--port ){default}\b", ours, text)
        return text

    def _with_default_ports(self, text: str) -> str:
        for default, ours in self._ports.items():
            text = re.sub(rf"(?<=:){ours}\b", default, text)
        return text


def lay_out(folder: Path) -> None:
    """Link the files of a clone into a folder, with the current virtual environment marked as ready."""
    for entry in ROOT.iterdir():
        if entry.name not in LEFT_OUT:
            (folder / entry.name).symlink_to(entry)
    (folder / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".ready":
            (folder / ".venv" / entry.name).symlink_to(entry)
    (folder / ".venv" / ".ready").touch()


@asynccontextmanager
async def reader(folder: Path) -> AsyncIterator[Reader]:
    """Yield a reader with a fresh copy of the repository, with `make` done once."""
    lay_out(folder)
    free = {name: str(free_port()) for name in PORT_SETTINGS}
    settings = {f"{ENV_PREFIX}{name}".upper(): value for name, value in {**QUICKER, **free}.items()}
    env = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "SETTLEMENT_URL": f"http://127.0.0.1:{free['api_port']}",
        **settings,
    }
    ports = {str(Settings.model_fields[name].default): value for name, value in free.items()}
    ports[BROKER_PORT] = str(free_port())
    shell = await Shell.open(env, folder)
    opened = Reader(shell, env, folder, ports)
    try:
        yield opened
    finally:
        await shell.close()
        for started in reversed(opened.running):
            await started.stop()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", list(to_run()))
async def test_the_commands_of_a_document_print_what_it_shows(page: Path, tmp_path: Path) -> None:
    commands = [
        each for block in blocks(page) if block.language == "console" and not block.not_run for each in block.commands()
    ]
    async with reader(tmp_path) as opened:
        for command, following in zip(commands, [*commands[1:], None], strict=True):
            asked = following is not None and following.text == "echo $?"
            await opened.follow(command, status_is_asked_for=asked)
