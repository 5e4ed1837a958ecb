"""POST and GET /v1/api-keys, POST …/revocation: who may use the front door."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.http.access import KeyManager
from api.http.problems import ProblemError, documented
from api.http.strict_body import StrictJsonRoute
from api.keys.text import is_key_id
from api.services import Injected
from schemas.keys import ApiKeyRequest, ApiKeys, NewApiKey
from schemas.problems import ErrorCode
from settlement.keys import ACTIVE_KEYS_MAX, ApiKey

router = APIRouter(route_class=StrictJsonRoute)

API_KEYS = "/v1/api-keys"


@router.post(
    API_KEYS,
    status_code=HTTPStatus.CREATED,
    responses=documented(
        ErrorCode.KEY_LIMIT_REACHED,
        ErrorCode.VALIDATION_FAILED,
        ErrorCode.MALFORMED_REQUEST,
        ErrorCode.BODY_TOO_LARGE,
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        ErrorCode.LEDGER_UNAVAILABLE,
    ),
)
async def post_api_key(body: ApiKeyRequest, services: Injected, response: Response, caller: KeyManager) -> NewApiKey:
    """Make an API key. This answer alone holds its secret; repeating it makes another key.

    An owner has at most two active keys: the one in use, and the one it is being replaced by. A key whose answer
    was lost can be used by nobody: revoke it.
    """
    made = await services.keys.make(body, caller.owner)
    if made is None:
        detail = f"{body.owner} has {ACTIVE_KEYS_MAX} active keys; revoke one of them first"
        raise ProblemError(ErrorCode.KEY_LIMIT_REACHED, detail)
    response.headers["Cache-Control"] = "no-store"
    return made


@router.get(API_KEYS, responses=documented(ErrorCode.LEDGER_UNAVAILABLE))
async def list_api_keys(services: Injected, _: KeyManager) -> ApiKeys:
    """List API keys, active ones first; never their secrets, which are stored nowhere."""
    return ApiKeys(items=tuple(await services.keys.listed()))


@router.post(API_KEYS + "/{keyId}/revocation", responses=documented(ErrorCode.NOT_FOUND, ErrorCode.LEDGER_UNAVAILABLE))
async def revoke_api_key(key_id: Annotated[str, Path(alias="keyId")], services: Injected, caller: KeyManager) -> ApiKey:
    """End an API key for good, within a few seconds everywhere. Repeating it answers for the first revocation."""
    # What can be nobody's id must not reach a database.
    revoked = await services.keys.revoke(key_id, caller.owner) if is_key_id(key_id) else None
    if revoked is None:
        raise ProblemError(ErrorCode.NOT_FOUND, "no API key has this id")
    return revoked
