"""Follow an answer's pages to the end, or to as many items as are wanted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cli.api import Api, Params
from cli.exits import NoAnswerError

PAGE = 200
"""Items asked for at once: the API's own limit for settlements."""


@dataclass(frozen=True)
class Paged:
    """How one list is asked for its next page: which parameter takes which field of the page before."""

    path: str
    asks: str
    tells: str


SETTLEMENTS = Paged("/v1/settlements", asks="cursor", tells="nextCursor")
FINDINGS = Paged("/v1/reconciliation/findings", asks="before", tells="nextBefore")


def batch_items(batch_id: str) -> Paged:
    """Return how the report of a batch is asked for."""
    return Paged(f"/v1/batch-retries/{batch_id}/items", asks="after", tells="nextAfter")


class Pages:
    """The items of a list. After they have been read, `next` says where more begin; None: there are no more."""

    def __init__(self, api: Api, paged: Paged, params: Params, limit: int | None = None) -> None:
        self._api = api
        self._paged = paged
        self._params = dict(params)
        self._limit = limit
        self.next: str | int | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        left = self._limit
        while left is None or left > 0:
            page = self._page(PAGE if left is None else min(PAGE, left))
            yield from page
            left = None if left is None else left - len(page)
            if self.next is None:
                return
            self._params[self._paged.asks] = self.next

    def _page(self, limit: int) -> list[dict[str, Any]]:
        answer = self._api.get(self._paged.path, {**self._params, "limit": limit})
        items = answer.items()
        following = answer.json().get(self._paged.tells)
        if following is not None and following == self.next:
            message = f"{self._paged.path} answers the same page again and again"
            raise NoAnswerError(message)
        self.next = following
        return items
