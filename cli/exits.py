"""How a command ends: exit codes that a script may switch on, and the errors that lead to them."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; `docs/cli.md` lists them."""

    OK = 0
    REFUSED = 1
    """The API refused (a problem with a 4xx status), or you did, when asked."""
    USAGE = 2
    """Nothing was sent: the command line, a file or an environment variable is wrong."""
    NO_ANSWER = 3
    """Not reachable, timed out, 5xx, or an answer that cannot be read; what was asked for may have been done."""
    BAD = 4
    """Done, and it ended badly: the order is VOID, a batch left something aborted, findings are open."""
    UNDECIDED = 5
    """Not known within the wait: the order is undecided, a round has not ended."""
    OURS = 70
    """A fault of this program."""
    OUTPUT = 74
    """stdout cannot be written, as on a full disk. What the API was asked for has been done."""
    INTERRUPTED = 130
    """Ctrl-C. What the API was asked for goes on there."""
    READER_GONE = 141
    """Whoever read the output has gone, as `head` does."""


class CliError(Exception):
    """A command that ends here, with what to say of it. `document` is the API's problem as it came, if it was one."""

    code = Exit.REFUSED

    def __init__(self, message: str, document: str | None = None) -> None:
        super().__init__(message)
        self.document = document


class RefusedError(CliError):
    """The API refused: repeating the same request will be refused again."""


class UsageError(CliError):
    """Nothing was sent."""

    code = Exit.USAGE


class NoAnswerError(CliError):
    """No answer, or none that can be relied on. Unless `never_sent`, what was asked for may have been done."""

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
        """How long the API asked to be left alone; None where it did not answer that it is unavailable (503)."""
        self.never_sent = never_sent


class ReaderGoneError(CliError):
    """Nobody reads our output any more."""

    code = Exit.READER_GONE


class OutputError(CliError):
    """stdout cannot be written."""

    code = Exit.OUTPUT
