"""Lets the validators of Updates ask this worker who sent an Update."""

from temporalio.worker import Interceptor, WorkflowInboundInterceptor, WorkflowInterceptorClassInput

from settlement.snapshot import OperatorRequest
from settlement.update_signature import Sender, UpdateSigner

SENDER_CHECK = "settlement_sender_check"
"""Name of the function under which the check is registered outside the workflow."""


class SenderCheck(Interceptor):
    """Registers the check of this worker. A worker without it refuses every operator's Update.

    The key stays outside the workflow: a validator gets only a `Sender`.
    """

    def __init__(self, signer: UpdateSigner, *, ui_acts: bool) -> None:
        self._signer = signer
        self._ui_acts = ui_acts

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's name
    ) -> type[WorkflowInboundInterceptor] | None:
        """Register the check. Intercepts nothing."""
        input.unsafe_extern_functions[SENDER_CHECK] = self._sender
        return None

    def _sender(self, workflow_id: str, update: str, request: OperatorRequest) -> Sender:
        if request.signature is None:
            return Sender.OTHER if self._ui_acts else Sender.NOT_PERMITTED
        return Sender.API if self._signer.is_valid(workflow_id, update, request) else Sender.FORGED
