"""The API's own documentation works where there is no internet: every asset comes from the API itself."""

import re

import httpx2
import pytest

from tests.api.doors import Door

REFERENCE = re.compile(r"""(?:src|href)\s*=\s*["']([^"']+)["']""")
ELSEWHERE = re.compile(r"""["'(](?:https?:)?//[^"')]+""")
LENGTH_MIN = 1000
"""Characters of the smallest asset; an empty file would answer 200 too."""


async def page(door: Door, path: str) -> httpx2.Response:
    """Return a page, which must be HTML."""
    answer = await door.http.get(path)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/html")
    return answer


@pytest.mark.parametrize("path", ["/docs", "/docs/oauth2-redirect"])
async def test_a_page_names_no_other_host(guarded: Door, path: str) -> None:
    assert ELSEWHERE.findall((await page(guarded, path)).text) == []


@pytest.mark.parametrize("path", ["/docs"])
async def test_every_asset_of_a_page_is_served_here_without_a_key(guarded: Door, path: str) -> None:
    assets = REFERENCE.findall((await page(guarded, path)).text)
    assert len(assets) >= 2
    for asset in assets:
        answer = await guarded.http.get(asset)
        assert (answer.status_code, len(answer.content) >= LENGTH_MIN) == (200, True), asset


async def test_the_document_is_sent_to_no_validator_elsewhere(guarded: Door) -> None:
    """Swagger UI would send the document's address to its makers, from every host but a local one."""
    assert re.search(r"""["']validatorUrl["']:\s*null""", (await page(guarded, "/docs")).text)
