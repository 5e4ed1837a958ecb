"""The base class of this project's own JSON models: snake_case in Python, camelCase in JSON, immutable."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen model with camelCase names in JSON. Unknown fields are ignored.

    So a worker can read what a newer release wrote. The API's request models forbid unknown fields instead.
    """

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )
