"""An external system that answers by a script: for tests of the saga, where HTTP would only be in the way."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from connector import CallHeaders, Deadlines, ExternalSystem, ExternalSystemConfig
from contract.adjust import AdjustBody
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from contract.operations import CancelOperation, Operation
from settlement.calls import Rule, Verdict
from settlement.reply_record import ReplyRecord
from settlement.states import Outcome

Answer = Verdict | Exception | Callable[[], Awaitable[Verdict]]

APPLIED = Verdict(outcome=Outcome.APPLIED, rule=Rule.CODE_SUCCESS, http_status=200, reply=ReplyRecord(code="0"))
REJECTED = Verdict(outcome=Outcome.REJECTED, rule=Rule.CODE_FAILURE, http_status=200, reply=ReplyRecord(code="E1"))
UNKNOWN = Verdict(outcome=Outcome.UNKNOWN, rule=Rule.DEADLINE)
NOT_SENT = Verdict(outcome=Outcome.NOT_SENT, rule=Rule.NOT_CONNECTED)
NOT_APPLIED = Verdict(
    outcome=Outcome.REJECTED, rule=Rule.CODE_FAILURE, http_status=200, reply=ReplyRecord(code="US_0000001")
)
NEVER_RECEIVED = Verdict(
    outcome=Outcome.REJECTED, rule=Rule.CODE_FAILURE, http_status=200, reply=ReplyRecord(code="US_0000002")
)
REVERSED = APPLIED
OWN_REVERSED = Verdict(
    outcome=Outcome.APPLIED, rule=Rule.CODE_MEANS_REVERSED, http_status=200, reply=ReplyRecord(code="E200")
)
IN_PROCESS = Verdict(
    outcome=Outcome.REJECTED, rule=Rule.CODE_MEANS_IN_PROCESS, http_status=200, reply=ReplyRecord(code="E102")
)
REFUSED = Verdict(
    outcome=Outcome.REJECTED, rule=Rule.CODE_MEANS_REFUSED, http_status=200, reply=ReplyRecord(code="E410")
)
BUSY = Verdict(outcome=Outcome.UNKNOWN, rule=Rule.HTTP_STATUS, http_status=429, retry_after_s=7)
NOT_CONFIGURED = Verdict(outcome=Outcome.NOT_SENT, rule=Rule.NOT_CONFIGURED)


@dataclass
class OneSystem:
    """Finds the same external system under every name, unless a script says that it is not configured."""

    system: ExternalSystem

    async def named(self, name: str) -> ExternalSystem | None:  # noqa: ARG002 - a double has its original's parameters
        """Return the external system."""
        missing = isinstance(self.system, ScriptedExternalSystem) and not self.system.is_configured
        return None if missing else self.system


@dataclass
class Gate:
    """An answer that is held back until the test opens the gate; `reached` tells that the call is in flight."""

    verdict: Verdict
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> Verdict:
        """Wait for the test."""
        self.reached.set()
        await self.opened.wait()
        return self.verdict


class ScriptedExternalSystem(ExternalSystem):
    """Gives the next answer of its script; a cancel beyond the script fails the call, an adjust too."""

    def __init__(
        self,
        *,
        adjust: Answer,
        cancels: Sequence[Answer] = (),
        cancel_operation: CancelOperation = Operation.CANCEL_ADJUST,
    ) -> None:
        super().__init__(ExternalSystemConfig("http://unused", cancel_operation=cancel_operation))
        self._adjust_script: list[Answer] = [adjust]
        self._cancel_script: list[Answer] = list(cancels)
        self.adjusts: list[AdjustBody] = []
        self.cancels: list[CancelAdjustBody | CancelOperationBody] = []
        self.headers: list[CallHeaders] = []
        self.is_configured = True
        """Whether the configuration has this system."""

    async def adjust(self, body: AdjustBody, headers: CallHeaders, deadlines: Deadlines) -> Verdict:  # noqa: ARG002 - a double has its original's parameters
        """Answer the one adjust."""
        self.adjusts.append(body)
        self.headers.append(headers)
        return await _next(self._adjust_script)

    async def cancel_adjust(
        self,
        body: CancelAdjustBody | CancelOperationBody,
        headers: CallHeaders,
        deadlines: Deadlines,  # noqa: ARG002 - a double has its original's parameters
    ) -> Verdict:
        """Answer the next cancel."""
        self.cancels.append(body)
        self.headers.append(headers)
        return await _next(self._cancel_script)

    @property
    def cancel_numbers(self) -> list[str]:
        """The numbers of all cancels received, in order."""
        return [body.requestUniqueNo if isinstance(body, CancelAdjustBody) else body.txid for body in self.cancels]


async def _next(script: list[Answer]) -> Verdict:
    answer = script.pop(0)
    if isinstance(answer, Verdict):
        return answer
    if isinstance(answer, Exception):
        raise answer
    return await answer()
