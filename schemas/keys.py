"""API keys over HTTP: the request for a new key, the new key with its secret, and the list."""

from pydantic import BaseModel, ConfigDict, Field

from contract.model import Model
from settlement.keys import ApiKey, Owner, Role


class ApiKeyRequest(BaseModel):
    """Request for a new API key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: Owner = Field(
        description="Who uses the key. Actions with it are audited under this name.", examples=["ops-1"]
    )
    role: Role


class NewApiKey(ApiKey):
    """A new key with its secret. No other response contains the secret, and it is not stored."""

    api_key: str = Field(repr=False, description="`id.secret`; send it as `Authorization: Bearer …`. Shown once.")


class ApiKeys(Model):
    """All keys: active ones first, then revoked ones; newest first within each group."""

    items: tuple[ApiKey, ...]
