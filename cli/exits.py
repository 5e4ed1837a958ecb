"""The exit codes of a command, which scripts may switch on, and the errors that lead to them."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; `docs/cli.md` lists them."""

    OK = 0
    REFUSED = 1
    """The API refused the request (a problem with a 4xx status), or the user answered no."""
    USAGE = 2
    """Nothing was sent: the command line, a file or an environment variable is wrong."""
    NO_ANSWER = 3
    """The API is not reachable, timed out, failed (5xx) or gave an unreadable answer. The action may have been done."""
    BAD_RESULT = 4
    """Done, with a bad result: the order is VOID, a batch left aborted settlements, or findings are open."""
    NO_RESULT = 5
    """No result within the wait: the order has no decision, or a round has not ended."""
    INTERNAL_ERROR = 70
    """A bug in this program."""
    OUTPUT_FAILED = 74
    """stdout cannot be written, for example on a full disk. The action has been done."""
    INTERRUPTED = 130
    """Ctrl-C. An action that was sent to the API goes on there."""
    OUTPUT_CLOSED = 141
    """The reader of stdout has ended, as `head` does after its last line."""


class CliError(Exception):
    """Ends the command with a message and the exit code `code`. `document` is the API's problem, if it sent one."""

    code = Exit.REFUSED

    def __init__(self, message: str, document: str | None = None) -> None:
        super().__init__(message)
        self.document = document


class RefusedError(CliError):
    """The API refused the request. The same request would be refused again."""


class UsageError(CliError):
    """The command line, a file or an environment variable is wrong. Nothing was sent."""

    code = Exit.USAGE


class NoAnswerError(CliError):
    """There is no usable answer. Unless `never_sent` is true, the API may have done what was requested."""

    code = Exit.NO_ANSWER

    def __init__(
        self,
        message: str,
        document: str | None = None,
        *,
        retry_after_s: float | None = None,
        never_sent: bool = False,
    ) -> None:
        super().__init__(message, document)
        self.retry_after_s = retry_after_s
        """The pause in seconds that a 503 asks for; None for anything but a 503."""
        self.never_sent = never_sent


class OutputClosedError(CliError):
    """The reader of stdout has ended."""

    code = Exit.OUTPUT_CLOSED


class OutputError(CliError):
    """stdout cannot be written."""

    code = Exit.OUTPUT_FAILED
