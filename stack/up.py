"""`make up`: runs every part until SIGINT or SIGTERM.

A part that ends is reported and not restarted, so that a user can try what happens without it, for example without a
worker.
"""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from config.settings import load_settings
from stack.parts import Stack
from stack.ports import HOST, with_free_ports
from stack.process import Process


async def up() -> None:
    """Run the stack in the foreground; raises StackError if a part cannot be started."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stack = Stack(with_free_ports(load_settings()), hide_unsafe_actions=True)
    print(starting(stack), flush=True)
    await _unless_stopped(stack.start(), stop)
    try:
        if not stop.is_set():
            print(_addresses(stack), flush=True)
            watching = [asyncio.create_task(_report_end(part)) for part in stack.parts]
            await stop.wait()
            for watch in watching:
                watch.cancel()
    finally:
        print("stopping …", flush=True)
        await stack.stop()


def starting(stack: Stack) -> str:
    """Return the line that lists the parts that will be started."""
    return f"starting: {', '.join(part.name for part in stack.parts)} …"


async def _unless_stopped(start: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    starting, stopping = asyncio.create_task(start), asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return
    starting.result()


async def _report_end(part: Process) -> None:
    code = await part.wait()
    command = " ".join(part.command)
    print(f"{part.name} has ended with code {code}; the rest goes on. To start it again: {command}", flush=True)


def _addresses(stack: Stack) -> str:
    external = "external" if stack.simulator is None else "simulator"
    return "\n".join(
        [
            "everything is up; Ctrl-C stops it",
            f"  API          {stack.api_url}        (documentation: {stack.api_url}/docs)",
            f"  Temporal UI  {stack.ui_url}/namespaces/default/workflows",
            f"  Temporal     {stack.temporal_address}",
            f"  {external:<12} {stack.external_url}",
            f"  metrics      {stack.api_url}/metrics and http://{HOST}:{stack.settings.worker_metrics_port}/metrics",
            f"  command line SETTLEMENT_URL={stack.api_url} .venv/bin/settlement --help",
            f"  state, logs  {stack.state_dir}",
        ]
    )
