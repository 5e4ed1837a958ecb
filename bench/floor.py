"""The floor: the least that a settlement on Temporal can cost: `python -m bench.floor worker|api`.

A bare workflow with one activity sends the same adjust over HTTP, with 3 seconds in total. A thin POST starts the
workflow and returns its result. A rejected adjust is cancelled by a second activity. It has no ledger, no search
attributes, no validation, no sandbox and no confirming cancel: it is a measure, not a design.
"""

import asyncio
import signal
import sys
import time
from typing import Annotated, Any

import aiohttp
import uvicorn
from fastapi import Body, FastAPI
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.converter import DataConverter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from api.http.server import KEEP_ALIVE_S
from config.settings import Settings, load_settings
from config.temporal import connect
from contract.operations import ADJUST_PATH, CANCEL_ADJUST_PATH, CODE_SUCCESS
from settlement.limits import ADJUST_DEADLINE_S, ADJUST_START_TO_CLOSE
from settlement.states import Decision

TASK_QUEUE = "floor"
READY = "floor ready"
Order = dict[str, Any]


class Calls:
    """The activity, with its connections to the external system."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @activity.defn(name="call")
    async def call(self, path: str, body: Order) -> bool:
        """Send one request and return whether it was answered with success."""
        headers = {"trace": body["requestUniqueNo"], "timestamp": str(time.time_ns() // 1_000_000)}
        try:
            async with self._session.post(path, json=body, headers=headers) as response:
                reply = await response.json()
        except (aiohttp.ClientError, TimeoutError):
            return False
        return bool(reply["code"] == CODE_SUCCESS)


@workflow.defn
class Floor:
    """Adjust; cancel if that failed."""

    @workflow.run
    async def run(self, order: Order) -> str:
        """Return the decision on one order."""
        if await _call(ADJUST_PATH, order):
            return Decision.PROCEED.value
        number = order["requestUniqueNo"]
        await _call(CANCEL_ADJUST_PATH, order | {"requestUniqueNo": f"C-{number}", "reverseRequestUniqueNo": number})
        return Decision.VOID.value


async def _call(path: str, body: Order) -> bool:
    once = RetryPolicy(maximum_attempts=1)
    succeeded: bool = await workflow.execute_activity(
        "call", args=[path, body], result_type=bool, start_to_close_timeout=ADJUST_START_TO_CLOSE, retry_policy=once
    )
    return succeeded


def create_app(temporal: Client) -> FastAPI:
    """Return the API: one POST, which waits for the end of its workflow."""
    app = FastAPI(openapi_url=None)

    @app.get("/readyz")
    async def ready() -> None:
        """Answer when the process serves."""

    @app.post("/v1/settlements")
    async def settle(order: Annotated[Order, Body()]) -> dict[str, str]:
        """Settle one order."""
        number = order["requestUniqueNo"]
        decision = await temporal.execute_workflow(Floor.run, order, id=number, task_queue=TASK_QUEUE)
        return {"requestUniqueNo": number, "decision": decision}

    return app


async def run_worker(settings: Settings) -> None:
    """Run the worker until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    timeout = aiohttp.ClientTimeout(total=ADJUST_DEADLINE_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(settings.external_url, connector=connector, timeout=timeout) as session:
        worker = Worker(
            await _connect(settings),
            task_queue=TASK_QUEUE,
            workflows=[Floor],
            activities=[Calls(session).call],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_concurrent_activities=settings.worker_slots,
        )
        async with worker:
            print(READY, flush=True)
            await stopped.wait()


async def run_api(settings: Settings) -> None:
    """Serve until SIGTERM."""
    app = create_app(await _connect(settings))
    config = uvicorn.Config(
        app, host=settings.api_host, port=settings.api_port, log_config=None, timeout_keep_alive=KEEP_ALIVE_S
    )
    await uvicorn.Server(config).serve()


async def _connect(settings: Settings) -> Client:
    return await connect(DataConverter.default, f"127.0.0.1:{settings.temporal_port}")


if __name__ == "__main__":
    asyncio.run({"worker": run_worker, "api": run_api}[sys.argv[1]](load_settings()))
