"""A body with money in it must be JSON that can be read in only one way."""

import json

from fastapi import Request

from api.problems import ProblemError
from contract.errors import ErrorCode
from contract.json_text import RepeatedNameError, no_repeats


async def unambiguous_json(request: Request) -> None:
    """Refuse a body of another media type, and one that names a field twice: which amount would be meant?

    Parsed as FastAPI parses it, so that what one takes the other has looked at; any other fault of the body is
    found, and its field named, where it is read.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ProblemError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Content-Type: must be application/json")
    try:
        json.loads(await request.body(), object_pairs_hook=no_repeats)
    except RepeatedNameError as error:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, str(error)) from error
    except (ValueError, RecursionError):
        return
