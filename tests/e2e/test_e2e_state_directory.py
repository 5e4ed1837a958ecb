"""Only the owner can read the state directory: it contains user names, IP addresses and hashes of keys."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import e2e_settings, running
from tests.support.orders import order


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Set a umask that makes new files readable by everyone."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    """Return the paths that other users may read, write or enter."""
    paths = [folder, *folder.rglob("*")]
    modes = {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in paths if path.exists()}
    return {path: oct(mode) for path, mode in modes.items() if mode & 0o077}


@pytest.mark.usefixtures("open_umask")
async def test_no_other_user_can_read_the_state_directory(tmp_path: Path) -> None:
    """Neither new files nor those of an earlier build, while the stack runs and afterwards."""
    state_dir = tmp_path / "state"
    (state_dir / "logs").mkdir(parents=True)
    (state_dir / "logs" / "old.log").write_text("user-7")
    async with running(e2e_settings(state_dir)) as system:
        await system.post(order())
        names = {path.name for path in state_dir.rglob("*")}
        assert names >= {"ledger.db", "ledger.db-wal", "temporal.db", "simulator.db", "worker.log", "old.log", "lock"}
        assert open_to_others(state_dir) == {}
    assert open_to_others(state_dir) == {}
