"""Derived ids are deterministic, unique, and within the length limits."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contract.adjust import AdjustRequest
from contract.fields import UNIQUE_NO_LENGTH_MAX, is_unique_no
from settlement.ids import (
    CancelKind,
    batch_update_id,
    batch_workflow_id,
    cancel_unique_no,
    is_batch_id,
    new_batch_id,
    request_unique_no_of,
    workflow_id,
)
from tests.unit.contract.wire_bodies import ADJUST, refusals

numbers = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=48)
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
def test_different_adjusts_have_different_ids(drawn: set[str]) -> None:
    assert len({workflow_id(number) for number in drawn}) == len(drawn)
    assert len({cancel_unique_no(number, kind) for number in drawn for kind in CancelKind}) == 2 * len(drawn)


@given(numbers)
@example("~")
@example("~7E")
@example("a~2Fb")
@example("a/b")
@example("\U0010ffff" * 48)
@example("/" * 48)
def test_the_number_can_be_recovered_from_the_workflow_id(number: str) -> None:
    """Reconciliation needs it for a settlement that the ledger has lost."""
    assert request_unique_no_of(workflow_id(number)) == number


@given(numbers)
@example("/" * 48)
@example("\U0010ffff" * 48)
def test_the_workflow_id_fits_temporals_limits_and_needs_no_quoting(number: str) -> None:
    """255 characters on PostgreSQL, 1000 bytes in the server. A slash or quote would break links and queries."""
    made = workflow_id(number)
    assert len(made) <= 255
    assert len(made.encode()) <= 1000
    assert not set(made) & set("/?#%'\"\\ &`<>")


@given(st.text())
@example("settlement~\u00e9~2f")
@example("settlement~ORD-1")
@example("settlement-a/b")
@example("settlement~~41")
@example("settlement-")
@example("settlement~")
@example("settlement")
def test_an_id_that_no_number_produces_is_not_a_settlements(text: str) -> None:
    """So two ids never stand for one settlement."""
    for made in (text, f"settlement-{text}", f"settlement~{text}"):
        number = request_unique_no_of(made)
        assert number is None or workflow_id(number) == made


def test_the_workflow_id_contains_a_plain_number_unchanged() -> None:
    assert workflow_id("A:b@c+d=e~f._-") == "settlement-A:b@c+d=e~f._-"
    assert workflow_id("ORD 1/2") == "settlement~ORD~201~2F2"
    assert workflow_id("\u8ba2\u5355-1") == "settlement~\u8ba2\u5355-1"


@pytest.mark.parametrize(("one", "other"), [("A", "a"), ("1", "01"), ("N", "N "), ("\u00e9", "e\u0301")])
def test_similar_numbers_have_different_ids(one: str, other: str) -> None:
    assert workflow_id(one) != workflow_id(other)
    assert cancel_unique_no(one, CancelKind.FIRST) != cancel_unique_no(other, CancelKind.FIRST)


def test_ids_of_open_settlements_never_change() -> None:
    """Exact values: a different derivation would send a second cancel with a new number."""
    assert workflow_id("ORD-1") == "settlement-ORD-1"
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
