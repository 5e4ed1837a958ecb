"""Debian's chromium for tests that look at a page, and the pictures that they take for the documents."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = shutil.which("chromium")
IMAGES = Path(__file__).parents[2] / "docs" / "images"
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"),
    reason="needs Debian's chromium; tests/system_packages installs it where it may",
)


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Run a browser without a window for as long as the context is open."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM or "chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        await browser.close()


async def keep(page: Page, name: str) -> None:
    """Save a screenshot for the documents, in `make screenshots`."""
    if os.environ.get("SCREENSHOTS"):
        IMAGES.mkdir(exist_ok=True)
        await page.screenshot(path=IMAGES / f"{name}.png")
