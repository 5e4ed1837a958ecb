"""Decisions that this process makes, for the callers that wait for them in the same process (ADR 0024)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from settlement.ids import SettlementId
from settlement.snapshot import Snapshot


class LocalDecisions:
    """Tells waiting callers a decision as soon as the worker of this process has written it to the ledger.

    A decision that another process makes, or that was made before a caller began to wait, is never told. So each caller
    limits its wait, and then asks the workflow. All methods must be called in the event loop of the callers.
    """

    def __init__(self) -> None:
        self._expected: dict[SettlementId, set[asyncio.Future[Snapshot | None]]] = {}

    @contextmanager
    def expected(self, settlement_id: SettlementId) -> Iterator[asyncio.Future[Snapshot | None]]:
        """Yield the future of a settlement's decision, for the length of the block."""
        told: asyncio.Future[Snapshot | None] = asyncio.get_running_loop().create_future()
        waiting = self._expected.setdefault(settlement_id, set())
        waiting.add(told)
        try:
            yield told
        finally:
            waiting.discard(told)
            told.cancel()
            if not waiting:
                self._expected.pop(settlement_id, None)

    def tell(self, settlement_id: SettlementId, snapshot: Snapshot | None) -> None:
        """Tell every caller that waits; None: the ledger does not have the decision, so the workflow must be asked.

        Only the first call counts.
        """
        for told in self._expected.get(settlement_id, ()):
            if not told.done():
                told.set_result(snapshot)

    @property
    def expected_count(self) -> int:
        """The number of settlements that callers wait for."""
        return len(self._expected)
