"""An operator with only a browser finds an aborted settlement in the real Temporal UI and retries it."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, ViewportSize, expect

from settlement.ids import workflow_id
from settlement.states import CancelResult, State
from stack.ui import ui_app
from tests.e2e.conftest import System, faulty
from tests.support.browser import NEEDS_CHROMIUM, keep, running_browser
from tests.support.orders import id_of, order
from tests.support.polling import until

VIEWPORT = ViewportSize(width=1440, height=900)
PATIENCE_MS = 30_000
COLUMNS = ["Status", "Workflow ID", "SettlementState", "OrderId", "CompanyId", "Currency", "OperationType", "Start"]
RETRY = {"operator": "night-shift", "reasonCode": "BROKER_RECOVERED", "note": "their outage ended at 03:10"}

pytestmark = NEEDS_CHROMIUM


@pytest_asyncio.fixture
async def page() -> AsyncIterator[Page]:
    """Open a browser with the columns that docs/operations.md recommends for the list."""
    columns = json.dumps({"default": [{"label": label} for label in COLUMNS]})
    async with running_browser() as browser:
        context = await browser.new_context(viewport=VIEWPORT, timezone_id="UTC")
        context.set_default_timeout(PATIENCE_MS)
        await context.add_init_script(
            f"localStorage.setItem('namespace-workflow-table-columns', {json.dumps(columns)})"
        )
        expect.set_options(timeout=PATIENCE_MS)
        yield await context.new_page()


async def find_by_query(page: Page, system: System, number: str) -> None:
    """Go from the list of aborted settlements to the page of the settlement."""
    query = urlencode({"query": f'SettlementState = "{State.ABORTED}" AND OrderId = "4711"'})
    await page.goto(f"{system.stack.ui_url}/namespaces/default/workflows?{query}", wait_until="load")
    row = page.get_by_role("row").filter(has_text=f"settlement:default:{number}")
    await expect(row).to_contain_text(State.ABORTED)
    await expect(row).to_contain_text("USD")
    await keep(page, "aborted-list")
    await row.get_by_role("link", name=f"settlement:default:{number}").click()


async def read_what_to_do(page: Page, number: str) -> None:
    """Check that the page shows what happened and what to do."""
    await page.get_by_test_id("user-metadata-tab").click()
    # Each text is rendered in a separate frame.
    summary, current = (page.locator("iframe").nth(each).content_frame for each in range(2))
    await expect(summary.get_by_text("OPEN_POSITION 12.50 USD, order 4711")).to_be_visible()
    for text in ("An operator must act.", "retry_cancel_adjust", "reasonCode", number):
        await expect(current.get_by_text(text).first).to_be_visible()
    await keep(page, "aborted-details")


async def send_update(page: Page) -> None:
    """Send the Update with the form of the page."""
    await page.get_by_role("button", name="More Actions").click()
    await page.get_by_role("menuitem", name="Send an Update").click()
    form = page.get_by_role("dialog", name="Send an Update")
    await form.get_by_test_id("update-select-button").click()
    retry = form.get_by_role("option").filter(has_text="retry_cancel_adjust")
    await expect(retry).to_contain_text("BROKER_RECOVERED")
    await retry.click()
    data = form.get_by_role("textbox", name="Data")
    await data.fill(json.dumps(RETRY))
    # The form reformats the input when it loses focus, and grows. The button must not be clicked before that.
    await data.blur()
    await expect(data.locator(".cm-line")).to_have_count(len(RETRY) + 2)
    await keep(page, "send-update")
    await form.get_by_test_id("confirm-modal-button").click()
    await expect(form).to_be_hidden()


@pytest.mark.prove("browser")
async def test_an_abort_is_found_opened_retried_and_ends_cancelled_in_the_browser(system: System, page: Page) -> None:
    attempts = system.stack.settings.cancel_max_attempts
    number = (await system.post(faulty("http_500_applied", cancel="fail", times=attempts))).body["requestUniqueNo"]
    assert (await system.ends(number))["state"] == State.ABORTED

    await find_by_query(page, system, number)
    await read_what_to_do(page, number)
    await send_update(page)

    ended = await until(lambda: _ended(system, number), what="the retried settlement to end")
    assert (ended["state"], ended["cancelResult"]) == (State.CANCELLED, CancelResult.REVERSED)
    [act] = ended["operatorActions"]
    says = f"temporal-ui, unverified (says {RETRY['operator']})"
    assert (act["operator"], act["reasonCode"], act["note"]) == (says, RETRY["reasonCode"], RETRY["note"])
    assert (await system.books(number))["timesReversed"] == 1

    await expect(page.get_by_role("main").get_by_role("status")).to_have_text("Completed")
    await page.get_by_test_id("timeline-tab").click()
    for activity in ("adjust", "cancel_adjust", "record_settlement"):
        await expect(page.get_by_role("button", name=f"Event {activity}: Completed").first).to_be_attached()
    await keep(page, "cancelled-timeline")


async def shown_in_the_list(page: Page, system: System, query: str) -> list[str]:
    """Return the texts of OrderId and CompanyId in the only row of a list."""
    address = f"{system.stack.ui_url}/namespaces/default/workflows?{urlencode({'query': query})}"
    await page.goto(address, wait_until="load")
    row = page.get_by_role("row").filter(has_text="settlement:")
    await expect(row).to_have_count(1)
    cells = row.get_by_role("cell")
    offset = await cells.count() - len(COLUMNS)
    return [(await cells.nth(offset + COLUMNS.index(name)).inner_text()).strip() for name in ("OrderId", "CompanyId")]


@pytest.mark.prove("browser")
async def test_ids_above_2_to_the_53_are_shown_exactly_and_found_by_the_shown_text(system: System, page: Page) -> None:
    """The UI reads numbers as doubles, which are exact only up to 2^53. So these ids are texts."""
    order_id, company_id = 9007199254740993, 9007199254740995
    number = (await system.post(order(orderId=order_id), company_id=company_id)).body["requestUniqueNo"]
    shown = await shown_in_the_list(page, system, f"WorkflowId = 'settlement:default:{number}'")
    assert shown == [str(order_id), str(company_id)]
    query = f"OrderId = '{shown[0]}' AND CompanyId = '{shown[1]}'"
    assert await shown_in_the_list(page, system, query) == shown


async def _ended(system: System, number: str) -> dict[str, Any] | None:
    body = (await system.get(number)).body
    return body if body["state"] == State.CANCELLED else None


async def offered_actions(page: Page, ui_url: str, number: str) -> set[str]:
    """Return the actions in the menu of the page of a running workflow."""
    await page.goto(f"{ui_url}/namespaces/default/workflows/{workflow_id(id_of(number))}", wait_until="load")
    await page.get_by_role("button", name="More Actions").click()
    await expect(page.get_by_role("menuitem", name="Send an Update")).to_be_visible()
    items = await page.get_by_role("menuitem").all_inner_texts()
    return {item.strip() for item in items}


@pytest.mark.prove("browser")
async def test_make_up_hides_exactly_the_actions_that_skip_a_compensation(system: System, page: Page) -> None:
    """Without the proxy the same page offers all of them."""
    attempts = system.stack.settings.cancel_max_attempts
    number = (await system.post(faulty("http_500_applied", cancel="fail", times=attempts))).body["requestUniqueNo"]
    assert (await system.ends(number))["state"] == State.ABORTED
    async with TestServer(ui_app(system.stack.settings.temporal_ui_port)) as proxy:
        hidden = await offered_actions(page, str(proxy.make_url("")).rstrip("/"), number)
    shown = await offered_actions(page, system.stack.ui_url, number)
    assert {"Terminate", "Reset"} <= shown
    assert shown - hidden >= {"Terminate", "Reset", "Send a Signal"}
    assert {"Send an Update"} <= hidden <= shown
    assert not {act for act in hidden if "Start Workflow" in act}


async def test_the_ui_of_make_up_answers_only_this_machine(system: System) -> None:
    """A page of another site whose name resolves to this machine could act in an operator's browser."""
    async with TestServer(ui_app(system.stack.settings.temporal_ui_port)) as proxy:
        own = await system.http.get(proxy.make_url("/api/v1/settings"))
        other = await system.http.get(proxy.make_url("/api/v1/settings"), headers={"Host": "evil.example"})
    assert (own.status, (await own.json())["WorkflowTerminateDisabled"]) == (200, True)
    assert other.status == 403
