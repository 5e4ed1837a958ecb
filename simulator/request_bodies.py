"""The bodies of the three operations as the simulator reads them: with every rule, but unknown fields are ignored.

The API of this project refuses unknown fields, because its callers can be corrected. An external system ignores them
(docs/contract.md#unknown-fields).
"""

from pydantic import ConfigDict

from contract.adjust import AdjustRequest
from contract.cancel_adjust import CancelAdjustRequest
from contract.cancel_operation import CancelOperationRequest


class ReceivedAdjustRequest(AdjustRequest):
    """An adjust (docs/contract.md#table-1)."""

    model_config = ConfigDict(extra="ignore")


class ReceivedCancelAdjust(CancelAdjustRequest):
    """A cancel adjust (docs/contract.md#table-2)."""

    model_config = ConfigDict(extra="ignore")


class ReceivedCancelOperation(CancelOperationRequest):
    """A cancel operation (docs/contract.md#table-3)."""

    model_config = ConfigDict(extra="ignore")
