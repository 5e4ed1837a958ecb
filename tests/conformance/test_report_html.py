"""The HTML report is one page in which nothing of an endpoint is markup, with every failed requirement first."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from conformance.checks import REQUIREMENTS
from conformance.report.as_html import EXCHANGES_MAX, FOLDER, as_html
from conformance.report.files import write_reports
from conformance.requirement import Outcome
from tests.support.conformance_reports import every_outcome, exchange, failed, passed, run_report
from tests.support.hostile_bytes import BYTES, TEXTS

VOID = {"meta", "input"}
NEVER = {"img", "iframe", "object", "embed", "link", "base", "video", "audio", "foreignobject", "animate", "set"}
AA = 4.5
"""WCAG's least contrast of text."""


class Page(HTMLParser):
    """The elements of a page, its text, and whether every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element without content."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Check that it is the last one that was opened."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Record text."""
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of every element with this name."""
        return [attributes for name, attributes in self.elements if name == tag]


def hostile(text: str, received: bytes) -> str:
    """Return a report in which every text and every reply is hostile."""
    labelled = exchange(text, received, failure=text, curl=text, sent=received)
    results = [failed("C-001", text, labelled), passed("C-002")]
    return as_html(run_report(*results, settings={text: text}, base_url=text, sentence=f"DOES NOT CONFORM: {text}"))


def check_is_harmless(written: str) -> Page:
    """Check that a page has no element, attribute or character that only an endpoint can have brought in."""
    page = Page(written)
    assert not NEVER & {name for name, _ in page.elements}
    assert len(page.all("script")) == len(page.all("style")) == 1
    attributes = [(name, value) for _, found in page.elements for name, value in found.items()]
    assert not [name for name, _ in attributes if name.startswith("on") or name in {"style", "src", "srcset", "action"}]
    assert all(value.startswith("#") for name, value in attributes if name == "href")
    assert all(each.isprintable() or each == "\n" for each in written)
    assert written.encode()
    return page


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_of_an_endpoint_becomes_markup(name: str) -> None:
    page = check_is_harmless(hostile(TEXTS[name], b""))
    assert len([each for each in page.all("details") if "data-outcome" in each]) == 2


@pytest.mark.parametrize("name", BYTES)
def test_no_reply_becomes_markup_or_makes_the_page_long(name: str) -> None:
    written = hostile("a label", BYTES[name])
    check_is_harmless(written)
    assert len(written) < 200_000


def test_template_syntax_is_shown_as_it_came() -> None:
    assert TEXTS["template syntax"] in Page(hostile(TEXTS["template syntax"], b"")).text


def test_bytes_are_shown_as_they_came() -> None:
    reply = b"HTTP/1.1 200 OK\r\n\r\n\n <b>&amp;</b>\x00\xff\n"
    written = as_html(run_report(failed("C-001", "", exchange(received=reply))))
    assert "HTTP/1.1 200 OK\\r\n\\r\n\n <b>&amp;</b>\\x00\\xff\n" in Page(written).text
    assert '<i class="odd">\\x00\\xff</i>' in written


def test_a_long_body_is_cut_with_a_note() -> None:
    reply = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000
    text = Page(as_html(run_report(failed("C-001", "", exchange(received=reply))))).text
    assert "cut here: 995,904 more bytes" in text
    assert "1,000,019 bytes" in text


@pytest.mark.parametrize("command", ["curl \x1b", "curl \u202e", "curl " + "x" * 10_000])
def test_a_command_that_is_not_shown_exactly_cannot_be_copied(command: str) -> None:
    page = Page(as_html(run_report(failed("C-001", "", exchange(curl=command)))))
    assert [each for each in page.all("button") if each.get("class") == "copy"] == []
    assert "not shown exactly: copy it from report.json" in page.text


def test_the_policy_allows_only_the_style_and_the_script_of_the_page() -> None:
    written = as_html(every_outcome())
    [policy] = [each["content"] for each in Page(written).all("meta") if "http-equiv" in each]
    for tag in ("style", "script"):
        [source] = re.findall(rf"<{tag}>(.*?)</{tag}>", written, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_failed_requirements_come_first_and_are_open() -> None:
    shown = [each for each in Page(as_html(every_outcome())).all("details") if "data-outcome" in each]
    assert [each["id"] for each in shown[:5]] == ["C-012", "C-044", "C-046", "C-080", "C-082"]
    assert len(shown) == len(REQUIREMENTS)
    assert [each["id"] for each in shown if "open" in each] == ["C-012", "C-044"]


def test_a_failed_requirement_shows_all_that_explains_it() -> None:
    report = every_outcome()
    text = Page(as_html(report)).text
    [result] = [each for each in report.results if each.requirement.id == "C-012"]
    for part in (result.requirement.rule, result.requirement.why, result.requirement.check, result.requirement.source):
        assert part.replace("`", "") in text
    for each in result.exchanges:
        assert each.curl in text
        assert each.received.decode().replace("\r", "\\r") in text
        assert each.sent.decode().replace("\r", "\\r") in text
    assert result.reason.replace("`", "") in text
    assert f"{report.seed}" in text
    assert all(name in text and value in text for name, value in report.settings.items())


@pytest.mark.parametrize("outcome", Outcome)
def test_the_first_and_last_of_many_exchanges_are_shown(outcome: Outcome) -> None:
    most = EXCHANGES_MAX[outcome]
    many = [exchange(f"request {number}.") for number in range(1, 2 * most + 1)]
    result = failed("C-001", "", *many)
    text = Page(as_html(run_report(result.__class__(result.requirement, outcome, "", tuple(many), 1.0)))).text
    shown = {int(number) for number in re.findall(r"request (\d+)\.", text)}
    half = most // 2
    assert shown == {*range(1, half + 1), *range(2 * most - half + 1, 2 * most + 1)}
    assert f"exchanges {half + 1} to {2 * most - half} are only in report.json" in text


def test_a_run_without_replies_and_results_is_a_page() -> None:
    page = check_is_harmless(as_html(run_report(latencies_s=())))
    assert "No complete reply came." in page.text


def test_every_symbol_and_target_of_a_link_is_on_the_page() -> None:
    page = Page(as_html(every_outcome()))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {each["href"].removeprefix("#") for _, each in page.elements if "href" in each} <= set(ids)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(scheme: int) -> None:
    style = (FOLDER / "page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = {
        name: value for block in blocks[: scheme + 1] for name, value in re.findall(r"--([\w-]+): (#\w+);", block)
    }
    plain = [(text, ground) for text in ("text", "muted", "accent") for ground in ("ground", "surface", "sunken")]
    marked = [
        (name, ground) for name in ("failed", "passed", "open") for ground in ("ground", "surface", f"{name}-ground")
    ]
    reasons = [("text", "failed-ground"), ("text", "open-ground"), ("odd", "odd-ground"), ("on-solid", "failed")]
    for text, ground in [*plain, *marked, *reasons]:
        assert contrast(colours[text], colours[ground]) >= AA, (text, ground)


def contrast(one: str, other: str) -> float:
    """Return WCAG's contrast of two colours."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * each for each in colour[1:])
    parts = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_three_reports_are_written_and_replace_earlier_ones(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "reports"
    for report in (run_report(failed("C-001", TEXTS["lone surrogates"])), every_outcome()):
        paths = write_reports(report, folder)
        assert [path.name for path in paths] == ["report.json", "report.xml", "report.html"]
        assert all(path.stat().st_size for path in paths)
    assert "C-044" in (folder / "report.html").read_text(encoding="utf-8")
