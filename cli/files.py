"""Reads the file of an option, with an error that names the option and the file."""

import sys
from pathlib import Path

from cli.exits import UsageError


def read_file(option: str, file: Path, bytes_max: int, *, or_stdin: bool = False) -> bytes:
    """Return the content of a file; with `or_stdin`, `-` is standard input.

    Raises UsageError if it cannot be read, or has more than `bytes_max` bytes.
    """
    try:
        if or_stdin and str(file) == "-":
            content = sys.stdin.buffer.read(bytes_max + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(bytes_max + 1)
    except OSError as error:
        message = f"{option}: {file}: {error.strerror}"
        raise UsageError(message) from error
    if len(content) > bytes_max:
        message = f"{option}: {file}: larger than {bytes_max} bytes"
        raise UsageError(message)
    return content
