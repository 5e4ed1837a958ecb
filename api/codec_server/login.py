"""/v1/codec/session: the page where an operator logs a browser in at the codec server, with an API key."""

from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from api.codec_server.routes import codec_of
from api.codec_server.sessions import CODEC_PATH, CodecServer
from api.http.problems import ProblemError
from api.services import Injected
from schemas.problems import ErrorCode
from settlement.keys import PERMISSIONS, Permission

log = structlog.get_logger()
router = APIRouter(prefix=CODEC_PATH, include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Order settlement: encrypted payloads</title>
<style>body {{ font-family: sans-serif; max-width: 40em; margin: 4em auto; }} input {{ width: 100%; }}</style></head>
<body><h1>Read encrypted payloads</h1>
<p>With this login the Temporal UI shows payloads in clear text in this browser, for 8 hours.
It needs an API key that may read and has the scope all.</p>
<p role="alert">{message}</p>
<form method="post" action="{path}/session"><label>API key <input type="password" name="apiKey" autocomplete="off"
required autofocus></label><p><button>Log in</button></p></form>
<form method="post" action="{path}/session/end"><button>Log out</button></form></body></html>
"""


@router.get("/session")
async def show_login(services: Injected) -> Response:
    """Show the page."""
    return _page(codec_of(services), "")


@router.post("/session")
async def log_in(request: Request, services: Injected) -> Response:
    """Begin a session, and go to the Temporal UI. A key that may not decode payloads begins none."""
    server = codec_of(services)
    _reject_other_sites(request)
    fields = parse_qs((await request.body()).decode(errors="replace"))
    text = fields.get("apiKey", [""])[0].strip()
    key = await services.keys.verify(text)
    if key is None or not key.scope.is_everything or Permission.READ not in PERMISSIONS[key.role]:
        log.warning("codec login refused", client=key and key.client, key_id=key and key.key_id)
        return _page(server, "This key is not valid, or it may not read all companies.", HTTPStatus.FORBIDDEN)
    log.info("codec login", client=key.client, key_id=key.key_id)
    response = _gone_to_ui(server)
    server.begin_session(response, text)
    return response


@router.post("/session/end")
async def log_out(request: Request, services: Injected) -> Response:
    """End the session of this browser."""
    _reject_other_sites(request)
    response = _page(codec_of(services), "Logged out.")
    codec_of(services).end_session(response)
    return response


def _reject_other_sites(request: Request) -> None:
    """Raise ProblemError if a page of another origin has sent the form."""
    for origin in request.headers.getlist("origin"):
        if urlsplit(origin).netloc != request.headers.get("host"):
            raise ProblemError(ErrorCode.FORBIDDEN, "the form must come from this page")


def _gone_to_ui(server: CodecServer) -> Response:
    if server.ui_url is None:
        return _page(server, "Logged in.")
    return RedirectResponse(server.ui_url, HTTPStatus.SEE_OTHER, headers=_headers(server))


def _page(server: CodecServer, message: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return HTMLResponse(_PAGE.format(message=message, path=CODEC_PATH), status, headers=_headers(server))


def _headers(server: CodecServer) -> dict[str, str]:
    # A browser checks form-action also for the address to which the form's answer redirects.
    targets = " ".join(("'self'", server.ui_origin or "")).strip()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; form-action {targets}; frame-ancestors 'none'"
    # With no-referrer a browser would send the form with `Origin: null`.
    return {"Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}
