"""Text of others as the audit keeps it: what any database and terminal can show, and never longer than stated."""

CUT = "…"
"""The last character of a text that was cut."""
BYTES_PER_CHARACTER = 3
"""A text of n characters takes at most 3 n bytes in UTF-8: one of the Basic Multilingual Plane is never cut for its
bytes, one with characters beyond it may be."""


def shown(text: str, length_max: int) -> str:
    """Return a text without unprintable characters, of at most `length_max` characters and 3 bytes for each of them.

    Every unprintable character (control, format, lone surrogate) becomes U+FFFD. A longer text is cut and ends in `…`.
    """
    bytes_max = BYTES_PER_CHARACTER * length_max
    printable = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[: length_max + 1])
    if len(printable) <= length_max and len(printable.encode()) <= bytes_max:
        return printable
    whole_characters = printable[: length_max - 1].encode()[: bytes_max - len(CUT.encode())]
    return whole_characters.decode(errors="ignore") + CUT
