"""The standard streams as a command may rely on them: open, and without a surprise when their reader has gone."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

from cli.exits import OutputError, ReaderGoneError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def secure() -> None:
    """Make the three standard streams safe to use. Repeating it is harmless.

    A stream that was closed before the start is the null device from now on: nothing else, such as a connection to
    the API, can be given its number. A write to stdout that fails raises ReaderGoneError or OutputError, once; what
    is written to it afterwards is dropped, so that the flush at the interpreter's end cannot fail again. A write to
    stderr that fails is dropped: the command and its exit code do not depend on it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is given, which is this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open as long as the process
    sys.stdout = _guarded(sys.stdout, 1, raises=True)
    sys.stderr = _guarded(sys.stderr, 2, raises=False)


class _Descriptor(io.FileIO):
    """A descriptor to write to, of which a failed write is reported once or not at all."""

    def __init__(self, descriptor: int, *, raises: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._raises = raises
        self._failed = False

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write; after a failure, drop the data and say that it was written."""
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


def _guarded(stream: TextIO | None, descriptor: int, *, raises: bool) -> TextIO:
    """Return a stream over a descriptor; one that is not on this descriptor, or is guarded already, as it is."""
    if stream is None:
        encoding, errors = "utf-8", "backslashreplace"
    elif isinstance(stream, io.TextIOWrapper) and not _is_guarded(stream) and stream.fileno() == descriptor:
        stream.flush()
        encoding, errors = stream.encoding, stream.errors or "strict"
    else:
        return stream
    raw = _Descriptor(descriptor, raises=raises)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=raw.isatty() or not raises)


def _is_guarded(stream: io.TextIOWrapper) -> bool:
    return isinstance(getattr(stream.buffer, "raw", None), _Descriptor)


def _output_error(error: OSError) -> ReaderGoneError | OutputError:
    if error.errno in {errno.EPIPE, errno.ECONNRESET}:
        return ReaderGoneError("nobody reads the output")
    return OutputError(f"the output cannot be written: {error.strerror or error}")
