"""Encrypts recorded histories as a server stores them with the codec on."""

import json

from google.protobuf.message import Message
from temporalio.api.common.v1 import Header, Payload, SearchAttributes
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import MarkerRecordedEventAttributes
from temporalio.converter import PayloadCodec

Marker = MarkerRecordedEventAttributes
IN_CLEAR = (SearchAttributes, Header)
"""What the SDK does not encode."""


async def encrypt(message: Message, codec: PayloadCodec) -> None:
    """Encrypt every payload in a message, and the texts of its failures."""
    if isinstance(message, Payload):
        (done,) = await codec.encode([message])
        message.CopyFrom(done)
        return
    if isinstance(message, IN_CLEAR):
        return
    if isinstance(message, Failure):
        texts = {"message": message.message, "stack_trace": message.stack_trace}
        plain = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(texts).encode())
        message.message, message.stack_trace = "Encoded failure", ""
        message.encoded_attributes.CopyFrom(plain)
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        if hasattr(value, "items"):
            # The marker of a local activity has "data" of the SDK's core, which does not encode it.
            named = [(name, each) for name, each in value.items() if isinstance(each, Message)]
            nested = [each for name, each in named if not (isinstance(message, Marker) and name == "data")]
        else:
            nested = [value] if isinstance(value, Message) else list(value)
        for each in nested:
            await encrypt(each, codec)
