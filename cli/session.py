"""What every command works with: the screen, and the API as soon as one needs it."""

from functools import cached_property

import typer

from cli.api import Api
from cli.connection import Given, api_connection
from cli.screen import Screen


class Session:
    """One run of the program."""

    def __init__(self, given: Given, *, as_json: bool) -> None:
        self._given = given
        self.screen = Screen(as_json=as_json)

    @cached_property
    def api(self) -> Api:
        """The client; UsageError where the options and the environment do not lead to one."""
        found = api_connection(self._given)
        for warning in found.warnings:
            self.screen.say(f"warning: {warning}")
        return Api(found, self.screen.say)

    def close(self) -> None:
        """Close what was opened."""
        if "api" in self.__dict__:
            self.api.close()


def session_of(context: typer.Context) -> Session:
    """Return the session of a command's context."""
    session = context.find_root().obj
    assert isinstance(session, Session)  # noqa: S101 - the root callback has put it there
    return session
