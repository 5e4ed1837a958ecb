"""Every recorded history is replayed with the current code, and the replay detects a change."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from encryption.codec import EncryptionCodec
from settlement.ids import batch_workflow_id, workflow_id
from tests.support.batch_stories import batch_stories
from tests.support.encrypted_histories import encrypt
from tests.support.histories import HISTORIES, RELEASE
from tests.support.orders import id_of
from tests.support.other_release import OtherRelease
from tests.support.payload_keys import ring
from tests.support.rounds import round_stories
from tests.support.stories import stories
from workflows.batch_retry.workflow import BatchRetry
from workflows.order_settlement import OrderSettlement
from workflows.reconciliation.workflow import Reconciliation
from workflows.runtime import DATA_CONVERTER, data_converter, workflow_runner

RECORDED = sorted(HISTORIES.glob("*/*.json"))


def history(path: Path) -> WorkflowHistory:
    is_batch, name = path.stem.startswith("batch-"), f"story-{path.stem}"
    return WorkflowHistory.from_json(
        batch_workflow_id(name) if is_batch else workflow_id(id_of(name)), path.read_text()
    )


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_the_current_code_replays_it(path: Path) -> None:
    workflows = [OrderSettlement, BatchRetry, Reconciliation]
    replayer = Replayer(workflows=workflows, workflow_runner=workflow_runner(), data_converter=DATA_CONVERTER)
    await replayer.replay_workflow(history(path))


def test_every_story_of_this_release_is_recorded() -> None:
    assert {path.stem for path in RECORDED if path.parent.name == RELEASE} == {
        *stories(),
        *batch_stories(),
        *round_stories(),
    }


def test_histories_contain_no_machine_name() -> None:
    for path in RECORDED:
        assert '"identity": "tests"' in path.read_text()
        assert "@" not in path.read_text()
        assert "stackTrace" not in path.read_text()


async def test_a_changed_workflow_is_detected() -> None:
    replayer = Replayer(
        workflows=[OtherRelease], workflow_runner=UnsandboxedWorkflowRunner(), data_converter=DATA_CONVERTER
    )
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(history(HISTORIES / RELEASE / "settled.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_the_current_code_replays_it_encrypted(path: Path) -> None:
    """As if its payloads had been written under two keys, of which the second is active now."""
    recorded = history(path)
    for number, event in enumerate(recorded.events):
        await encrypt(event, EncryptionCodec(ring(("k1", "k2")[number % 2])))
    assert b"binary/encrypted" in b"".join(event.SerializeToString() for event in recorded.events)
    replayer = Replayer(
        workflows=[OrderSettlement, BatchRetry, Reconciliation],
        workflow_runner=workflow_runner(),
        data_converter=data_converter(EncryptionCodec(ring("k1", "k2", active="k2"))),
    )
    await replayer.replay_workflow(recorded)


async def test_without_the_key_a_replay_fails_and_the_log_names_the_key(caplog: pytest.LogCaptureFixture) -> None:
    recorded = history(HISTORIES / RELEASE / "settled.json")
    for event in recorded.events:
        await encrypt(event, EncryptionCodec(ring("k1")))
    replayer = Replayer(
        workflows=[OrderSettlement],
        workflow_runner=workflow_runner(),
        data_converter=data_converter(EncryptionCodec(ring("k2"))),
    )
    with pytest.raises(RuntimeError):
        await replayer.replay_workflow(recorded)
    assert "payload of key k1: this process does not have the key" in caplog.text
