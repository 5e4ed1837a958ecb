"""`settlement events`: follow the state changes of one settlement."""

import json
from typing import Annotated

import httpx2
import typer

from cli.commands.settlement_views import path_of
from cli.exits import CliError, Exit, NoAnswerError
from cli.options import Number, System
from cli.retry_policy import RetryPolicy
from cli.screen import OutputFormat
from cli.session import Session, session_of
from settlement.snapshot import SettlementEvent
from settlement.states import END_STATES

_COLUMNS = ("id", "at", "state", "decision", "reason")
_WIDTHS = (3, 24, 10, 8)


def events(
    context: typer.Context,
    number: Number,
    *,
    system: System = None,
    after: Annotated[int | None, typer.Option(min=0, help="Show only the events after this event id.")] = None,
) -> None:
    """Follow one settlement until its end. After a broken connection it continues with the next event.

    An ABORTED settlement has not ended: it waits for an operator, and this command waits too. Ctrl-C ends it.
    """
    session = session_of(context)
    follower = _Follower(session, number, system, after)
    retry_policy = RetryPolicy(session.screen.notify)
    while not follower.ended:
        try:
            follower.follow(retry_policy)
        except NoAnswerError as error:
            retry_policy.wait_or_raise(error)


class _Follower:
    """Reads event streams and prints each event once, even if a stream repeats it."""

    def __init__(self, session: Session, number: str, system: str | None, after: int | None) -> None:
        self._session = session
        self._number = number
        self._system = system
        self._last_id = -1 if after is None else after
        self._is_header_printed = False
        self._had_ended = False
        self.ended = False

    def follow(self, retry_policy: RetryPolicy) -> None:
        """Read one stream until the settlement or the stream ends. Raises NoAnswerError if the connection breaks."""
        last_event_id = str(self._last_id) if self._last_id >= 0 else None
        with self._session.api.events(path_of(self._number, "events", system=self._system), last_event_id) as stream:
            retry_policy.end_outage()
            self._print_header()
            for event in stream:
                if event.data:
                    retry_policy.reset()
                    self._handle(event)
                if self.ended:
                    return
        self._check_state()
        if not self.ended:
            retry_policy.pause()

    def _check_state(self) -> None:
        """End after a complete stream that started after the settlement's end: `--after` has named the last event."""
        self.ended = self._had_ended
        settlement = self._session.api.get(path_of(self._number, system=self._system)).json()
        self._had_ended = isinstance(settlement, dict) and settlement.get("state") in END_STATES

    def _print_header(self) -> None:
        if not self._is_header_printed and self._session.screen.format is OutputFormat.PLAIN:
            self._session.screen.stream_row(_COLUMNS, _WIDTHS)
        self._is_header_printed = True

    def _handle(self, received: httpx2.ServerSentEvent) -> None:
        try:
            event_id, value = int(received.id), json.loads(received.data)
            event = SettlementEvent.model_validate(value)
        except ValueError:
            raise _UnreadableEventError from None
        if event_id > self._last_id:
            self._last_id = event_id
            self._print(event_id, value, event)
        self.ended = event.state in END_STATES

    def _print(self, event_id: int, value: object, event: SettlementEvent) -> None:
        screen = self._session.screen
        if screen.format is OutputFormat.JSON:
            screen.json_line(value)
        else:
            screen.stream_row((event_id, event.at, event.state, event.decision, event.reason), _WIDTHS)


class _UnreadableEventError(CliError):
    """This program cannot read an event. It is not repeated, because the API would send the same event again."""

    code = Exit.NO_ANSWER

    def __init__(self) -> None:
        super().__init__("the event stream contains an event that this program cannot read")
