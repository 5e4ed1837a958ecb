"""`python -m tests.unit.connector.measured_client URL…`: calls brokers, and prints the growth of its memory by each."""

import asyncio
import json
import resource
import sys

from connector import Deadlines, ExternalSystem, ExternalSystemConfig
from tests.unit.connector.raw_broker import adjust, broker, reply, sending

LONG_ENOUGH = Deadlines(connect_s=10, reply_s=1)
"""Long enough for hundreds of MiB to arrive, which would show if they were kept in memory."""


def peak_bytes() -> int:
    """Return the peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def main(urls: list[str]) -> None:
    """Call a correct broker first, so that the memory that every call needs is not counted."""
    async with broker(sending(reply())) as correct, ExternalSystem(ExternalSystemConfig(correct.url)) as system:
        await adjust(system)
    before = peak_bytes()
    measured = []
    for url in urls:
        async with ExternalSystem(ExternalSystemConfig(url)) as system:
            verdict = await adjust(system, LONG_ENOUGH)
        measured.append({"outcome": verdict.outcome, "bytes": peak_bytes() - before})
    print(json.dumps(measured))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
