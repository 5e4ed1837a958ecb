"""How large the histories and payloads of a workflow are, in bytes as the server counts them."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHistory


@dataclass(frozen=True)
class Sizes:
    """The largest of each, over all runs of one workflow."""

    runs: int
    history_bytes_max: int
    history_events_max: int
    payload_bytes_max: int


async def sizes_of(client: Client, workflow_id: str, first_run_id: str) -> Sizes:
    """Read every run of a workflow, from the first to the newest, and measure it."""
    histories = [history async for history in _runs(client, workflow_id, first_run_id)]
    return Sizes(
        runs=len(histories),
        history_bytes_max=max(sum(event.ByteSize() for event in history.events) for history in histories),
        history_events_max=max(len(history.events) for history in histories),
        payload_bytes_max=max(
            payload.ByteSize() for history in histories for event in history.events for payload in _payloads(event)
        ),
    )


async def _runs(client: Client, workflow_id: str, first_run_id: str) -> AsyncIterator[WorkflowHistory]:
    run_id = first_run_id
    while run_id:
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        yield history
        run_id = history.events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id


def _payloads(message: Message) -> Iterator[Payload]:
    if isinstance(message, Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = list(value.values())
        else:
            values = list(value) if field.is_repeated else [value]
        for each in values:
            if isinstance(each, Message):
                yield from _payloads(each)
