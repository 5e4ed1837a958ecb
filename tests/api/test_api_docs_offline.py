"""The API's documentation works without internet access: the API serves every asset."""

import re

import httpx2
import pytest

from tests.api.api_harness import ApiHarness

REFERENCE = re.compile(r"""(?:src|href)\s*=\s*["']([^"']+)["']""")
ELSEWHERE = re.compile(r"""["'(](?:https?:)?//[^"')]+""")
LENGTH_MIN = 1000
"""Minimum length of an asset in characters: an empty file would also return 200."""


async def page(api: ApiHarness, path: str) -> httpx2.Response:
    """Return a page, which must be HTML."""
    answer = await api.http.get(path)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/html")
    return answer


@pytest.mark.parametrize("path", ["/docs", "/docs/oauth2-redirect"])
async def test_a_page_names_no_other_host(api_with_keys: ApiHarness, path: str) -> None:
    assert ELSEWHERE.findall((await page(api_with_keys, path)).text) == []


@pytest.mark.parametrize("path", ["/docs"])
async def test_the_api_serves_every_asset_of_a_page_without_a_key(api_with_keys: ApiHarness, path: str) -> None:
    assets = REFERENCE.findall((await page(api_with_keys, path)).text)
    assert len(assets) >= 2
    for asset in assets:
        answer = await api_with_keys.http.get(asset)
        assert (answer.status_code, len(answer.content) >= LENGTH_MIN) == (200, True), asset


async def test_no_external_validator_gets_the_document(api_with_keys: ApiHarness) -> None:
    """By default, Swagger UI sends the document's address to a validator of its maker."""
    assert re.search(r"""["']validatorUrl["']:\s*null""", (await page(api_with_keys, "/docs")).text)
