"""A body with money in it must be JSON that can be read in only one way."""

from fastapi import Request

from api.problems import ProblemError
from contract.errors import ErrorCode
from contract.json_text import RepeatedNameError, strict_json


async def unambiguous_json(request: Request) -> None:
    """Refuse a body of another media type, and one that names a field twice: which amount would be meant?

    Any other fault of the body is found, and answered, where it is read.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ProblemError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Content-Type: must be application/json")
    try:
        strict_json(await request.body())
    except RepeatedNameError as error:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, str(error)) from error
    except (ValueError, RecursionError):
        return
