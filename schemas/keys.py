"""API keys over HTTP: how one is asked for, shown once, and listed."""

from pydantic import BaseModel, ConfigDict, Field

from contract.model import Model
from settlement.keys import ApiKey, Owner, Role


class ApiKeyRequest(BaseModel):
    """What a new key is asked for with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: Owner = Field(description="Who uses the key; what they do is audited under this name.", examples=["ops-1"])
    role: Role


class NewApiKey(ApiKey):
    """The one answer that holds the secret. It is stored nowhere."""

    api_key: str = Field(repr=False, description="`id.secret`; send it as `Authorization: Bearer …`. Shown once.")


class ApiKeys(Model):
    """Active keys, then revoked ones; in each part the newest first."""

    items: tuple[ApiKey, ...]
