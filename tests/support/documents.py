r"""The Markdown documents of this repository: their fenced blocks, the commands in them and the output they show.

A block `console` holds commands (`$ ` begins one; it goes on while a quotation is open or a line ends with `\`), each
with the output that follows it. In that output `…` stands for anything within a line, and a line of nothing but `…` for
any number of lines. Times, durations in `ms` and `s`, and ids of 16 or more hexadecimal digits may differ; an id
that occurs twice is the same one both times. Blanks and tabs count as one blank. Everything else is exact.

A block of commands that cannot run in a test has `<!-- not run: REASON -->` on the line before it.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_FENCE = re.compile(r"^( *)```(.*)$")
_NOT_RUN = re.compile(r"^ *<!-- not run: (.+) -->$")
_DIFFERS = [
    ("moment", r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?Z"),
    ("clock", r"\b\d{2}:\d{2}:\d{2}\b"),
    ("demo", r"\bDEMO-\d{6}"),
    ("duration", r"\b\d+(?:\.\d+)? (?:ms|s)\b"),
    ("id", r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,})\b"),
    ("anything", "…"),
    ("blanks", r"[ \t]+"),
]
_PARTS = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _DIFFERS))
_PATTERN_OF = dict(_DIFFERS) | {"anything": ".*?", "blanks": r"[ \t]+"}
_ID = re.compile(_PATTERN_OF["id"])


@dataclass(frozen=True)
class Command:
    """One command as it is typed, and the lines that the document shows after it."""

    line: int
    text: str
    output: list[str]


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    lines: list[str] = field(default_factory=list)
    indent: str = ""
    """Blanks before the fence, in a list; no part of any line."""
    not_run: str | None = None
    """Why no test runs its commands; None: one does."""

    def commands(self) -> list[Command]:
        """Return what is typed in it, in order."""
        found: list[Command] = []
        typing = False
        for line, text in enumerate(self.lines, self.line + 1):
            if text.startswith("$ "):
                found.append(Command(line, text[2:], []))
            elif typing:
                found[-1] = Command(found[-1].line, f"{found[-1].text}\n{text}", [])
            elif found:
                found[-1].output.append(text)
            else:
                message = f"{self.page.name}:{line} shows output before any command"
                raise ValueError(message)
            typing = _goes_on(found[-1].text) if typing or text.startswith("$ ") else False
        return found


def blocks(page: Path) -> Iterator[Block]:
    """Yield every fenced block of a page."""
    opened: Block | None = None
    before = ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            marker = _NOT_RUN.match(before)
            opened = Block(page, number, fence[2], [], fence[1], marker[1] if marker else None)
        elif opened is not None and fence:
            yield opened
            opened = None
        elif opened is not None:
            opened.lines.append(line.removeprefix(opened.indent))
        before = line
    if opened is not None:
        message = f"{page.name}:{opened.line} opens a block that has no end"
        raise ValueError(message)


class Shape:
    """What the output of a document's commands must look like; it remembers the ids that were printed so far."""

    def __init__(self) -> None:
        self._printed: dict[str, str] = {}

    def typed(self, command: str) -> str:
        """Return a command with the ids that were printed in place of those that the document shows."""
        return _ID.sub(lambda found: self._printed.get(found[0], found[0]), command)

    def fits(self, shown: list[str], printed: str) -> bool:
        """Tell whether an output has the shape that the document shows, and if so remember its ids."""
        groups: dict[str, str] = {}
        pattern = "".join(self._line(line, groups) for line in shown)
        found = re.fullmatch(pattern, _without_ends(printed))
        if found is None:
            return False
        self._printed |= {shown_id: found[group] for shown_id, group in groups.items()}
        return True

    def first_misfit(self, shown: list[str], printed: str) -> str:
        """Return the first line of what is shown that an output does not have in its place."""
        for count, line in enumerate(shown, 1):
            if not self.fits([*shown[:count], "…"], printed):
                return line
        return "the end"

    def _line(self, line: str, groups: dict[str, str]) -> str:
        if line.strip() == "…":
            return r"(?:.*\n)*?"
        parts: list[str] = []
        end = 0
        line = line.rstrip()
        for found in _PARTS.finditer(line):
            parts += [re.escape(line[end : found.start()]), self._part(found, groups)]
            end = found.end()
        return "".join([*parts, re.escape(line[end:]), r"\n"])

    def _part(self, found: re.Match[str], groups: dict[str, str]) -> str:
        kind, text = found.lastgroup or "", found[0]
        if kind != "id":
            return _PATTERN_OF[kind]
        if text in self._printed:
            return re.escape(self._printed[text])
        if text in groups:
            return f"(?P={groups[text]})"
        groups[text] = f"id{len(groups)}"
        return f"(?P<{groups[text]}>{_PATTERN_OF['id']})"


def _without_ends(printed: str) -> str:
    """Return the lines without blanks at their ends."""
    return "".join(f"{line.rstrip()}\n" for line in printed.splitlines())


def _goes_on(command: str) -> bool:
    """Tell whether a command is not whole yet."""
    if command.endswith("\\"):
        return True
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False
