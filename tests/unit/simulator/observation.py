"""What a careful client concludes from a reply of the simulator."""

from typing import Any

import httpx2

from contract.operations import ExternalReply
from tests.unit.simulator.conftest import LIMIT_S

NO_REPLY_TIMEOUT_S = 0.3


def observe(client: httpx2.Client, path: str, body: dict[str, Any], timeout_s: float = LIMIT_S) -> str:
    """Post the body and return in short what a careful client concludes from the reply."""
    try:
        response = client.post(path, json=body, timeout=timeout_s)
    except httpx2.TransportError as error:
        return type(error).__name__
    if response.status_code != httpx2.codes.OK:
        return f"HTTP {response.status_code}"
    try:
        reply = ExternalReply.model_validate_json(response.content)
    except ValueError:
        return "unreadable"
    if reply.trace not in {None, response.request.headers["trace"]}:
        return "another trace"
    return f"code {reply.code}" if reply.is_consistent() else "contradictory"


def expect_no_reply(client: httpx2.Client, path: str, body: dict[str, Any]) -> None:
    """Post a body that is never answered; give up after `NO_REPLY_TIMEOUT_S`."""
    assert observe(client, path, body, NO_REPLY_TIMEOUT_S) == "ReadTimeout"
