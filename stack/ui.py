"""The Temporal UI of `make up`: the development server's, without the acts that skip a compensation.

The development server takes no option for this, so a proxy stands in front of its UI and answers what the UI asks for
its switches: Terminate, Reset, Signal, batch actions, "Start Workflow" and activity commands are hidden, as in
`docker-compose.yml`. Run it with `python -m stack.ui PORT UI_PORT`.
"""

import sys

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
"""A page of another site that has its name resolve to this machine sends another one."""
_HOP_BY_HOP = {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding", "upgrade"}
_BODY_BYTES_MAX = 16 * 1024 * 1024


def ui_app(ui_port: int) -> web.Application:
    """Return the proxy in front of a UI on this machine. A UI that does not answer is a 502."""
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


async def _forwarded(request: web.Request, url: URL) -> web.Response:
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
    body = await request.read()
    async with (
        aiohttp.ClientSession() as session,
        session.request(request.method, url, headers=headers, data=body or None, allow_redirects=False) as answer,
    ):
        if request.path == SETTINGS_PATH and answer.ok:
            return web.json_response(await answer.json() | HIDDEN)
        response = web.Response(status=answer.status, body=await answer.read())
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                response.headers[name] = value
        return response


if __name__ == "__main__":
    own_port, behind = (int(each) for each in sys.argv[1:3])
    web.run_app(ui_app(behind), host=HOST, port=own_port, print=None)
