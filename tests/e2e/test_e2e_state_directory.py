"""A stack that starts with an open umask, over old files, and cancels with the deprecated operation.

Only the owner can read the state directory: it contains user names, IP addresses and hashes of keys.
"""

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from settlement.states import CancelResult, State
from tests.e2e.conftest import System, e2e_settings, faulty, running


@pytest_asyncio.fixture(scope="module")
async def own_system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Run a stack under a umask that makes new files readable by everyone, with a log of an earlier build."""
    state_dir = tmp_path_factory.mktemp("own") / "state"
    before = os.umask(0o022)
    try:
        (state_dir / "logs").mkdir(parents=True)
        (state_dir / "logs" / "old.log").write_text("user-7")
        async with running(e2e_settings(state_dir, external_cancel_protocol="cancel-operation")) as started:
            yield started
    finally:
        os.umask(before)


async def test_the_deprecated_protocol_reverses_too(own_system: System) -> None:
    body = faulty("hang_applied")
    await own_system.post(body)
    ended = await own_system.ends(body["requestUniqueNo"])
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
    [cancel] = await own_system.cancels(body["requestUniqueNo"])
    assert cancel["operation"] == "CANCEL_OPERATION"


def open_to_others(folder: Path) -> dict[str, str]:
    """Return the paths that other users may read, write or enter."""
    paths = [folder, *folder.rglob("*")]
    modes = {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in paths if path.exists()}
    return {path: oct(mode) for path, mode in modes.items() if mode & 0o077}


async def test_no_other_user_can_read_the_state_directory(own_system: System) -> None:
    """Neither new files nor those of an earlier build, while the stack runs and afterwards."""
    state_dir = own_system.stack.state_dir
    names = {path.name for path in state_dir.rglob("*")}
    assert names >= {"ledger.db", "ledger.db-wal", "temporal.db", "simulator.db", "worker.log", "old.log", "lock"}
    assert open_to_others(state_dir) == {}
    await own_system.stack.stop()
    assert open_to_others(state_dir) == {}
