"""`settlement audit` verifies the database of the settings, and its exit code says what it found."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from ledger import Ledger
from ledger.tables import external_calls, settlements
from tests.ledger.samples import resolved
from tests.support.orders import id_of, settlement
from tests.support.tampering import unguarded

ROOT = Path(__file__).parents[2]
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


async def audit(database_url: str, *arguments: str) -> tuple[int | None, str, str]:
    """Run the command and return exit code, output and messages."""
    environment = {**os.environ, "SETTLEMENT_DATABASE_URL": database_url}
    command = (sys.executable, "-m", "cli", "audit", *arguments)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def ended(ledger: Ledger, number: str) -> None:
    await ledger.record(settlement(requestUniqueNo=number, accepted_at=YESTERDAY), resolved(1, state_changes=()))


async def test_it_says_how_much_is_as_it_was_written(ledger: Ledger, database_url: str) -> None:
    await ended(ledger, "N-1")
    code, out, err = await audit(database_url, "verify")
    assert (code, out, err) == (0, "", "verified 1 settlements, 5 rows: no faults\n")
    code, out, err = await audit(database_url, "verify", "--to", "2026-01-01T00:00Z")
    assert (code, out, err) == (0, "", "verified 0 settlements, 0 rows: no faults\n")


async def test_faults_are_printed_with_settlement_and_position(ledger: Ledger, database_url: str) -> None:
    for number in ("N-1", "N-2"):
        await ended(ledger, number)
    async with unguarded(ledger.engine) as connection:
        where = (external_calls.c.settlement_id == id_of("N-2"), external_calls.c.chain_position == 2)
        await connection.execute(update(external_calls).where(*where).values(detail="another"))
    code, out, _ = await audit(database_url, "verify")
    lines = [line.split("\t") for line in out.splitlines()]
    assert (code, lines[0]) == (4, ["settlement", "table", "position", "fault", "detail"])
    assert [line[:4] for line in lines[1:]] == [["default:N-2", "external_calls", "2", "changed"]]
    code, out, _ = await audit(database_url, "--json", "verify", "--", "N-2")
    (fault,) = map(json.loads, out.splitlines())
    assert (code, fault["settlement"], fault["position"]) == (4, "default:N-2", 2)
    assert (await audit(database_url, "verify", "N-1"))[0] == 0


async def test_an_anchor_in_a_file_finds_a_deleted_settlement(
    ledger: Ledger, database_url: str, tmp_path: Path
) -> None:
    file, day = str(tmp_path / "anchors.jsonl"), YESTERDAY.date().isoformat()
    for number in ("N-1", "N-2"):
        await ended(ledger, number)
    assert (await audit(database_url, "anchor", "--day", day, "--output", file))[0] == 0
    assert (await audit(database_url, "verify", "--anchor", file))[0] == 0
    async with unguarded(ledger.engine) as connection:
        for table in (external_calls, settlements):
            await connection.execute(delete(table).where(table.c.settlement_id == id_of("N-2")))
    code, out, _ = await audit(database_url, "verify", "--anchor", file)
    assert code == 4
    assert [f"anchor {day}", "settlements", "", "deleted", "the anchor has 2, the ledger has 1"] in [
        line.split("\t") for line in out.splitlines()
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "N-1", "--from", "2026-01-01T00:00Z"),
        ("verify", "--from", "yesterday"),
        ("verify", "--anchor", "/nowhere/anchors"),
        ("anchor", "--day", "2999-01-01"),
        ("anchor", "--day", "today"),
    ],
)
async def test_wrong_usage_is_exit_code_2(sqlite_url: str, arguments: tuple[str, ...]) -> None:
    code, out, err = await audit(sqlite_url, *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


async def test_a_ledger_that_cannot_be_read_is_exit_code_3(tmp_path: Path) -> None:
    code, out, err = await audit(f"sqlite:///{tmp_path}/gone/ledger.db", "verify")
    assert (code, out) == (3, "")
    assert err.startswith("error: the ledger cannot be read: ")
    assert len(err.splitlines()) == 1
