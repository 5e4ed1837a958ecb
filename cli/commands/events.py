"""`settlement events`: follow one settlement as it goes from state to state."""

import json
from typing import Annotated

import httpx2
import typer

from cli.commands.settlement_views import path_of
from cli.exits import CliError, Exit, NoAnswerError
from cli.options import Number
from cli.retry_policy import RetryPolicy
from cli.screen import Form
from cli.session import Session, session_of
from settlement.snapshot import SettlementEvent
from settlement.states import END_STATES

_COLUMNS = ("id", "at", "state", "decision", "reason")
_WIDTHS = (3, 24, 10, 8)


def events(
    context: typer.Context,
    number: Number,
    *,
    after: Annotated[int | None, typer.Option(min=0, help="Only what came after this event's id.")] = None,
) -> None:
    """Follow one settlement until its end; what breaks off is taken up where it was, nothing twice.

    An aborted settlement is not at its end: it waits for an operator, and so does this command. Ctrl-C leaves.
    """
    session = session_of(context)
    follower = _Follower(session, number, after)
    retry_policy = RetryPolicy(session.screen.say)
    while not follower.ended:
        try:
            follower.follow(retry_policy)
        except NoAnswerError as error:
            retry_policy.wait_or_raise(error)


class _Follower:
    """Prints each event once, whatever the stream repeats."""

    def __init__(self, session: Session, number: str, after: int | None) -> None:
        self._session = session
        self._number = number
        self._last = -1 if after is None else after
        self._begun = False
        self._nothing_more = False
        self.ended = False

    def follow(self, retry_policy: RetryPolicy) -> None:
        """Read one stream to the settlement's end, or to where the API ends it; NoAnswerError where it breaks off."""
        last_event_id = str(self._last) if self._last >= 0 else None
        with self._session.api.events(path_of(self._number, "events"), last_event_id) as stream:
            retry_policy.reached()
            self._begin()
            for event in stream:
                if event.data:
                    retry_policy.answered()
                    self._take(event)
                if self.ended:
                    return
        self._look_whether_more_will_come()
        if not self.ended:
            retry_policy.pause()

    def _look_whether_more_will_come(self) -> None:
        """End once a whole stream, begun after the settlement had ended, brought no end: `--after` lay behind it."""
        self.ended = self._nothing_more
        settlement = self._session.api.get(path_of(self._number)).json()
        self._nothing_more = isinstance(settlement, dict) and settlement.get("state") in END_STATES

    def _begin(self) -> None:
        if not self._begun and self._session.screen.form is Form.PLAIN:
            self._session.screen.stream_row(_COLUMNS, _WIDTHS)
        self._begun = True

    def _take(self, sent: httpx2.ServerSentEvent) -> None:
        try:
            position, value = int(sent.id), json.loads(sent.data)
            event = SettlementEvent.model_validate(value)
        except ValueError:
            raise _UnreadableError from None
        if position > self._last:
            self._last = position
            self._print(position, value, event)
        self.ended = event.state in END_STATES

    def _print(self, position: int, value: object, event: SettlementEvent) -> None:
        screen = self._session.screen
        if screen.form is Form.JSON:
            screen.json_line(value)
        else:
            screen.stream_row((position, event.at, event.state, event.decision, event.reason), _WIDTHS)


class _UnreadableError(CliError):
    """An event that this program cannot read: asking again would bring it again."""

    code = Exit.NO_ANSWER

    def __init__(self) -> None:
        super().__init__("the event stream holds what is no settlement event")
