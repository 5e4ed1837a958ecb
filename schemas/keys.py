"""API keys over HTTP: the request for a new key, the new key with its secret, and the list."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from contract.model import Model
from settlement.keys import ApiKey, ClientName, Role
from settlement.scope import Companies

KEY_LIFETIME_MIN_S, KEY_LIFETIME_MAX_S = 60, 3650 * 86_400


def _admin_has_everything(schema: dict[str, Any]) -> None:
    """Add to the JSON schema the rule that `ApiKeyRequest` enforces for the role admin."""
    others = [role.value for role in Role if role is not Role.ADMIN]
    schema["anyOf"] = [{"properties": {"role": {"enum": others}}}, {"properties": {"companies": {"const": "all"}}}]


class ApiKeyRequest(BaseModel):
    """Request for a new API key."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        json_schema_extra=_admin_has_everything,
    )

    client: ClientName = Field(
        description="Who holds the key. Orders and actions with it are recorded under this name.", examples=["shop-1"]
    )
    role: Role
    companies: Companies = Field(
        description="The scope: the companyIds that the key may submit for, read and act on; or `all`, which includes "
        "orders without a company. The role admin needs `all`.",
        examples=[[1, 2]],
    )
    expires_in_s: int | None = Field(
        default=None,
        strict=True,
        ge=KEY_LIFETIME_MIN_S,
        le=KEY_LIFETIME_MAX_S,
        description="Seconds from now after which the key is rejected. Without it, the key does not expire.",
    )

    @field_validator("companies")
    @classmethod
    def _admin_needs_all(cls, value: Companies, info: ValidationInfo) -> Companies:
        if value != "all" and info.data.get("role") is Role.ADMIN:
            message = "must be all for the role admin, which manages the keys of every client"
            raise ValueError(message)
        return value


class NewApiKey(ApiKey):
    """A new key with its secret. No other response contains the secret, and it is not stored."""

    api_key: str = Field(repr=False, description="`id.secret`; send it as `Authorization: Bearer …`. Shown once.")


class ApiKeys(Model):
    """All keys: active ones first, then revoked ones; newest first within each group."""

    items: tuple[ApiKey, ...]
