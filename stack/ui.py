"""A proxy for the Temporal UI of `make up` that hides the actions which skip a compensation.

The development server has no option to hide actions. So this proxy changes the settings that the UI reads: Terminate,
Reset, Signal, batch actions, "Start Workflow" and activity commands are hidden, as in `docker-compose.yml`. Run it with
`python -m stack.ui PORT UI_PORT`.
"""

import sys
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from stack.ports import HOST

SETTINGS_PATH = "/api/v1/settings"
HIDDEN = {
    "WorkflowTerminateDisabled": True,
    "WorkflowResetDisabled": True,
    "WorkflowSignalDisabled": True,
    "BatchActionsDisabled": True,
    "StartWorkflowDisabled": True,
    "ActivityCommandsDisabled": True,
}
_OWN_HOSTS = {HOST, "localhost"}
"""Allowed values of the header Host. A page of another site whose name resolves to this machine sends its own name."""
_HOP_BY_HOP = {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding", "upgrade"}
_BODY_BYTES_MAX = 16 * 1024 * 1024


def ui_app(ui_port: int) -> web.Application:
    """Return the proxy for the UI at `ui_port` of this machine. If the UI does not answer, the proxy answers 502."""
    app = web.Application(client_max_size=_BODY_BYTES_MAX)

    async def forward(request: web.Request) -> web.Response:
        if URL(f"http://{request.host}").host not in _OWN_HOSTS:
            raise web.HTTPForbidden(text="this UI serves this machine only")
        try:
            return await _forwarded(request, URL.build(scheme="http", host=HOST, port=ui_port).join(request.rel_url))
        except aiohttp.ClientError as error:
            raise web.HTTPBadGateway(text="the Temporal UI does not answer") from error

    app.router.add_route("*", "/{path:.*}", forward)
    return app


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the UI, without the hidden actions, and with the login of the codec server if it has one.

    Without credentials, the UI would send no cookie of that login.
    """
    codec = given["Codec"]
    if codec["Endpoint"]:
        login = {"DefaultErrorMessage": "Log in to read payloads", "DefaultErrorLink": f"{codec['Endpoint']}/session"}
        codec |= {"IncludeCredentials": True} | login
    return given | HIDDEN | {"Codec": codec}


async def _forwarded(request: web.Request, url: URL) -> web.Response:
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
    body = await request.read()
    async with (
        aiohttp.ClientSession() as session,
        session.request(request.method, url, headers=headers, data=body or None, allow_redirects=False) as answer,
    ):
        if request.path == SETTINGS_PATH and answer.ok:
            return web.json_response(_settings(await answer.json()))
        response = web.Response(status=answer.status, body=await answer.read())
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                response.headers[name] = value
        return response


if __name__ == "__main__":
    proxy_port, temporal_ui_port = (int(each) for each in sys.argv[1:3])
    web.run_app(ui_app(temporal_ui_port), host=HOST, port=proxy_port, print=None)
