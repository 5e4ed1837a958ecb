"""The objects that every command uses: the screen, and the client of the API."""

from functools import cached_property

import typer

from cli.api import Api
from cli.connection import ConnectionOptions, api_connection
from cli.screen import Screen


class Session:
    """One run of the program: its screen, and its client of the API, which is created on first use."""

    def __init__(self, options: ConnectionOptions, *, as_json: bool) -> None:
        self._options = options
        self.screen = Screen(as_json=as_json)

    @cached_property
    def api(self) -> Api:
        """The client. Raises UsageError if an option, a file or an environment variable is wrong."""
        connection = api_connection(self._options)
        for warning in connection.warnings:
            self.screen.notify(f"warning: {warning}")
        return Api(connection, self.screen.notify)

    def close(self) -> None:
        """Close the client if it was created."""
        if "api" in self.__dict__:
            self.api.close()


def session_of(context: typer.Context) -> Session:
    """Return the session of the running command."""
    session = context.find_root().obj
    assert isinstance(session, Session)  # noqa: S101 - the root callback has set it
    return session
