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
    stop = stop_signal()
    stack = Stack(with_free_ports(load_settings()), hide_unsafe_actions=True)
    print(starting(stack), flush=True)
    await unless_stopped(stack.start(), stop)
    try:
        if not stop.is_set():
            print(f"everything is up; Ctrl-C stops it\n{addresses(stack)}", flush=True)
            watching = [asyncio.create_task(report_end(part)) for part in stack.parts]
            await stop.wait()
            for watch in watching:
                watch.cancel()
    finally:
        print("stopping …", flush=True)
        await stack.stop()


def stop_signal() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def starting(stack: Stack) -> str:
    """Return the line that lists the parts that will be started."""
    return f"starting: {', '.join(part.name for part in stack.parts)} …"


async def unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """Wait until the work is done, and raise its error; cancel the work as soon as `stop` is set."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
        await asyncio.wait({working})
        return
    working.result()


async def report_end(part: Process) -> None:
    """Wait until a part ends, and print its exit code and the command that starts it again."""
    code = await part.wait()
    command = " ".join(part.command)
    print(f"{part.name} has ended with code {code}; the rest goes on. To start it again: {command}", flush=True)


def addresses(stack: Stack) -> str:
    """Return the addresses of all parts, one per line."""
    external = "external" if stack.simulator is None else "simulator"
    return "\n".join(
        [
            f"  API          {stack.api_url}        (documentation: {stack.api_url}/docs)",
            f"  Temporal UI  {stack.ui_url}/namespaces/default/workflows",
            f"  Temporal     {stack.temporal_address}",
            f"  {external:<12} {stack.settings.external_systems or stack.external_url}",
            f"  metrics      {stack.api_url}/metrics and http://{HOST}:{stack.settings.worker_metrics_port}/metrics",
            f"  command line SETTLEMENT_URL={stack.api_url} .venv/bin/settlement --help",
            f"  state, logs  {stack.state_dir}",
        ]
    )
