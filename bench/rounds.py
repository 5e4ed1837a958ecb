"""Measures one system once: it starts the system afresh, loads it in three phases, and stops it.

1. Closed loop, happy: a fixed number of orders by `callers` callers. Its costs are those of a settlement.
2. Closed loop, 5 % bad: every twentieth order is rejected and cancelled.
3. Open loop: orders arrive at random times at a rate that every system can bear. Latency counts from the time at which
   an order was due, so an answer that is late delays no later order.

A phase ends when every workflow has completed, so background work is counted where it belongs.
"""

import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from temporalio.client import Client

from bench.broker import Seen
from bench.costs import Costs, costs, ledger_transactions, resident_mib
from bench.load import Load, Order, arrivals, closed_loop, five_percent_bad, healthy, open_loop
from bench.systems import SYSTEMS, Measured
from settlement.states import Decision

HISTORIES = 20


@dataclass(frozen=True)
class Plan:
    """The size of a run."""

    rounds: int = 4
    callers: int = 64
    orders: int = 600
    bad_orders: int = 300
    warm_up: int = 20
    rate_per_s: float = 8
    open_s: float = 15


@dataclass(frozen=True)
class Account:
    """What became of all orders of one system in one round."""

    posted: int
    decided: int
    completed: int
    """Completed workflows, as the Temporal server counts them."""
    sent: int
    """Adjusts that reached the external system, each counted as often as it arrived."""
    never_sent: int
    """Orders that are void without a call: on an overloaded machine they wait longer than they may."""
    rejected: int
    """Orders that the external system rejected."""
    cancelled: int
    """Orders whose cancel reached the external system."""

    @property
    def is_complete(self) -> bool:
        """Whether every order was decided, sent at most once and ended, and exactly the rejected were cancelled."""
        ended = self.posted == self.decided == self.completed == self.sent + self.never_sent
        return ended and self.rejected == self.cancelled


@dataclass(frozen=True)
class Round:
    """The figures of one system in one round, by the keys of `figures.FIGURES`."""

    figures: dict[str, float]
    account: Account


async def measure(name: str, plan: Plan, seed: int) -> Round:
    """Measure a system. The same seed gives the same times of arrival to every system."""
    with tempfile.TemporaryDirectory(prefix="settlement-bench-") as folder:
        async with SYSTEMS[name](Path(folder)) as system:
            return await _Measurement(system, plan).run(seed)


class _Measurement:
    """The phases on one running system."""

    def __init__(self, system: Measured, plan: Plan) -> None:
        self._system = system
        self._plan = plan
        self._loads: list[Load] = []
        self._completed = 0

    async def run(self, seed: int) -> Round:
        plan, system = self._plan, self._system
        await self._closed(healthy("WARM", plan.warm_up))
        resident = _resident(system)
        transactions_before, before = await ledger_transactions(system), await costs(system)
        happy = await self._closed(healthy("HAPPY", plan.orders))
        used, transactions = (await costs(system)).since(before), await ledger_transactions(system)
        sizes = await _history_sizes(system.temporal, system.workflow)
        bad_orders = five_percent_bad("BAD", plan.bad_orders)
        bad = await self._closed(bad_orders)
        due = arrivals(plan.rate_per_s, plan.open_s, seed)
        opened = await self._ended(await open_loop(system.http, healthy("OPEN", len(due)), due))
        seen = await system.broker.seen()
        figures = {
            "settlements_per_s": _sent_per_s(happy, seen),
            "settlements_per_s_5_percent_bad": _sent_per_s(bad, seen),
            "p50_ms": opened.after_ms(0.5),
            "p99_ms": opened.after_ms(0.99),
            **_per_settlement(used, plan.orders),
            **_transactions_per_settlement(transactions_before, transactions, plan.orders),
            "history_events": statistics.median(events for events, _ in sizes),
            "history_bytes": statistics.median(size for _, size in sizes),
            **{f"growth_mib_{part}": now - resident[part] for part, now in _resident(system).items()},
        }
        return Round(figures, self._account(seen, bad_orders))

    async def _closed(self, orders: list[Order]) -> Load:
        return await self._ended(await closed_loop(self._system.http, orders, self._plan.callers))

    async def _ended(self, load: Load) -> Load:
        self._loads.append(load)
        self._completed = await self._system.drained(sum(len(each.accepted) for each in self._loads))
        return load

    def _account(self, seen: Mapping[str, Seen], bad_orders: list[Order]) -> Account:
        void = [each.number for load in self._loads for each in load.decided if each.decision == Decision.VOID]
        return Account(
            posted=sum(len(each.answers) for each in self._loads),
            decided=sum(len(each.decided) for each in self._loads),
            completed=self._completed,
            sent=sum(len(each.adjusts_ns) for each in seen.values()),
            never_sent=sum(number not in seen for number in void),
            rejected=sum(each.metadata is not None and each.number in seen for each in bad_orders),
            cancelled=sum(bool(each.cancels_ns) for each in seen.values()),
        )


def _sent_per_s(load: Load, seen: Mapping[str, Seen]) -> float:
    """Return the decided orders per second; one that was never sent is cheap and does not count."""
    return sum(each.number in seen for each in load.decided) / load.seconds


def _per_settlement(used: Costs, orders: int) -> dict[str, float]:
    figures = {f"cpu_ms_{name.lower()}": spent / orders for name, spent in used.cpu_ms.items()}
    figures["cpu_ms"] = sum(figures.values())
    figures["temporal_requests"] = used.temporal_requests / orders
    return figures


def _transactions_per_settlement(before: int | None, after: int | None, orders: int) -> dict[str, float]:
    return {} if before is None or after is None else {"ledger_transactions": (after - before) / orders}


def _resident(system: Measured) -> dict[str, float]:
    """Return the memory of worker and API, in MiB; a system may have them in one process."""
    return {name: resident_mib([pid]) for name, pid in system.pids.items() if name in {"worker", "api"}}


async def _history_sizes(temporal: Client, workflow: str) -> list[tuple[int, int]]:
    """Return the events of some completed settlements, and the bytes of these events."""
    query = f"WorkflowType='{workflow}' AND ExecutionStatus='Completed'"
    sizes = []
    async for each in temporal.list_workflows(query, limit=HISTORIES):
        history = await temporal.get_workflow_handle(each.id, run_id=each.run_id).fetch_history()
        sizes.append((len(history.events), sum(event.ByteSize() for event in history.events)))
    return sizes


def account_of(rounds: list[Round]) -> dict[str, int]:
    """Return the sums of the accounts of a system over all rounds."""
    accounts = [asdict(each.account) for each in rounds]
    return {name: sum(account[name] for account in accounts) for name in accounts[0]}
