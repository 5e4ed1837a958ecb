"""/v1/codec: encode and decode payloads for the Temporal UI and the command `temporal`, by Temporal's codec protocol.

The routes exist only if payload keys are configured. They are not in the OpenAPI document, because their protocol is
Temporal's, not ours. Every use is in the log, with client and key.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, cast

import structlog
from fastapi import APIRouter, Query, Request, Response
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads

from api.codec_server.sessions import CODEC_PATH, CodecServer
from api.http.access import Caller, PayloadDecoder, PayloadEncoder
from api.http.problems import FieldError, validation_problem
from api.http.strict_body import StrictJsonRoute
from api.services import Injected, Services
from encryption.codec import is_encrypted, key_id_of
from encryption.keys import PayloadError

log = structlog.get_logger()

PAYLOADS_MAX = 2000
NAMESPACE_LOGGED_MAX = 100
BODY_BYTES_MAX = 8 * 1024 * 1024
"""A payload has up to 2 MiB, and a third more as JSON."""


Preserve = Annotated[str | None, Query(alias="preserveStorageRefs")]
"""The Temporal UI sends it with each request. It concerns payloads outside Temporal, of which there are none here."""


class _CodecRoute(StrictJsonRoute):
    body_bytes_max = BODY_BYTES_MAX


router = APIRouter(prefix=CODEC_PATH, route_class=_CodecRoute, include_in_schema=False)


def codec_of(services: Services) -> CodecServer:
    """Return the codec server of this process; its routes exist only if there is one."""
    return cast("CodecServer", services.codec)


@router.post("/decode")
async def decode(
    body: dict[str, Any], request: Request, services: Injected, caller: PayloadDecoder, _: Preserve = None
) -> Response:
    """Decrypt payloads. Either all are returned, or 422 names the id of the key of one that cannot be decrypted."""
    codec = codec_of(services).codec
    return await _answer(body, codec.decode, "payloads decoded", caller, request)


@router.post("/encode")
async def encode(
    body: dict[str, Any], request: Request, services: Injected, caller: PayloadEncoder, _: Preserve = None
) -> Response:
    """Encrypt payloads with the active key, as the input of an Update."""
    codec = codec_of(services).codec
    return await _answer(body, codec.encode, "payloads encoded", caller, request)


async def _answer(
    body: dict[str, Any],
    convert: Callable[[Sequence[Payload]], Awaitable[list[Payload]]],
    event: str,
    caller: Caller,
    request: Request,
) -> Response:
    given = _parsed(body)
    try:
        converted = await convert(given)
        used = sorted({key_id_of(each) for each in (*given, *converted) if is_encrypted(each)})
    except PayloadError as error:
        log.warning("payloads not decoded", client=caller.client, key_id=caller.key_id, error=str(error))
        raise validation_problem([FieldError(field="payloads", rule=str(error))]) from None
    log.info(
        event,
        client=caller.client,
        key_id=caller.key_id,
        namespace=request.headers.get("x-namespace", "")[:NAMESPACE_LOGGED_MAX],
        payloads=len(given),
        payload_keys=used,
    )
    answer = json_format.MessageToJson(Payloads(payloads=converted))
    return Response(answer, media_type="application/json")


def _parsed(body: dict[str, Any]) -> list[Payload]:
    try:
        given = list(json_format.ParseDict(body, Payloads()).payloads)
    except json_format.ParseError:
        # The parser's own text may contain a part of the input.
        raise validation_problem([FieldError(field="payloads", rule="must be payloads of Temporal as JSON")]) from None
    if len(given) > PAYLOADS_MAX:
        raise validation_problem([FieldError(field="payloads", rule=f"must be at most {PAYLOADS_MAX}")])
    return given
