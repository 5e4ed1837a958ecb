"""Open event streams over real connections: limits per client, when they end, and their queries."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from api.keys.verification import REVOKED_WITHIN_S, Keys
from api.services import Services
from api.temporal_access import TemporalAccess
from config.order_limits import watched_order_limits
from config.settings import Settings
from config.watched_systems import WatchedSystems
from ledger import Batches, KeyRing, SystemPauses
from ledger.events import Events
from settlement.ids import SettlementId
from settlement.keys import Role
from settlement.scope import EVERYTHING, Scope
from settlement.start import SettlementInput, accepted_snapshot
from settlement.states import State
from tests.api.api_harness import (
    PEPPER,
    QUICK_SETTINGS,
    SETTLEMENTS,
    WITH_KEYS,
    ApiHarness,
    accept,
    app_with,
    bearer,
    open_api,
)
from tests.api.sockets import HOST, head, served
from tests.api.test_api_key_cache import ObservedKeyRing
from tests.support.ledgers import FlakyLedger
from tests.support.orders import settlement
from tests.support.polling import until
from tests.support.sagas import SIGNER

SLACK_S = 3.0
"""Additional time for a busy machine."""


class CountingLedger(FlakyLedger):
    """Counts the queries of streams."""

    polls = 0
    reads = 0

    async def versions(self, settlement_ids: Sequence[SettlementId]) -> dict[SettlementId, int]:
        """Count and query."""
        self.polls += 1
        return await super().versions(settlement_ids)

    async def events(self, settlement_id: SettlementId, after: int, scope: Scope = EVERYTHING) -> Events | None:
        """Count and query."""
        self.reads += 1
        return await super().events(settlement_id, after, scope)


@pytest.fixture
def ledger(engine: AsyncEngine) -> CountingLedger:
    return CountingLedger(engine)


@asynccontextmanager
async def stream(
    port: int, number: str, key: str | None = None, source: str = HOST
) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    """Open a stream; yield its status and its reader."""
    reader, writer = await asyncio.open_connection(HOST, port, local_addr=(source, 0))
    headers = [f"{name}: {value}" for name, value in (bearer(key) if key else {}).items()]
    writer.write(head("GET", f"{SETTLEMENTS}/{number}/events", "connection: close", *headers))
    try:
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        yield int(answer.split()[1]), reader
    finally:
        writer.close()


async def accepted_order(ledger: FlakyLedger) -> tuple[SettlementInput, str]:
    """Accept a settlement that stays open."""
    order = settlement()
    return order, await accept(ledger, order)


@pytest_asyncio.fixture
async def port(api_with_keys: ApiHarness) -> AsyncIterator[int]:
    """Yield the port of the app that requires keys."""
    async with served(api_with_keys.app) as chosen:
        yield chosen


async def test_a_stream_ends_when_its_key_is_revoked_in_any_process_and_others_continue(
    api_with_keys: ApiHarness, port: int, engine: AsyncEngine
) -> None:
    _, number = await accepted_order(api_with_keys.ledger)
    revoked, other = (
        await api_with_keys.create_key(Role.VIEWER, "ops-1"),
        await api_with_keys.create_key(Role.VIEWER, "ops-2"),
    )
    async with stream(port, number, revoked) as (_, reader), stream(port, number, other) as (_, other_reader):
        await reader.readuntil(b"ADJUSTING")
        await Keys(KeyRing(engine), PEPPER).revoke(revoked.partition(".")[0], "boss")
        await asyncio.wait_for(reader.read(), REVOKED_WITHIN_S + SLACK_S)
        await other_reader.readuntil(b"ADJUSTING")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other_reader.read(), 0.5)


async def test_no_event_is_sent_while_the_key_cannot_be_verified(
    engine: AsyncEngine, ledger: CountingLedger, dead_temporal: Client
) -> None:
    """Keys cannot be read, events can. Meanwhile the key is revoked, and after that the settlement is settled."""
    ring = ObservedKeyRing(engine)
    keys = Keys(ring, PEPPER)
    systems, pauses = WatchedSystems(WITH_KEYS), SystemPauses(engine)
    access = TemporalAccess(dead_temporal, engine)
    app = app_with(
        Services(
            WITH_KEYS, ledger, access, keys, Batches(engine), systems, pauses, SIGNER, watched_order_limits(WITH_KEYS)
        )
    )
    order, number = await accepted_order(ledger)
    async with open_api(ledger, dead_temporal, WITH_KEYS) as api, served(app) as port:
        key = await api.create_key(Role.VIEWER)
        async with stream(port, number, key) as (_, reader):
            ring.failure = ConnectionResetError()
            look_ups = ring.look_ups

            async def key_is_looked_up_again() -> bool:
                return ring.look_ups > look_ups

            await until(key_is_looked_up_again)
            await Keys(KeyRing(engine), PEPPER).revoke(key.partition(".")[0], "boss")
            await ledger.record(
                order, accepted_snapshot(order).model_copy(update={"version": 1, "state": State.SETTLED})
            )
            look_ups = ring.look_ups + 1
            await until(key_is_looked_up_again)
            ring.failure = None
            received = await asyncio.wait_for(reader.read(), REVOKED_WITHIN_S + SLACK_S)
    assert b"SETTLED" not in received


async def test_many_streams_share_one_query_and_only_changes_are_read(
    api_with_keys: ApiHarness, port: int, ledger: CountingLedger
) -> None:
    key = await api_with_keys.create_key(Role.VIEWER)
    orders = [await accepted_order(ledger) for _ in range(5)]
    async with AsyncExitStack() as opened:
        for _, number in orders * 4:
            assert (await opened.enter_async_context(stream(port, number, key)))[0] == 200

        async def polled(times: int) -> None:
            target = ledger.polls + times

            async def enough() -> bool:
                return ledger.polls >= target

            await until(enough)

        await polled(3)
        polls, reads = ledger.polls, ledger.reads
        began = asyncio.get_running_loop().time()
        await polled(4)
        took_s = asyncio.get_running_loop().time() - began
        assert ledger.reads == reads, "nothing has changed"
        assert ledger.polls - polls <= took_s / 0.5 + 1, "one query for all"
        changed = accepted_snapshot(orders[0][0]).model_copy(update={"version": 1})
        await ledger.record(orders[0][0], changed)
        await polled(3)
        assert ledger.reads - reads == 4, "by each stream of that settlement"


async def test_one_client_cannot_exceed_its_limit_of_streams(ledger: CountingLedger, dead_temporal: Client) -> None:
    limits = WITH_KEYS.model_copy(update={"streams_max": 3, "streams_per_client": 2})
    _, number = await accepted_order(ledger)
    async with open_api(ledger, dead_temporal, limits) as api, served(api.app) as port, AsyncExitStack() as opened:
        greedy, other = [await api.create_key(Role.VIEWER, owner) for owner in ("greedy", "other")]
        second = await api.create_key(Role.VIEWER, "greedy")
        answers = [await opened.enter_async_context(stream(port, number, key)) for key in (greedy, second)]
        assert [status for status, _ in answers] == [200, 200]
        path = f"{SETTLEMENTS}/{number}/events"
        refused = await api.http.get(path, headers=bearer(greedy))
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams-of-client")
        assert int(refused.headers["retry-after"]) > 0
        assert (await opened.enter_async_context(stream(port, number, other)))[0] == 200
        refused = await api.http.get(path, headers=bearer(other))
        assert (refused.status_code, refused.json()["code"]) == (503, "too-many-streams")


async def test_without_keys_a_client_is_an_address(ledger: CountingLedger, dead_temporal: Client) -> None:
    limits = QUICK_SETTINGS.model_copy(update={"streams_per_client": 1})
    _, number = await accepted_order(ledger)
    async with open_api(ledger, dead_temporal, limits) as api, served(api.app) as port, AsyncExitStack() as opened:
        sources = [HOST, "127.0.0.2", HOST]
        answers = [await opened.enter_async_context(stream(port, number, source=source)) for source in sources]
        assert [status for status, _ in answers] == [200, 200, 429]


async def test_every_place_is_released_however_a_stream_ended(api_without_temporal: ApiHarness) -> None:
    """Closed at once, rejected as not found, or closed later by its client."""
    _, number = await accepted_order(api_without_temporal.ledger)
    async with served(api_without_temporal.app) as port:
        for _ in range(20):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.write(head("GET", f"{SETTLEMENTS}/{number}/events"))
            writer.close()
        assert (await api_without_temporal.http.get(f"{SETTLEMENTS}/N-unknown/events")).status_code == 404
        async with stream(port, number):
            pass

        async def all_free() -> bool:
            return len(api_without_temporal.app.state.streams) == 0

        await until(all_free)


def test_the_limit_per_client_must_not_exceed_the_total() -> None:
    with pytest.raises(ValueError, match="must not exceed SETTLEMENT_STREAMS_MAX"):
        Settings(streams_max=10, streams_per_client=11)
