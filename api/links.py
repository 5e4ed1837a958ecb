"""OpenAPI links: what can be done next with what an answer names."""

from typing import Any

_NUMBER = {"requestUniqueNo": "$response.body#/requestUniqueNo"}
_NUMBER_ASKED = {"requestUniqueNo": "$request.path.requestUniqueNo"}
_BATCH = {"batchId": "$response.body#/batchId"}
_KEY = {"keyId": "$response.body#/keyId"}

_READ = ("get_settlement", "get_settlement_events", "explain_settlement")
_ACT = ("post_cancel_adjust_retry", "post_resolution")

_TARGETS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "post_settlement": ((*_READ, *_ACT), _NUMBER),
    "get_settlement": (("get_settlement_events", "explain_settlement", *_ACT), _NUMBER),
    "explain_settlement": (_ACT, _NUMBER_ASKED),
    "post_cancel_adjust_retry": ((*_READ, "post_resolution"), _NUMBER),
    "post_resolution": (_READ, _NUMBER),
    "list_settlements": (("list_settlements",), {"cursor": "$response.body#/nextCursor"}),
    "list_findings": (("list_findings",), {"before": "$response.body#/nextBefore"}),
    "post_batch_retry": (("get_batch_retry", "list_batch_items", "stop_batch_retry"), _BATCH),
    "get_batch_retry": (("list_batch_items", "stop_batch_retry"), _BATCH),
    "post_api_key": (("revoke_api_key",), _KEY),
}
"""By operation: the operations that its answer leads to, and where their parameters stand in it."""


def links_of(operation: str) -> dict[str, Any]:
    """Return the links of a successful answer of an operation, by the operation that each leads to."""
    targets, parameters = _TARGETS.get(operation, ((), {}))
    return {target: {"operationId": target, "parameters": parameters} for target in targets}
