"""The HTML report of a run: one page that needs no network, and no script to be read.

Jinja escapes every value. The content security policy allows only the page's own style and script, by their hashes.
So nothing that an endpoint sends can run or load anything.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from conformance.report.latency import HEIGHT, WIDTH, Latencies, duration, plot
from conformance.report.messages import Cut, Message, message
from conformance.report.summary import ORDER, counts, with_outcome
from conformance.report.visible import Piece, byte_pieces, pieces, visible
from conformance.requirement import Outcome, Result
from conformance.verdict import RunReport

FOLDER = Path(__file__).parent
HEAD_BYTES_MAX = BODY_BYTES_MAX = 4096
"""Bytes shown of each head and of each body."""
TEXT_CHARACTERS_MAX = 4000
"""Characters shown of a reason, a curl command or a setting."""
EXCHANGES_MAX = {Outcome.FAILED: 60, Outcome.NOT_CHECKED: 20, Outcome.PASSED: 20}
"""Exchanges shown of a requirement: the first and the last ones."""
OPEN_EXCHANGES = 2
"""Number of exchanges of a failed requirement that are open at first: the last ones."""
WORDS = {Outcome.FAILED: "Failed", Outcome.NOT_CHECKED: "Not checked", Outcome.PASSED: "Passed"}
USUAL, ODD = Markup("<i>{}</i>"), Markup('<i class="odd">{}</i>')
SECONDS_PER_MINUTE = 60


def as_html(report: RunReport) -> str:
    """Return the report as one HTML page without control characters and lone surrogates."""
    style, script = (Markup((FOLDER / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))  # noqa: S704 - our own files
    return _template().render(
        report=report,
        style=style,
        script=script,
        policy=_policy(style, script),
        counts=counts(report),
        groups=[(outcome, WORDS[outcome], with_outcome(report, outcome)) for outcome in ORDER],
        requests=sum(len(each.exchanges) for each in report.results),
        sentence=_sentence(report),
        latencies=Latencies.of(report.latencies_s),
        plot=plot(report.latencies_s),
        plot_width=WIDTH,
        plot_height=HEIGHT,
        open_exchanges=OPEN_EXCHANGES,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": visible,
        "visible": _visible,
        "prose": _prose,
        "octets": _octets,
        "is_exact": _is_exact,
        "duration": duration,
        "long_duration": _long_duration,
        "utc": _utc,
        "word": WORDS.__getitem__,
        "shown": _shown,
        "message": _message,
    }
    return environment.get_template("page.html.j2")


def _policy(style: str, script: str) -> str:
    """Return the content security policy: the page's own style and script, and nothing else."""
    hashes = (base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in (style, script))
    allowed = "style-src 'sha256-{}'; script-src 'sha256-{}'".format(*hashes)
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _sentence(report: RunReport) -> tuple[str, Markup]:
    """Return the verdict and what the sentence says after it, in which the id of each requirement is a link to it."""
    verdict, _, rest = report.sentence.partition(": ")
    ids = {each.requirement.id for each in report.results}
    words = (
        Markup('<a href="#{0}">{0}</a>').format(word) if word in ids else _visible(word)
        for word in re.split(r"(C-\d{3})", rest)
    )
    return verdict, Markup().join(words)


def _shown(result: Result) -> list[tuple[str, int, int]]:
    """Return the runs of exchanges to show, as (`shown` or `left out`, first number, last number)."""
    total, most = len(result.exchanges), EXCHANGES_MAX[result.outcome]
    if total <= most:
        return [("shown", 1, total)] if total else []
    half = most // 2
    return [("shown", 1, half), ("left out", half + 1, total - half), ("shown", total - half + 1, total)]


def _message(data: bytes) -> Message:
    return message(data, HEAD_BYTES_MAX, BODY_BYTES_MAX)


def _visible(text: str) -> Markup:
    """Return a text with marked escapes, cut to TEXT_CHARACTERS_MAX."""
    shown = _marked(pieces(text[:TEXT_CHARACTERS_MAX]))
    return (
        shown if len(text) <= TEXT_CHARACTERS_MAX else shown + f" … {len(text) - TEXT_CHARACTERS_MAX} more characters"
    )


def _prose(text: str) -> Markup:
    """Return a text in which what stands between backticks is code."""
    parts = text[:TEXT_CHARACTERS_MAX].split("`")
    if len(parts) % 2 == 0 or len(text) > TEXT_CHARACTERS_MAX:
        return _visible(text)
    marked = (_marked(pieces(part)) for part in parts)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(marked)
    )


def _is_exact(text: str) -> bool:
    """Tell whether `_visible` shows a text as it is, so that a reader may copy it."""
    return len(text) <= TEXT_CHARACTERS_MAX and visible(text) == text


def _octets(shown: Cut) -> Markup:
    return _marked(byte_pieces(shown.data))


def _marked(parts: Iterator[Piece]) -> Markup:
    """Return escaped HTML in which an escape is an `i` element; one that does not belong to a line's end is `odd`."""
    return Markup().join(
        (USUAL if text == "\\r" else ODD).format(text) if is_escape else escape(text) for text, is_escape in parts
    )


def _utc(moment: datetime, style: str = "%-d %b %Y, %H:%M:%S UTC") -> str:
    return moment.astimezone(UTC).strftime(style)


def _long_duration(seconds: float) -> str:
    """Return the duration of a run: `42.3 s`, `3 min 12 s`."""
    if seconds < SECONDS_PER_MINUTE:
        return duration(seconds)
    minutes, rest = divmod(round(seconds), SECONDS_PER_MINUTE)
    return f"{minutes} min {rest} s"
