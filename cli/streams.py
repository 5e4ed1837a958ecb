"""The standard streams: always open, and with a defined error when a write to stdout fails."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

from cli.exits import OutputClosedError, OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def protect_standard_streams() -> None:
    """Make stdin, stdout and stderr safe to use. Idempotent.

    A stream that was closed before the start is opened on the null device. Otherwise a later file or connection could
    get its number. A failed write to stdout raises OutputClosedError or OutputError once; later writes are dropped, so
    that the flush at the exit of the interpreter cannot fail again. A failed write to stderr is dropped: the command
    and its exit code do not depend on it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The operating system assigns the lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open as long as the process
    sys.stdout = _protected(sys.stdout, 1, raises=True)
    sys.stderr = _protected(sys.stderr, 2, raises=False)


class _OutputFile(io.FileIO):
    """A file descriptor for output. It reports the first failed write, or none (`raises=False`)."""

    def __init__(self, descriptor: int, *, raises: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._raises = raises
        self._failed = False

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write the data. After a failure, drop the data and return its size as if it had been written."""
        size = memoryview(data).nbytes
        if self._failed:
            return size
        try:
            return super().write(data) or 0
        except OSError as error:
            self._failed = True
            if self._raises:
                raise _output_error(error) from error
            return size


def _protected(stream: TextIO | None, descriptor: int, *, raises: bool) -> TextIO:
    """Return a protected stream for a descriptor; unchanged if it is protected already or uses another descriptor."""
    if stream is None:
        encoding, errors = "utf-8", "backslashreplace"
    elif isinstance(stream, io.TextIOWrapper) and not _is_protected(stream) and stream.fileno() == descriptor:
        stream.flush()
        encoding, errors = stream.encoding, stream.errors or "strict"
    else:
        return stream
    raw = _OutputFile(descriptor, raises=raises)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=raw.isatty() or not raises)


def _is_protected(stream: io.TextIOWrapper) -> bool:
    return isinstance(getattr(stream.buffer, "raw", None), _OutputFile)


def _output_error(error: OSError) -> OutputClosedError | OutputError:
    if error.errno in {errno.EPIPE, errno.ECONNRESET}:
        return OutputClosedError("the reader of the output has ended")
    return OutputError(f"the output cannot be written: {error.strerror or error}")
