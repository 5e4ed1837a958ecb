"""Command lines of `settlement` that name a settlement, ready to be pasted into a shell."""

import shlex


def command_on(number: str, verb: str, *options: str) -> str:
    """Return a command on a settlement, with its number quoted for a POSIX shell."""
    word = shlex.quote(number)
    # A number that begins with a dash would be read as an option.
    parts = [verb, *options, "--", word] if number.startswith("-") else [verb, word, *options]
    return " ".join(["settlement", *parts])
