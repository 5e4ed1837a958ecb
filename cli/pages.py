"""Read a list page by page, to its end or to a limit."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cli.api import Api, Params
from cli.exits import NoAnswerError

PAGE_SIZE = 200
"""Items per request; the maximum that the API allows for settlements."""


@dataclass(frozen=True)
class PagedPath:
    """The path of a list, the field of a page with the next cursor, and the query parameter that takes it."""

    path: str
    cursor_parameter: str
    cursor_field: str


SETTLEMENTS = PagedPath("/v1/settlements", cursor_parameter="cursor", cursor_field="nextCursor")
SECURITY_EVENTS = PagedPath("/v1/security-events", cursor_parameter="before", cursor_field="nextBefore")
FINDINGS = PagedPath("/v1/reconciliation/findings", cursor_parameter="before", cursor_field="nextBefore")


def batch_items(batch_id: str) -> PagedPath:
    """Return the list of the items of a batch."""
    return PagedPath(f"/v1/batch-retries/{batch_id}/items", cursor_parameter="after", cursor_field="nextAfter")


class Pages:
    """The items of a list. After iteration, `next_cursor` is the cursor of the next page; None if there is none."""

    def __init__(self, api: Api, paged: PagedPath, params: Params, limit: int | None = None) -> None:
        self._api = api
        self._paged = paged
        self._params = dict(params)
        self._limit = limit
        self.next_cursor: str | int | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        remaining = self._limit
        while remaining is None or remaining > 0:
            page = self._page(PAGE_SIZE if remaining is None else min(PAGE_SIZE, remaining))
            yield from page
            remaining = None if remaining is None else remaining - len(page)
            if self.next_cursor is None:
                return
            self._params[self._paged.cursor_parameter] = self.next_cursor

    def _page(self, limit: int) -> list[dict[str, Any]]:
        answer = self._api.get(self._paged.path, {**self._params, "limit": limit})
        items = answer.items()
        next_cursor = answer.json().get(self._paged.cursor_field)
        if next_cursor is not None and next_cursor == self.next_cursor:
            message = f"{self._paged.path} returned the same page twice"
            raise NoAnswerError(message)
        self.next_cursor = next_cursor
        return items
