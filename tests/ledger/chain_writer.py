"""A process that writes growing audits of the same settlements over and over, to be killed in the middle.

`python -m tests.ledger.chain_writer URL PREFIX` accepts PREFIX-0 to PREFIX-9, writes version after version of each, and
prints a line after each round. It repeats what another process like it has written already.
"""

import asyncio
import sys

from ledger import Ledger, open_engine
from tests.ledger.samples import accepted, growing
from tests.support.orders import settlement

ORDERS, VERSIONS = 10, 30


async def write(database_url: str, prefix: str) -> None:
    """Write all versions of all settlements, those of one version at once."""
    engine = open_engine(database_url)
    ledger = Ledger(engine)
    orders = [settlement(requestUniqueNo=f"{prefix}-{index}") for index in range(ORDERS)]
    await asyncio.gather(*(ledger.accept(order, accepted()) for order in orders))
    for version in range(1, VERSIONS):
        await asyncio.gather(*(ledger.record(order, growing(version)) for order in orders))
        print(version, flush=True)  # noqa: T201 - the test waits for it
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2]))
