"""/v1/api-keys: create, list and revoke API keys."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from api.http.access import KeyManager
from api.http.problems import BODY_ERRORS, ProblemError, documented
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
        *BODY_ERRORS,
        ErrorCode.LEDGER_UNAVAILABLE,
    ),
)
async def post_api_key(body: ApiKeyRequest, services: Injected, caller: KeyManager) -> NewApiKey:
    """Create an API key. Only this response contains its secret. Repeating the request creates another key.

    A client has a limited number of active keys. If the response was lost, the key cannot be used: revoke it.
    """
    created = await services.keys.create(body, caller.client, by_key=caller.key_id)
    if created is None:
        detail = f"{body.client} has {ACTIVE_KEYS_MAX} keys that are not revoked; revoke one of them first"
        raise ProblemError(ErrorCode.KEY_LIMIT_REACHED, detail)
    return created


@router.get(API_KEYS, responses=documented(ErrorCode.LEDGER_UNAVAILABLE))
async def list_api_keys(services: Injected, _: KeyManager) -> ApiKeys:
    """List API keys, active ones first. Secrets are not listed: they are stored nowhere."""
    return ApiKeys(items=tuple(await services.keys.all()))


@router.post(API_KEYS + "/{keyId}/revocation", responses=documented(ErrorCode.NOT_FOUND, ErrorCode.LEDGER_UNAVAILABLE))
async def revoke_api_key(key_id: Annotated[str, Path(alias="keyId")], services: Injected, caller: KeyManager) -> ApiKey:
    """Revoke an API key permanently. It takes effect everywhere within 5 seconds. Repeating it changes nothing."""
    # Rejects malformed ids before any query.
    known = is_key_id(key_id)
    revoked = await services.keys.revoke(key_id, caller.client, by_key=caller.key_id) if known else None
    if revoked is None:
        raise ProblemError(ErrorCode.NOT_FOUND, "no API key has this id")
    return revoked
