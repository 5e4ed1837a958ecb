"""The base of every model of our own: Python names inside, camelCase in JSON, never changed once made."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen model whose JSON carries camelCase names. Unknown fields are ignored.

    Ignoring them lets yesterday's worker read what tomorrow's wrote; the front door's request models
    forbid them instead.
    """

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )
