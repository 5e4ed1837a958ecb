"""A body with money in it must be JSON that can be read in only one way."""

import json

from fastapi import Request

from api.problems import NOT_UTF_8, ProblemError
from contract.errors import ErrorCode
from contract.json_text import RepeatedNameError, no_repeats


async def unambiguous_json(request: Request) -> None:
    """Refuse a body of another media type or encoding, and one that names a field twice: which amount would be meant?

    FastAPI has read it before, and refused what its parser does not take; parsed in the same way here, so that what
    one takes the other has looked at. That parser guesses at UTF-16 and UTF-32, which is not how JSON is sent
    (RFC 8259, 8.1), and lets bytes pass that are none of them.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ProblemError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Content-Type: must be application/json")
    body = await request.body()
    try:
        json.loads(body, object_pairs_hook=no_repeats)
        body.decode()
    except RepeatedNameError as error:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, str(error)) from error
    except UnicodeDecodeError as error:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, NOT_UTF_8) from error
    except (ValueError, RecursionError):
        return
    if b"\0" in body:
        raise ProblemError(ErrorCode.MALFORMED_REQUEST, NOT_UTF_8)
