"""The documentation of the API in a real browser that can reach only the API."""

import os
import shutil

import pytest
from playwright.async_api import async_playwright, expect

from tests.e2e.conftest import System

CHROMIUM = shutil.which("chromium")
PATIENCE_MS = 30_000
NO_INTERNET = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"),
    reason="needs Debian's chromium; tests/system_packages installs it where it may",
)


@pytest.mark.parametrize(("path", "text"), [("/docs", "/v1/settlements")])
async def test_the_page_lists_the_operations_without_internet_access(system: System, path: str, text: str) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM or "chromium", args=["--no-sandbox", "--disable-gpu", NO_INTERNET]
        )
        page = await browser.new_page()
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        await page.goto(f"{system.stack.api_url}{path}", wait_until="load")
        await expect(page.get_by_text(text).first).to_be_visible(timeout=PATIENCE_MS)
        await browser.close()
    own = (system.stack.api_url, "data:", "blob:")
    assert [url for url in requested if not url.startswith(own)] == []
