"""The signature of an operator's Update, with which the API proves to the workflow who acts (ADR 0022).

API and worker share the key. The signature is no secret: it is in the workflow's history, and is of no use for another
settlement, another Update, another request or a later moment.
"""

import hashlib
import hmac
import json
from enum import StrEnum

from settlement.snapshot import OperatorRequest, UpdateSignature

_PURPOSE = "order-settlement operator Update, version 1"


class Sender(StrEnum):
    """Who sent an Update, as far as a worker can tell."""

    API = "API"
    """The signature is valid."""
    OTHER = "OTHER"
    """There is no signature, and the worker permits Updates without one."""
    NOT_PERMITTED = "NOT_PERMITTED"
    """There is no signature, and the worker refuses Updates without one (SETTLEMENT_UI_ACTS=off)."""
    FORGED = "FORGED"
    """The signature is not of the worker's key, or not for this settlement, Update and request."""


class UpdateSigner:
    """Signs Updates and verifies their signatures. It never shows its key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, workflow_id: str, update: str, earlier_actions: int, request: OperatorRequest) -> OperatorRequest:
        """Return the request with its signature, for the moment at which the settlement has `earlier_actions`."""
        value = self._value(workflow_id, update, earlier_actions, request)
        return request.model_copy(update={"signature": UpdateSignature(earlier_actions=earlier_actions, value=value)})

    def is_valid(self, workflow_id: str, update: str, request: OperatorRequest) -> bool:
        """Return whether the request's signature is of this key and covers exactly this workflow, Update and request.

        The caller compares the number of earlier actions.
        """
        signature = request.signature
        if signature is None:
            return False
        expected = self._value(workflow_id, update, signature.earlier_actions, request)
        # As bytes, because compare_digest refuses text that is not ASCII.
        return hmac.compare_digest(expected.encode(), signature.value.encode(errors="replace"))

    def _value(self, workflow_id: str, update: str, earlier_actions: int, request: OperatorRequest) -> str:
        content = request.model_dump(mode="json", exclude={"signature"})
        # JSON, so that no two different requests have the same text.
        signed = json.dumps([_PURPOSE, workflow_id, update, earlier_actions, content], sort_keys=True)
        return hmac.new(self._key, signed.encode(), hashlib.sha256).hexdigest()
