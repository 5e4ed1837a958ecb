"""Derived ids are deterministic, unique, and within the length limits."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contract.adjust import AdjustRequest
from contract.fields import UNIQUE_NO_LENGTH_MAX, is_unique_no
from settlement.ids import (
    SETTLEMENT_ID_LENGTH_MAX,
    CancelKind,
    SettlementId,
    batch_update_id,
    batch_workflow_id,
    cancel_unique_no,
    is_batch_id,
    new_batch_id,
    settlement_of,
    workflow_id,
)
from settlement.system_names import SYSTEM_NAME_PATTERN, is_system_name
from tests.unit.contract.wire_bodies import ADJUST, refusals

numbers = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=48)
systems = st.from_regex(SYSTEM_NAME_PATTERN, fullmatch=True).filter(is_system_name)
settlement_ids = st.builds(SettlementId, systems, numbers)
kinds = st.sampled_from(CancelKind)


@given(numbers, kinds)
def test_the_cancel_number_fits_for_any_adjust_number(number: str, kind: CancelKind) -> None:
    derived = cancel_unique_no(number, kind)
    assert 1 <= len(derived) <= UNIQUE_NO_LENGTH_MAX
    assert is_unique_no(derived)
    assert refusals(AdjustRequest, {**ADJUST, "requestUniqueNo": derived}) == {}


@given(numbers, kinds)
def test_the_cancel_number_is_deterministic(number: str, kind: CancelKind) -> None:
    assert cancel_unique_no(number, kind) == cancel_unique_no(number, kind)


@given(numbers)
def test_the_confirming_cancel_has_its_own_number(number: str) -> None:
    derived = {number, *(cancel_unique_no(number, kind) for kind in CancelKind)}
    assert len(derived) == 1 + len(CancelKind)


@given(st.sets(numbers, min_size=2, max_size=20))
def test_different_adjusts_have_different_cancel_numbers(drawn: set[str]) -> None:
    assert len({cancel_unique_no(number, kind) for number in drawn for kind in CancelKind}) == 2 * len(drawn)


@given(st.sets(settlement_ids, min_size=2, max_size=20))
@example({SettlementId("a", "b:c"), SettlementId("a", "b~3Ac"), SettlementId("a", "c"), SettlementId("b", "c")})
@example({SettlementId("a-1", "1"), SettlementId("a", "1-1"), SettlementId("a", "-1-1"), SettlementId("a-1", "-1")})
def test_different_settlements_have_different_ids(drawn: set[SettlementId]) -> None:
    """Equal numbers at two external systems are two settlements."""
    assert len({str(each) for each in drawn}) == len(drawn)
    assert len({workflow_id(each) for each in drawn}) == len(drawn)


@given(settlement_ids)
@example(SettlementId("alpha", ":"))
@example(SettlementId("alpha", "beta:ORD-1"))
@example(SettlementId("s" * 32, "\U0010ffff" * 48))
def test_the_settlement_can_be_recovered_from_its_text(settlement: SettlementId) -> None:
    assert SettlementId.parse(str(settlement)) == settlement
    assert len(str(settlement)) <= SETTLEMENT_ID_LENGTH_MAX


@pytest.mark.parametrize(
    "text", ["", ":", "ORD-1", ":ORD-1", "alpha:", "Alpha:ORD-1", "-a:ORD-1", "alpha\n:ORD-1", "s" * 33 + ":1", "a:\n"]
)
def test_a_text_that_is_not_of_a_settlement_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be the name of an external system"):
        SettlementId.parse(text)


@given(settlement_ids)
@example(SettlementId("alpha", "~"))
@example(SettlementId("alpha", "~7E"))
@example(SettlementId("alpha", "a~2Fb"))
@example(SettlementId("alpha", "a/b"))
@example(SettlementId("alpha", ":"))
@example(SettlementId("alpha", "a:b"))
@example(SettlementId("alpha", "\u2028"))
@example(SettlementId("alpha", "\U0010ffff" * 48))
@example(SettlementId("alpha", "/" * 48))
def test_the_settlement_can_be_recovered_from_the_workflow_id(settlement: SettlementId) -> None:
    """Reconciliation needs it for a settlement that the ledger has lost."""
    assert settlement_of(workflow_id(settlement)) == settlement


@given(settlement_ids)
@example(SettlementId("s" * 32, "/" * 48))
@example(SettlementId("s" * 32, "\U0010ffff" * 48))
def test_the_workflow_id_fits_temporals_limits_and_needs_no_quoting(settlement: SettlementId) -> None:
    """255 characters on PostgreSQL, 1000 bytes in the server. A slash or quote would break links and queries."""
    made = workflow_id(settlement)
    assert len(made) <= 255
    assert len(made.encode()) <= 1000
    assert not set(made) & set("/?#%'\"\\ &`<>")


@given(st.text())
@example("settlement:alpha~\u00e9~2f")
@example("settlement:alpha~ORD-1")
@example("settlement:alpha:a/b")
@example("settlement:alpha~~41")
@example("settlement:alpha:")
@example("settlement:alpha~")
@example("settlement:Alpha:ORD-1")
@example("settlement::ORD-1")
@example("settlement:" + "s" * 33 + ":ORD-1")
@example("settlement:alpha")
@example("settlement")
def test_an_id_that_no_settlement_produces_is_not_a_settlements(text: str) -> None:
    """So two ids never stand for one settlement."""
    for made in (text, f"settlement:{text}", f"settlement:alpha:{text}", f"settlement:alpha~{text}"):
        settlement = settlement_of(made)
        assert settlement is None or workflow_id(settlement) == made
        assert settlement is None or SettlementId.parse(str(settlement)) == settlement


def test_the_workflow_id_contains_a_plain_number_unchanged() -> None:
    assert workflow_id(SettlementId("alpha", "A:b@c+d=e~f._-")) == "settlement:alpha:A:b@c+d=e~f._-"
    assert workflow_id(SettlementId("alpha", "ORD 1/2")) == "settlement:alpha~ORD~201~2F2"
    assert workflow_id(SettlementId("alpha", "\u8ba2\u5355-1")) == "settlement:alpha~\u8ba2\u5355-1"


@pytest.mark.parametrize(("one", "other"), [("A", "a"), ("1", "01"), ("N", "N "), ("\u00e9", "e\u0301")])
def test_similar_numbers_have_different_ids(one: str, other: str) -> None:
    assert workflow_id(SettlementId("alpha", one)) != workflow_id(SettlementId("alpha", other))
    assert cancel_unique_no(one, CancelKind.FIRST) != cancel_unique_no(other, CancelKind.FIRST)


def test_ids_of_open_settlements_never_change() -> None:
    """Exact values: a different derivation would send a second cancel with a new number."""
    assert workflow_id(SettlementId("alpha", "ORD-1")) == "settlement:alpha:ORD-1"
    assert cancel_unique_no("ORD-1", CancelKind.FIRST) == "CA1-f20d3ec865bccfd6975be5d5696c8853be4de366"
    assert cancel_unique_no("ORD-1", CancelKind.CONFIRMING) == "CA2-e1953045c39a5e2d9a79faf2b290b126c351fe68"


def test_every_new_batch_has_a_unique_valid_id() -> None:
    ids = [new_batch_id() for _ in range(100)]
    assert len(set(ids)) == len(ids)
    assert all(is_batch_id(each) for each in ids)


@given(st.text())
def test_other_forms_of_a_uuid_are_not_batch_ids(text: str) -> None:
    assert not is_batch_id(text)
    assert not is_batch_id(new_batch_id().upper())


def test_ids_of_running_batches_never_change() -> None:
    """Exact values: a different Update id would retry settlements a second time for the same batch."""
    batch = "0c8f4a4e-97f3-5b43-9b52-8d4dc6a8a0b5"
    assert batch_workflow_id(batch) == f"batch-retry-{batch}"
    assert batch_update_id(batch, "ORD-1") == f"batch-{batch}-ORD-1"
