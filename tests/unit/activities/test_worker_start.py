"""A worker compares Temporal with its ledger before it starts: which of the two is away decides what it does."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs
from temporalio.client import Client

from activities import temporal_guard
from activities.temporal_calls import TemporalTimeoutError
from activities.temporal_guard import TemporalGuard
from ledger import TemporalBinding, TemporalIdentity, open_engine

FOUND = TemporalIdentity(cluster_id="c-1", namespace="default", namespace_id="n-1")


async def hang(*_: Any, **__: Any) -> None:  # noqa: ANN401 - stands in for an RPC
    await asyncio.Event().wait()


def guard_of(client: object, tmp_path: Path) -> TemporalGuard:
    return TemporalGuard(cast("Client", client), open_engine(f"sqlite:///{tmp_path / 'ledger.db'}"), "worker")


async def test_a_temporal_that_hangs_ends_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken for a ledger that is away, and the worker went on as if its Temporal were the right one."""
    monkeypatch.setattr(temporal_guard, "CHECK_LIMIT_S", 0.01)
    hanging = SimpleNamespace(namespace="default", workflow_service=SimpleNamespace(describe_namespace=hang))
    with capture_logs() as logs, pytest.raises(TemporalTimeoutError):
        await guard_of(hanging, tmp_path).check_at_start()
    assert logs == []


@pytest.mark.parametrize("away", [TimeoutError(), ConnectionRefusedError()], ids=lambda each: type(each).__name__)
async def test_a_ledger_that_is_away_holds_up_no_compensation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: OSError
) -> None:
    async def found(_: Client) -> TemporalIdentity:
        return FOUND

    async def read(_: TemporalBinding) -> TemporalIdentity:
        raise away

    monkeypatch.setattr(temporal_guard, "identity_of", found)
    monkeypatch.setattr(TemporalBinding, "read", read)
    with capture_logs() as logs:
        await guard_of(None, tmp_path).check_at_start()
    assert [(each["log_level"], each["error"]) for each in logs] == [("warning", type(away).__name__)]
