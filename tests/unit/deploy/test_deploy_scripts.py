"""The scripts that run inside containers, run here against a real Temporal server."""

import os
import runpy
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueResponse
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.adjust import Adjust
from activities.bulkhead import Bulkhead
from activities.call_admission import CallAdmission
from activities.record_settlement import RecordSettlement
from config.temporal import SEARCH_ATTRIBUTE_TYPES
from connector import ExternalSystems
from ledger import Batches, Ledger, open_engine
from tests.support.forks import PROGRAMS
from tests.support.sagas import SIGNER
from worker import batch_worker, cancel_worker, ledger_worker, reconciliation_worker, settlement_worker
from workflows.runtime import (
    BATCH_TASK_QUEUE,
    CANCEL_TASK_QUEUE,
    DATA_CONVERTER,
    LEDGER_TASK_QUEUE,
    SETTLEMENT_TASK_QUEUE,
)
from workflows.sender_check import SenderCheck
from workflows.visibility import SEARCH_ATTRIBUTES

DEPLOY = Path(__file__).parents[3] / "deploy"
BIN = Path(sys.executable).parent
NAMESPACE = "settlement"


class ScriptResult(NamedTuple):
    """The exit code and output of a script."""

    code: int
    output: str


def run(command: list[str | Path], **env: str) -> ScriptResult:
    """Run a script, with the programs of this environment on its path."""
    path = os.pathsep.join([env.pop("path", ""), str(BIN), os.environ["PATH"]]).lstrip(os.pathsep)
    done = subprocess.run(  # noqa: S603 - our own scripts
        command,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(DEPLOY.parent)} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    return ScriptResult(done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Client]:
    """Yield a client of a real server without the project's namespace."""
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=str(BIN / "temporal")) as env:
        yield env.client


def namespace_job(server: Client) -> ScriptResult:
    """Run the script that creates the namespace, as its container does."""
    return run(
        ["sh", DEPLOY / "temporal/namespace.sh"],
        TEMPORAL_ADDRESS=server.service_client.config.target_host,
        TEMPORAL_NAMESPACE=NAMESPACE,
        NAMESPACE_RETENTION="7d",
    )


async def health_check(server: Client) -> ScriptResult:
    """Run the health check as the container does: in a separate process on the worker's host."""
    env = {"TEMPORAL_ADDRESS": server.service_client.config.target_host, "TEMPORAL_NAMESPACE": NAMESPACE}
    code, out, err = await PROGRAMS.run("deploy.worker_healthcheck", [], env)
    return ScriptResult(code, out + err)


async def wait_for_health(server: Client, expected: ScriptResult) -> None:
    """Wait until the health check has this result; a worker that has just started has not polled yet."""
    done = await health_check(server)
    for _ in range(10):
        if done == expected:
            return
        done = await health_check(server)
    assert done == expected


async def test_namespace_job_creates_what_is_missing_and_can_be_repeated(server: Client) -> None:
    """It creates exactly the search attributes of `workflows.visibility`."""
    for _ in range(2):
        done = namespace_job(server)
        assert done.code == 0, done.output
    namespace = await server.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=NAMESPACE))
    assert namespace.config.workflow_execution_retention_ttl.ToTimedelta() == timedelta(days=7)
    found = await server.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=NAMESPACE))
    assert dict(found.custom_attributes) == {
        key.name: SEARCH_ATTRIBUTE_TYPES[int(key.indexed_value_type)] for key in SEARCH_ATTRIBUTES
    }


def test_guide_lists_the_search_attributes_for_temporal_cloud() -> None:
    """On Temporal Cloud neither the job nor the worker can create them."""
    guide = (DEPLOY.parent / "docs/deployment.md").read_text()
    for key in SEARCH_ATTRIBUTES:
        assert f"`{key.name}` {key.indexed_value_type.name.capitalize()}" in guide


def schema_job(tmp_path: Path, exit_code: int) -> tuple[int, list[str]]:
    """Run the job with a replacement for Temporal's tool, which only its image contains."""
    log, tool = tmp_path / "log", tmp_path / "temporal-sql-tool"
    tool.write_text(f'#!/bin/sh\necho "$SQL_DATABASE $*" >> {log}\nexit {exit_code}\n')
    tool.chmod(0o755)
    done = run(["sh", DEPLOY / "temporal/schema.sh"], path=str(tmp_path))
    return done.code, log.read_text().splitlines()


def test_schema_job_updates_both_databases(tmp_path: Path) -> None:
    directory = "/etc/temporal/schema/postgresql/v12"
    assert schema_job(tmp_path, exit_code=0) == (
        0,
        [
            "temporal setup-schema -v 0.0",
            f"temporal update-schema -d {directory}/temporal/versioned",
            "temporal_visibility setup-schema -v 0.0",
            f"temporal_visibility update-schema -d {directory}/visibility/versioned",
        ],
    )


def test_schema_job_fails_if_its_tool_fails(tmp_path: Path) -> None:
    """So the server does not start with an incomplete schema."""
    code, lines = schema_job(tmp_path, exit_code=3)
    assert code == 3
    assert len(lines) == 1


async def test_worker_is_healthy_while_it_polls_every_task_queue(server: Client, tmp_path: Path) -> None:
    assert namespace_job(server).code == 0
    client = await Client.connect(
        server.service_client.config.target_host, namespace=NAMESPACE, data_converter=DATA_CONVERTER
    )
    assert (await health_check(server)).code == 1
    systems, admission = ExternalSystems(), CallAdmission()
    adjust = Adjust(systems, Bulkhead(5), admission)
    engine = open_engine(f"sqlite:///{tmp_path}/ledger.db")
    record = RecordSettlement(Ledger(engine))
    async with (
        settlement_worker(client, adjust, record, SenderCheck(SIGNER, ui_acts=True), slots=5),
        reconciliation_worker(client, engine, systems.why_unusable),
    ):
        without = (CANCEL_TASK_QUEUE, LEDGER_TASK_QUEUE, BATCH_TASK_QUEUE)
        idle = ", ".join(f"{queue} TASK_QUEUE_TYPE_ACTIVITY" for queue in without)
        await wait_for_health(server, ScriptResult(1, f"no poll for {idle}"))
        async with (
            cancel_worker(client, systems, slots=5, admission=admission),
            ledger_worker(client, record),
            batch_worker(client, Batches(engine), SIGNER),
        ):
            await wait_for_health(server, ScriptResult(0, "polls every task queue"))
    await engine.dispose()


@pytest.mark.parametrize(
    ("host", "age", "healthy"),
    [
        (socket.gethostname(), timedelta(seconds=70), True),
        (socket.gethostname(), timedelta(minutes=3), False),
        ("another", timedelta(0), False),
    ],
)
async def test_only_a_recent_poll_from_this_host_counts(host: str, age: timedelta, *, healthy: bool) -> None:
    """A worker that hangs stops polling, and a poll from another container does not show that this worker runs."""
    polled_at = Timestamp()
    polled_at.FromDatetime(datetime.now(UTC) - age)

    async def describe_task_queue(*_: Any, **__: Any) -> DescribeTaskQueueResponse:  # noqa: ANN401 - stands in for an RPC
        return DescribeTaskQueueResponse(pollers=[PollerInfo(identity=f"1@{host}", last_access_time=polled_at)])

    client = SimpleNamespace(
        namespace=NAMESPACE, workflow_service=SimpleNamespace(describe_task_queue=describe_task_queue)
    )
    is_polled = runpy.run_path(str(DEPLOY / "worker_healthcheck.py"))["is_polled"]
    assert await is_polled(client, SETTLEMENT_TASK_QUEUE, 1) is healthy
