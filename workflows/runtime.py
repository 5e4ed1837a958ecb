"""Settings that worker, API, tests and replayer must share: task queues, data converter, runner, priorities."""

from typing import Any

from pydantic_core import to_json
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import Priority
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter, PydanticPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)
from temporalio.worker import UnsandboxedWorkflowRunner


class JsonConverter(PydanticJSONPlainPayloadConverter):
    """Pydantic's JSON converter without fields that are None: they would be an eighth of a history."""

    def to_payload(self, value: Any) -> Payload | None:  # noqa: ANN401 - as its base class
        """Return the value as JSON. Every field that may be None has None as its default, so it can be read back."""
        return Payload(metadata={"encoding": self.encoding.encode()}, data=to_json(value, exclude_none=True))


_JSON = JsonConverter()
_CONVERTERS = tuple(
    _JSON if isinstance(each, PydanticJSONPlainPayloadConverter) else each
    for each in PydanticPayloadConverter().converters.values()
)


class PayloadConverter(CompositePayloadConverter):
    """Pydantic's payload converter, with one set of type adapters for the whole process.

    The SDK creates a payload converter for each workflow. Each of them would build its type adapters anew (ADR 0023).
    """

    def __init__(self) -> None:
        """Share the converters of all instances."""
        super().__init__(*_CONVERTERS)


DATA_CONVERTER = DataConverter(payload_converter_class=PayloadConverter)
"""The converter without encryption."""


def data_converter(codec: PayloadCodec | None) -> DataConverter:
    """Return the converter of this project with a codec; without one, DATA_CONVERTER.

    With a codec, messages and stack traces of failures become payloads, so that the codec encrypts them, too.
    """
    if codec is None:
        return DATA_CONVERTER
    return DataConverter(
        payload_converter_class=PayloadConverter,
        payload_codec=codec,
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


SETTLEMENT_TASK_QUEUE = "order-settlement"
"""Workflows and adjusts."""
CANCEL_TASK_QUEUE = "order-settlement-cancels"
"""Cancels, on separate slots, so that slow cancels do not delay adjusts, and slow adjusts do not delay cancels."""
LEDGER_TASK_QUEUE = "order-settlement-ledger"
"""Ledger writes, on separate slots, so that a ledger outage does not delay a compensation."""
RECONCILIATION_TASK_QUEUE = "order-settlement-reconciliation"
"""Reconciliation, on a few separate slots, so that thousands of lost workflows do not delay settlements."""

BATCH_TASK_QUEUE = "order-settlement-batches"
"""Chunks of batches, on a few separate slots: they wait for settlements and must not take the settlements' slots."""

HISTORY_EVENTS_MAX = 2_000
HISTORY_BYTES_MAX = 1_000_000
"""From this history size on, the workflow continues as new at the next possible point. With one more round of cancels
and its ledger write, it stays below a tenth of the server's limits (51,200 events, 50 MiB)."""


def workflow_runner() -> UnsandboxedWorkflowRunner:
    """Return the runner of production and of the replay. It has no sandbox, which costs CPU for each workflow.

    The tests run the workflows in the sandbox, which finds calls that a replay could not repeat (ADR 0023).
    """
    return UnsandboxedWorkflowRunner()


def fairness(company_id: int | None) -> Priority:
    """Return the priority whose fairness key is the company, so that one company's backlog does not delay others.

    Orders without a company share one key. A server without fairness ignores it.
    """
    return Priority(fairness_key=None if company_id is None else str(company_id))


def history_is_long() -> bool:
    """Return whether this run's history exceeds our limits, or the server suggests to continue as new."""
    info = workflow.info()
    return (
        info.is_continue_as_new_suggested()
        or info.get_current_history_length() >= HISTORY_EVENTS_MAX
        or info.get_current_history_size() >= HISTORY_BYTES_MAX
    )
