"""Lists the requirements, as lines and as Markdown."""

from collections.abc import Iterable, Iterator

from conformance.requirement import Check, Requirement

_GROUPS = (
    ("C-001", "Replies"),
    ("C-012", "Repeats"),
    ("C-020", "Validation"),
    ("C-030", "Edges"),
    ("C-040", "Cancels"),
    ("C-052", "Mismatches"),
    ("C-060", "Connections"),
    ("C-070", "Deprecated cancel operation"),
    ("C-080", "Books"),
)
"""The groups of requirements, each with its first id."""
_DOCS = "docs/"


def lines(checks: Iterable[Check]) -> Iterator[str]:
    """Yield one line for each requirement: its id, its title, and the options that it needs."""
    for check in checks:
        named = check.requirement
        needs = f" (needs {', '.join(named.needs)})" if named.needs else ""
        yield f"{named.id}  {named.title}{needs}"


def markdown(checks: Iterable[Check]) -> Iterator[str]:
    """Yield the lines of docs/conformance/requirements.md."""
    yield "# Requirements on an external system"
    yield ""
    yield "What `settlement-conformance run` checks. An id never changes."
    yield "This page is the output of `settlement-conformance requirements --markdown`."
    group = ""
    for check in checks:
        named = check.requirement
        if (its_group := _group(named.id)) != group:
            group = its_group
            yield from ("", f"## {group}")
        yield from _section(named)


def _section(named: Requirement) -> Iterator[str]:
    yield from ("", f"### {named.id}", "", f"**{named.title}.** {named.rule}", "")
    yield f"- **Why:** {named.why}"
    yield f"- **Check:** {named.check}"
    if named.needs:
        yield f"- **Needs:** {', '.join(f'`{need}`'.replace(' or ', '` or `') for need in named.needs)}"
    yield f"- **Source:** [{named.source}](../{named.source.removeprefix(_DOCS)})"


def _group(requirement_id: str) -> str:
    return [title for first, title in _GROUPS if first <= requirement_id][-1]
