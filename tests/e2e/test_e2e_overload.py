"""Far more hanging calls than slots: other companies keep their 3 seconds, late orders expire unsent, no request hangs.

Workers have few slots. A test that counts everything has its own stack.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from settlement.calls import Rule
from settlement.states import Decision, State
from tests.e2e.conftest import Answer, System, e2e_settings, faulty, restarted, running
from tests.support.orders import order
from tests.support.polling import until
from tests.support.processes import peak_kb, resident_kb

SLOTS, COMPANY_SLOTS = 8, 4
AT_ONCE = 10 * SLOTS
WAIT_S = 10
MARGIN_S = 20
"""Time after the wait before a request counts as hanging: the machine may be busy."""
A, B = 7, 8
TIMES_THE_MEMORY = 1.6
"""Maximum memory of a process, as a multiple of its memory after the first orders."""

Body = dict[str, Any]


async def posted(system: System, body: Body, company_id: int) -> Answer:
    """Post an order. The API must respond within the wait."""
    async with asyncio.timeout(WAIT_S + MARGIN_S):
        answer = await system.post(body, wait_s=WAIT_S, company_id=company_id)
    assert answer.status in {200, 201, 202, 503}, answer
    return answer


async def settled(system: System, body: Body, company_id: int) -> dict[str, Any]:
    """Post an order, repeat it after a 503 as the platform does, and return its end state."""

    async def accepted() -> bool:
        return (await posted(system, body, company_id)).status != 503

    await until(accepted, limit_s=120)
    return await system.ends(body["requestUniqueNo"])


@dataclass
class Flood:
    """Orders whose adjusts all hang, and a reader of the API."""

    system: System
    over: asyncio.Event = field(default_factory=asyncio.Event)
    ends: list[dict[str, Any]] = field(default_factory=list)
    reads: int = 0

    async def one(self, company_id: int) -> None:
        """Settle one order."""
        self.ends.append(await settled(self.system, faulty("hang_applied"), company_id))

    async def until_over(self, company_id: int) -> None:
        """Settle one order after the other until the flood is over."""
        while not self.over.is_set():
            await self.one(company_id)

    async def look(self) -> None:
        """Read a settlement repeatedly until the flood is over. The API must respond each time."""
        first = (await self.system.post(order())).body
        while not self.over.is_set():
            async with asyncio.timeout(MARGIN_S):
                assert (await self.system.get(first["requestUniqueNo"])).body == first
            self.reads += 1

    async def hanging(self, company_id: int) -> int:
        """Return the number of adjusts of a company that hang at the external system."""
        return len([call for call in await adjusts(self.system, company_id) if call["ended"] is None])


async def adjusts(system: System, company_id: int) -> list[dict[str, Any]]:
    """Return every adjust of a company that reached the external system."""
    calls = await system.journal()
    return [call for call in calls if (call["operation"], call["companyId"]) == ("ADJUST", str(company_id))]


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two completed calls were in flight at the same time."""
    return bool(one["receivedAtNs"] < other["endedAtNs"] and other["receivedAtNs"] < one["endedAtNs"])


async def rules_of_the_void(system: System, ends: list[dict[str, Any]]) -> dict[str | None, int]:
    """Check that all are void and consistent. Count the ones that were never sent, by rule."""
    rules: dict[str | None, int] = {}
    for ended in ends:
        number = ended["requestUniqueNo"]
        books = await system.books(number)
        assert ended["decision"] == Decision.VOID
        assert books["timesApplied"] == books["timesReversed"] <= 1
        if ended["state"] == State.EXPIRED:
            assert await system.calls(number) == []
            rule = ended["calls"][0]["verdict"]["rule"] if ended["calls"] else Rule.TOO_LATE
            rules[rule] = rules.get(rule, 0) + 1
        else:
            assert ended["state"] == State.CANCELLED
            assert len(await system.adjusts(number)) <= 1
    return rules


class Memory:
    """The memory of worker and API: before the flood, and its peak."""

    def __init__(self, system: System) -> None:
        self._pids = {part.name: part.pid for part in (system.stack.worker, system.stack.api)}
        self._before = {name: resident_kb(pid) for name, pid in self._pids.items()}

    def grown(self) -> dict[str, float]:
        """Return the peak of each, as a multiple of its memory before."""
        return {name: peak_kb(pid) / self._before[name] for name, pid in self._pids.items()}


async def warmed_up(system: System) -> Memory:
    """Settle a few orders of each kind, so that all modules are loaded."""
    await asyncio.gather(*(settled(system, body, B) for body in (order(), order(), faulty("reject"))))
    return Memory(system)


