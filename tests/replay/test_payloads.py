"""Payloads leave out fields that are None, and can be read back."""

import inspect
import typing
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from temporalio import activity, workflow

from activities.adjust import Adjust
from activities.batch_retry import EndBatch, RetrySettlements
from activities.cancel_adjust import CancelAdjust
from activities.reconciliation.compare import CheckLedger, CheckTemporal, RecordRound, ReviewFindings
from activities.reconciliation.start_batches import StartBatches
from activities.record_settlement import RecordSettlement
from settlement.start import SubmittedBy
from workflows.replaying import WORKFLOWS
from workflows.runtime import DATA_CONVERTER

ACTIVITIES = (
    *(Adjust, CancelAdjust, RecordSettlement, RetrySettlements, EndBatch),
    *(StartBatches, CheckLedger, CheckTemporal, ReviewFindings, RecordRound),
)


def annotations() -> Iterable[Any]:
    """Yield the types of every argument and result of the workflows, their Updates and Queries, and the activities."""
    for kind in WORKFLOWS:
        defined = workflow._Definition.must_from_class(kind)  # noqa: SLF001 - the SDK has no public way
        yield from (*(defined.arg_types or ()), defined.ret_type)
        for handlers in (defined.updates.values(), defined.queries.values()):
            for each in handlers:
                yield from (*(each.arg_types or ()), each.ret_type)
    for holder in ACTIVITIES:
        for _, method in inspect.getmembers(holder, inspect.isfunction):
            if (found := activity._Definition.from_callable(method)) is not None:  # noqa: SLF001 - as above
                yield from (*(found.arg_types or ()), found.ret_type)


def models_in(annotation: Any, found: set[type[BaseModel]]) -> set[type[BaseModel]]:  # noqa: ANN401 - any annotation
    """Add the models of an annotation, and those of their fields; return `found`."""
    for argument in typing.get_args(annotation):
        models_in(argument, found)
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel) and annotation not in found:
        found.add(annotation)
        for field in annotation.model_fields.values():
            models_in(field.annotation, found)
    return found


def payload_models() -> list[type[BaseModel]]:
    found: set[type[BaseModel]] = set()
    for annotation in annotations():
        models_in(annotation, found)
    return sorted(found, key=lambda each: each.__name__)


MODELS = payload_models()


def may_be_none(field: FieldInfo) -> bool:
    annotation: Any = field.annotation
    try:
        TypeAdapter(annotation).validate_python(None)
    except ValidationError:
        return False
    return True


def test_the_models_of_all_payloads_are_found() -> None:
    names = {each.__name__ for each in MODELS}
    assert {"SettlementStart", "Snapshot", "CallRecord", "RecordTask", "CancelTask", "AdjustTask", "RoundEnd"} <= names
    assert {"OperatorRequest", "UpdateResult", "BatchProgress", "ResolutionProposal"} <= names


@pytest.mark.parametrize("model", MODELS, ids=lambda each: each.__name__)
def test_a_field_that_may_be_none_has_none_as_its_default(model: type[BaseModel]) -> None:
    fields = {name: field for name, field in model.model_fields.items() if may_be_none(field)}
    assert [name for name, field in fields.items() if field.is_required() or field.get_default() is not None] == []


def test_none_is_left_out_and_read_back() -> None:
    converter = DATA_CONVERTER.payload_converter
    given = SubmittedBy(client="shop-7", key_id=None)
    (payload,) = converter.to_payloads([given])
    assert payload.data == b'{"client":"shop-7"}'
    assert converter.from_payloads([payload], [SubmittedBy]) == [given]


def test_all_instances_share_their_type_adapters() -> None:
    first, second = (DATA_CONVERTER.payload_converter_class() for _ in range(2))
    (payload,) = first.to_payloads([datetime(2026, 1, 1, tzinfo=UTC)])
    assert second.from_payloads([payload], [datetime]) == [datetime(2026, 1, 1, tzinfo=UTC)]
    assert vars(first) == vars(second)
