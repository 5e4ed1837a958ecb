"""`make up`: keep every part running until SIGINT or SIGTERM, or until one of them ends by itself."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from config.settings import load_settings
from stack.parts import Stack
from stack.ports import with_free_ports
from stack.process import Process, StackError


async def up() -> None:
    """Run the stack in the foreground; StackError if a part cannot be started or does not keep running."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stack = Stack(with_free_ports(load_settings()))
    print("starting: Temporal, simulator, worker, API …", flush=True)
    await _unless_stopped(stack.start(), stop)
    try:
        if not stop.is_set():
            print(_addresses(stack), flush=True)
            await _until_stopped_or_ended(stack, stop)
    finally:
        print("stopping …", flush=True)
        await stack.stop()


async def _unless_stopped(start: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    starting, stopping = asyncio.create_task(start), asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return
    starting.result()


async def _until_stopped_or_ended(stack: Stack, stop: asyncio.Event) -> None:
    ends = {asyncio.create_task(part.ended()): part for part in stack.parts}
    stopping = asyncio.create_task(stop.wait())
    done, pending = await asyncio.wait({stopping, *ends}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    fallen: list[Process] = [ends[task] for task in done if task in ends]
    if fallen and not stop.is_set():
        message = f"{fallen[0].name} ended by itself; the end of its log:\n{fallen[0].tail()}"
        raise StackError(message)


def _addresses(stack: Stack) -> str:
    external = "configured external system" if stack.simulator is None else "simulator"
    return "\n".join(
        [
            "everything is up; Ctrl-C stops it",
            f"  API          {stack.api_url}        (documentation: {stack.api_url}/docs)",
            f"  Temporal UI  {stack.ui_url}/namespaces/default/workflows",
            f"  Temporal     {stack.temporal_address}",
            f"  {external:<12} {stack.external_url}",
            f"  state, logs  {stack.state_dir}",
        ]
    )
