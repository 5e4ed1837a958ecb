"""The HTML report in a real browser: from a file, without a network, with a keyboard, on a phone, without a script."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, expect

from conformance.checks import REQUIREMENTS
from conformance.report.as_html import as_html
from conformance.verdict import RunReport
from tests.support.browser import NEEDS_CHROMIUM, keep, running_browser
from tests.support.conformance_reports import every_outcome, exchange, failed, lost, not_checked, passed, run_report
from tests.support.hostile_bytes import BYTES, MARKER, TEXTS

pytestmark = NEEDS_CHROMIUM
DESKTOP, PHONE = ViewportSize(width=1280, height=1000), ViewportSize(width=375, height=812)
PICTURE = ViewportSize(width=1280, height=1320)
SUMMARY = "summary >> nth=0"

OpenPage = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Run one browser for all tests here."""
    async with running_browser() as running:
        yield running


@pytest_asyncio.fixture
async def open_page(browser: Browser, tmp_path: Path) -> AsyncIterator[OpenPage]:
    """Return what opens a report from its file. In the end no page has sent a request or logged an error."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    async def opened(report: RunReport, **options: Any) -> Page:  # noqa: ANN401 - any option of a context
        path = tmp_path / "report.html"
        path.write_text(as_html(report), encoding="utf-8", newline="\n")
        context = await browser.new_context(**({"viewport": DESKTOP} | options))
        contexts.append(context)
        page = await context.new_page()
        page.on("request", lambda request: None if request.url == path.as_uri() else wrong.append(request.url))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.goto(path.as_uri(), wait_until="load")
        return page

    yield opened
    for context in contexts:
        await context.close()
    assert wrong == []


def hostile_report() -> RunReport:
    """Return a report with every hostile text and reply."""
    texts = [failed(f"C-1{n:02}", text, exchange(text, curl=text)) for n, text in enumerate(TEXTS.values())]
    replies = [failed(f"C-2{n:02}", "", exchange(received=reply)) for n, reply in enumerate(BYTES.values())]
    named = {text: text for text in TEXTS.values()}
    return run_report(*texts, *replies, passed("C-300"), settings=named, base_url=TEXTS["attributes"])


def row(page: Page, requirement_id: str) -> Any:  # noqa: ANN401 - a locator
    """Return the requirement's part of the page."""
    return page.locator(f"details#{requirement_id}")


async def test_the_verdict_and_the_first_failed_requirement_are_what_a_reader_sees_first(open_page: OpenPage) -> None:
    page = await open_page(every_outcome())
    await expect(page.get_by_role("heading", level=1)).to_have_text(every_outcome().sentence.replace(": ", " "))
    first = page.locator("details.requirement").first
    await expect(first.locator(SUMMARY)).to_contain_text("Failed")
    await expect(first.locator(SUMMARY)).to_be_in_viewport()
    await expect(first.get_by_role("heading", name="Expected and received")).to_be_in_viewport()
    await page.set_viewport_size(PICTURE)
    await keep(page, "conformance-report")


async def test_a_requirement_opens_and_closes_by_keyboard(open_page: OpenPage) -> None:
    page = await open_page(every_outcome())
    details = row(page, "C-001")
    await expect(details.get_by_text("Rule", exact=True)).to_be_hidden()
    await details.locator(SUMMARY).focus()
    await page.keyboard.press("Enter")
    await expect(details.get_by_text("Rule", exact=True)).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(details.locator(".exchange > summary").first).to_be_focused()
    await page.keyboard.press("Space")
    await expect(details.get_by_text("HTTP/1.1 200 OK").first).to_be_visible()
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Enter")
    await expect(details.get_by_text("Rule", exact=True)).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_needs_no_horizontal_scrolling(open_page: OpenPage, scheme: str) -> None:
    long = [failed(f"C-{n:03}", "", lost("the adjust")) for n in range(100)]
    missing = [not_checked(f"C-{n}", "--balance-url") for n in range(100, 999)]
    for report in (every_outcome(), hostile_report(), run_report(*long, *missing)):
        page = await open_page(report, viewport=PHONE, color_scheme=scheme)
        ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(250, 250, 248)", "dark": "rgb(21, 24, 27)"}[scheme]
        await page.get_by_role("button", name="Open all").click()
        await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


async def test_nothing_of_an_endpoint_runs_or_breaks_the_page(open_page: OpenPage) -> None:
    report = hostile_report()
    page = await open_page(report)
    assert await page.evaluate(f"window.{MARKER}") is None
    await expect(page.locator("details.requirement")).to_have_count(len(report.results))
    await expect(row(page, "C-100").locator(".reason p")).to_have_text(TEXTS["script"])
    await expect(page.get_by_role("contentinfo")).to_be_attached()
    await expect(page.locator("footer .page")).to_have_count(1)


async def test_the_page_is_complete_without_a_script(open_page: OpenPage) -> None:
    page = await open_page(every_outcome(), java_script_enabled=False)
    await expect(page.locator("form.filter")).to_be_hidden()
    await expect(row(page, "C-012").get_by_text("duplicate number")).to_be_visible()
    await row(page, "C-001").locator(SUMMARY).click()
    await expect(row(page, "C-001").get_by_text("Rule", exact=True)).to_be_visible()


async def test_requirements_are_filtered_by_outcome_and_text(open_page: OpenPage) -> None:
    page = await open_page(every_outcome())
    shown = page.locator("details.requirement:visible")
    await page.get_by_role("checkbox", name="Passed").uncheck()
    await expect(shown).to_have_count(5)
    await expect(page.get_by_text(f"5 of {len(REQUIREMENTS)} shown")).to_be_visible()
    await page.get_by_label("Filter by text").fill("never RECEIVED")
    await expect(shown).to_have_count(1)
    await expect(row(page, "C-044")).to_be_visible()
    await page.get_by_role("checkbox", name="Failed").uncheck()
    await expect(shown).to_have_count(0)


async def test_a_link_to_a_hidden_requirement_shows_and_opens_it(open_page: OpenPage) -> None:
    page = await open_page(every_outcome())
    await page.get_by_label("Filter by text").fill("nothing has this text")
    await page.get_by_role("link", name="C-080: not checked").click()
    await expect(row(page, "C-080").get_by_text("Why it was not checked")).to_be_in_viewport()
    await row(page, "C-080").locator(SUMMARY).click()
    await page.get_by_role("link", name="C-080", exact=True).click()
    await expect(row(page, "C-080").get_by_text("Why it was not checked")).to_be_in_viewport()


async def test_the_copy_button_copies_exactly_the_command(open_page: OpenPage) -> None:
    page = await open_page(every_outcome(), permissions=["clipboard-read", "clipboard-write"])
    await row(page, "C-012").get_by_role("button", name="curl command of exchange 1").click()
    await expect(page.get_by_role("status").filter(has_text="Copied")).to_be_attached()
    assert await page.evaluate("navigator.clipboard.readText()") == exchange().curl


async def test_a_run_that_was_not_decided_is_shown_as_one(open_page: OpenPage) -> None:
    report = run_report(passed("C-001"), not_checked("C-080", "--balance-url"), ended_early="the endpoint was lost")
    page = await open_page(report, color_scheme="dark", viewport=PHONE)
    await expect(page.get_by_role("heading", level=1)).to_contain_text("NOT DECIDED")
    await expect(row(page, "C-080")).to_contain_text("--balance-url is missing")
