"""The ledger is bound to one Temporal namespace, and moved only explicitly, on both databases."""

import asyncio

from ledger import Ledger, TemporalBinding, TemporalIdentity
from tests.ledger.samples import NOON

OURS = TemporalIdentity(cluster_id="c-1", namespace="default", namespace_id="n-1")
OTHER = TemporalIdentity(cluster_id="c-2", namespace="default", namespace_id="n-2")


async def test_a_new_ledger_is_not_bound(ledger: Ledger) -> None:
    assert await TemporalBinding(ledger.engine).read() is None


async def test_the_first_binding_stays(ledger: Ledger) -> None:
    binding = TemporalBinding(ledger.engine)
    assert await binding.bind_first(OURS, "worker", NOON) == OURS
    assert await binding.bind_first(OTHER, "worker", NOON) == OURS
    assert await binding.read() == OURS


async def test_of_concurrent_bindings_one_is_written_and_all_return_it(ledgers: list[Ledger]) -> None:
    candidates = [OURS.model_copy(update={"namespace_id": f"n-{index}"}) for index in range(8)]
    bindings = [TemporalBinding(ledgers[index % 4].engine) for index in range(8)]
    results = await asyncio.gather(
        *(binding.bind_first(each, "worker", NOON) for binding, each in zip(bindings, candidates, strict=True))
    )
    assert {each.namespace_id for each in results} == {(await bindings[0].read() or OTHER).namespace_id}


async def test_it_moves_only_from_its_current_namespace(ledger: Ledger) -> None:
    binding = TemporalBinding(ledger.engine)
    assert not await binding.move(OURS, OTHER, "ops", NOON)
    assert await binding.read() is None
    await binding.bind_first(OURS, "worker", NOON)
    assert not await binding.move(OTHER, OURS, "ops", NOON)
    assert await binding.move(OURS, OTHER, "ops", NOON)
    assert not await binding.move(OURS, OTHER, "ops", NOON)
    assert await binding.read() == OTHER


def test_identities_differ_by_namespace_id_or_by_known_cluster_ids() -> None:
    """The name is not compared, because every server has a namespace `default`."""
    of_unknown_cluster = OURS.model_copy(update={"cluster_id": ""})
    assert OURS.is_same_as(OURS)
    assert OURS.is_same_as(of_unknown_cluster)
    assert of_unknown_cluster.is_same_as(OURS)
    assert not OURS.is_same_as(OURS.model_copy(update={"cluster_id": "c-2"}))
    assert not of_unknown_cluster.is_same_as(OURS.model_copy(update={"namespace_id": "n-2"}))
    assert OURS.is_same_as(OURS.model_copy(update={"namespace": "renamed"}))
