"""The programs that wheels put beside the interpreter."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

STARTS = 10
"""The SDK gives a server five seconds to start; on a busy machine it needs several."""


def beside_python(name: str) -> str:
    """Return the path of a program in the environment's bin folder; the SDK would download it otherwise."""
    path = Path(sys.executable).parent / name
    assert path.exists(), f"{name} is missing; `make test` installs it"
    return str(path)


async def started(start: Callable[[], Awaitable[WorkflowEnvironment]]) -> WorkflowEnvironment:
    """Start a server; start it again if it was not ready in time."""
    for _ in range(STARTS - 1):
        try:
            return await start()
        except RuntimeError as error:
            print(f"starting the server again: {error}")  # noqa: T201 - shown if the test fails
    return await start()
