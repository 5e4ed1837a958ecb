"""Shell completion, installed by the program and sourced by a real bash: commands, options and values."""

import asyncio
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from settlement.calls import Rule
from settlement.states import State
from tests.support.cli import ROOT, environment, settlement
from tests.support.polling import until

SCRIPTS = {
    "bash": (".bash_completions/settlement.sh", "complete -o default -F _settlement_completion settlement"),
    "zsh": (".zfunc/_settlement", "#compdef settlement"),
    "fish": (".config/fish/completions/settlement.fish", "complete --command settlement"),
}
COMPLETE = """
source "$HOME/.bashrc"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_settlement_completion settlement
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home directory with the program in its PATH."""
    home = tmp_path_factory.mktemp("home")
    program = home / "bin" / "settlement"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli "$@"\n')
    program.chmod(0o755)
    return home


def environment_of(home: Path) -> dict[str, str]:
    """Return the environment of a shell with this home directory."""
    base = environment()
    return base | {"HOME": str(home), "PATH": f"{home}/bin:{base['PATH']}", "SHELL": "/bin/bash", "TERM": "dumb"}


async def run(*command: str, home: Path) -> str:
    """Run a command, check that it succeeds, and return its output."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment_of(home), cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b""), err
    return out.decode()


async def run_in_shell(shell: str, line: str, home: Path) -> str:
    """Run a line in bash under the name of another shell: the program detects the shell by the name of its process."""
    bash = shutil.which("bash")
    assert bash is not None
    named = home / shell
    shutil.copy(bash, named)
    return await run(str(named), "--norc", "-c", f"{line}; true", home=home)


async def completed(home: Path, *words: str) -> list[str]:
    """Install completion once, source it in bash, and return the proposals for the last word."""
    if not (home / ".bashrc").exists():
        await run_in_shell("bash", "settlement --install-completion", home)
    out = await run("bash", "--norc", "-c", COMPLETE, "bash", *words, home=home)
    return [line for line in out.splitlines() if line]


@pytest.mark.parametrize("shell", SCRIPTS)
async def test_completion_is_installed_for_each_shell(home: Path, shell: str) -> None:
    output = await run_in_shell(shell, "settlement --install-completion", home)
    path, registers = SCRIPTS[shell]
    assert path in output
    assert registers in (home / path).read_text()
    assert "_SETTLEMENT_COMPLETE" in (home / path).read_text()


@pytest.mark.parametrize("shell", SCRIPTS)
async def test_the_completion_script_can_be_printed(home: Path, shell: str) -> None:
    assert SCRIPTS[shell][1] in await run_in_shell(shell, "settlement --show-completion", home)


@pytest.mark.parametrize(
    ("words", "proposed"),
    [
        (["settlement", "expl"], ["explain"]),
        (["settlement", "batch-retry", "st"], ["start", "status", "stop"]),
        (["settlement", "list", "--cancel"], ["--cancel-result"]),
        (["settlement", "list", "--state", "AB"], ["ABORTED"]),
        (["settlement", "list", "--state", "ab"], ["aborted"]),
        (["settlement", "list", "--state", ""], list(State)),
        (["settlement", "--json", "list", "--state", "AB"], ["ABORTED"]),
        (["settlement", "list", "--json", "--state", "AB"], ["ABORTED"]),
        (["settlement", "batch-retry", "preview", "--cause", ""], list(Rule)),
        (["settlement", "retry", "ORD-1", "--reason", "BROKER_R"], ["BROKER_RECOVERED"]),
        (["settlement", "resolve", "ORD-1", "--reason", "W"], ["WRITTEN_OFF"]),
        (["settlement", "keys", "create", "--role", "op"], ["operator"]),
        (["settlement", "findings", "--status", "CL"], ["CLEARED", "CLOSED"]),
        (["settlement", "submit", "--operation-type", "NO"], ["NORMAL_CLOSE"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0] == "settlement" else "",
)
async def test_commands_options_and_values_are_completed(words: list[str], proposed: list[str]) -> None:
    """The variables are those with which the script of bash calls the program."""
    ran = await settlement(
        _SETTLEMENT_COMPLETE="complete_bash", COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1)
    )
    assert ran.out.splitlines() == proposed


@pytest.mark.parametrize(
    ("words", "proposed"),
    [
        (["settlement", "batch-retry", "st"], ["start", "status", "stop"]),
        (["settlement", "list", "--state", ""], [*State]),
    ],
)
async def test_bash_completes_through_the_installed_script(home: Path, words: list[str], proposed: list[str]) -> None:
    assert await completed(home, *words) == proposed


async def test_the_tab_key_completes_at_an_interactive_prompt(home: Path) -> None:
    await completed(home, "settlement", "l")
    master, slave = os.openpty()
    os.set_blocking(master, False)
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-i",
        env=environment_of(home) | {"PROMPT_COMMAND": "PS1='ready> '"},
        cwd=home,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    seen = b""

    async def shows(text: str) -> None:
        async def probe() -> bool:
            nonlocal seen
            with suppress(BlockingIOError):
                seen += os.read(master, 65536)
            return text in seen.decode(errors="replace")

        await until(probe, what=text)

    try:
        await shows("ready>")
        os.write(master, b"settlement list --state AB\t")
        await shows("settlement list --state ABORTED")
    finally:
        process.kill()
        await process.wait()
        os.close(master)