@pytest.mark.prove("overload")
async def test_hanging_calls_of_one_company_leave_other_companies_their_three_seconds(tmp_path: Path) -> None:
    settings = e2e_settings(tmp_path, worker_slots=SLOTS, company_slots=COMPANY_SLOTS, expire_after_s=60)
    async with running(settings) as system:
        memory, flood = await warmed_up(system), Flood(system)
        others: list[dict[str, Any]] = []

        async def full() -> bool:
            return await flood.hanging(A) >= COMPANY_SLOTS

        async with asyncio.TaskGroup() as group:
            group.create_task(flood.look())
            for _ in range(AT_ONCE):
                group.create_task(flood.one(A))
            for _ in range(COMPANY_SLOTS + 1):
                group.create_task(flood.until_over(A))
            for _ in range(3):
                await until(full)
                bodies = (faulty("late", seconds=2), faulty("late", seconds=2), order(), order())
                others += await asyncio.gather(*(settled(system, body, B) for body in bodies))
            flood.over.set()

        assert [ended["decision"] for ended in others] == [Decision.PROCEED] * len(others)
        held = await adjusts(system, A)
        late = [call for call in await adjusts(system, B) if call["fault"] == "adjust:late"]
        assert all(any(overlap(call, hung) for hung in held) for call in late)
        rules = await rules_of_the_void(system, flood.ends)
        assert COMPANY_SLOTS <= len(held) < len(flood.ends)
        assert rules[Rule.BULKHEAD_FULL] > 0
        assert set(rules) <= {Rule.BULKHEAD_FULL, Rule.TOO_LATE}
        assert flood.reads > 0
        assert max(memory.grown().values()) < TIMES_THE_MEMORY, memory.grown()


@pytest.mark.prove("overload")
async def test_if_many_companies_take_every_slot_late_orders_expire_unsent(tmp_path: Path) -> None:
    """Compensations continue meanwhile, and orders settle after the flood."""
    async with running(e2e_settings(tmp_path, worker_slots=SLOTS, expire_after_s=6)) as system:
        memory, flood = await warmed_up(system), Flood(system)
        async with asyncio.TaskGroup() as group:
            group.create_task(flood.look())
            await asyncio.gather(*(flood.one(company_id) for company_id in range(100, 100 + AT_ONCE)))
            flood.over.set()

        rules = await rules_of_the_void(system, flood.ends)
        assert set(rules) == {Rule.TOO_LATE}
        assert 0 < rules[Rule.TOO_LATE] < AT_ONCE
        flooded = [call for call in await system.journal() if call["companyId"] not in {None, str(B)}]
        last_adjust = max(call["endedAtNs"] for call in flooded if call["operation"] == "ADJUST")
        assert min(call["receivedAtNs"] for call in flooded if call["operation"] == "CANCEL_ADJUST") < last_adjust
        assert flood.reads > 0
        assert max(memory.grown().values()) < TIMES_THE_MEMORY, memory.grown()
        assert (await settled(system, order(), 100))["decision"] == Decision.PROCEED


async def test_hanging_cancels_take_no_slot_from_an_adjust(breakable: System) -> None:
    async with restarted(breakable.stack.worker, worker_slots=COMPANY_SLOTS, company_slots=COMPANY_SLOTS):
        earlier = await breakable.journal()
        last = earlier[-1]["id"] if earlier else 0

        async def cancels_hang(beside: str = "cancel:hang") -> bool:
            in_flight = [call["fault"] for call in await breakable.journal(last) if call["ended"] is None]
            return in_flight.count("cancel:hang") == COMPANY_SLOTS and beside in in_flight

        async with asyncio.TaskGroup() as group:
            bodies = [faulty("http_500_applied", cancel="hang", times=1) for _ in range(3 * COMPANY_SLOTS)]
            flood = [group.create_task(settled(breakable, body, A)) for body in bodies]
            await until(cancels_hang)
            other = group.create_task(settled(breakable, faulty("late", seconds=2), B))
            await until(lambda: cancels_hang(beside="adjust:late"))
        assert other.result()["decision"] == Decision.PROCEED
        await rules_of_the_void(breakable, [each.result() for each in flood])


@pytest.mark.prove("overload")
async def test_the_backlog_of_one_company_does_not_delay_orders_of_another(tmp_path: Path) -> None:
    """There is no bulkhead here: one company may take every slot."""
    settings = e2e_settings(tmp_path, worker_slots=4, company_slots=4, expire_after_s=300)
    async with running(settings) as system:
        backlog = [faulty("hang_applied") for _ in range(15 * settings.worker_slots)]
        await asyncio.gather(*(system.post(body, wait_s=None, company_id=A) for body in backlog))

        async def slots_are_taken() -> bool:
            return len(await adjusts(system, A)) >= settings.worker_slots

        await until(slots_are_taken)
        sent_before = len(await adjusts(system, A))
        assert (await settled(system, order(), B))["decision"] == Decision.PROCEED
        sent_since = len(await adjusts(system, A)) - sent_before
        assert sent_since < (len(backlog) - sent_before) / 2
