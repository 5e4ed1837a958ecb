"""The names in PromQL expressions. No parser: whatever is neither a label nor a word of the language is a metric."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

WORDS = frozenset(
    [
        "sum",
        "max",
        "min",
        "avg",
        "count",
        "max_over_time",
        "rate",
        "increase",
        "histogram_quantile",
        "vector",
        "absent",
        "by",
        "without",
        "offset",
        "or",
        "and",
        "unless",
        "on",
    ]
)
"""What our expressions use of the language; a new word fails the test that meets it, as an unknown metric."""
FROM_PROMETHEUS = {"job", "instance"}
"""Labels that a scrape adds."""

_STRING = re.compile(r'"[^"]*"')
_MATCHERS = re.compile(r"\{([^{}]*)\}")
_GROUPING = re.compile(r"\b(?:by|without|on)\s*\(([^()]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NUMBER_WITH_UNIT = re.compile(r"\b[0-9][0-9.]*[a-z]*\b")


@dataclass(frozen=True)
class Selected:
    """The metrics that an expression names, and the labels that it names with them."""

    metrics: frozenset[str]
    labels: frozenset[str]


def selected(expression: str) -> Selected:
    """Return what an expression names."""
    bare = _STRING.sub('""', expression)
    labels = {
        label for listed in [*_MATCHERS.findall(bare), *_GROUPING.findall(bare)] for label in _NAME.findall(listed)
    }
    for noise in (_MATCHERS, _GROUPING, _RANGE, _NUMBER_WITH_UNIT):
        bare = noise.sub(" ", bare)
    return Selected(frozenset(_NAME.findall(bare)) - WORDS, frozenset(labels))


def templates(text: str) -> Iterator[str]:
    """Yield the labels that an alert's text or a panel's legend puts in."""
    yield from re.findall(r"\$labels\.([a-z_]+)", text)
    yield from re.findall(r"\{\{([a-z_]+)\}\}", text)
