"""`python -m tests.unit.connector.measured_client URL`: call a broker, and print how far the process grew by that."""

import asyncio
import json
import resource
import sys

from connector import Deadlines, ExternalSystem, ExternalSystemConfig
from tests.unit.connector.raw_broker import adjust, broker, reply, sending

LONG_ENOUGH = Deadlines(connect_s=10, reply_s=1)
"""For hundreds of MiB to arrive, if somebody kept them."""


def peak_bytes() -> int:
    """Return the most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def main(url: str) -> None:
    """Call an honest broker first, so that what every call needs is there."""
    async with broker(sending(reply())) as honest, ExternalSystem(ExternalSystemConfig(honest.url)) as system:
        await adjust(system)
    before = peak_bytes()
    async with ExternalSystem(ExternalSystemConfig(url)) as system:
        verdict = await adjust(system, LONG_ENOUGH)
    print(json.dumps({"outcome": verdict.outcome, "bytes": peak_bytes() - before}))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
