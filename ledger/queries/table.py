"""Registry of all statements that read, change or delete rows of the ledger's database.

A function that builds such a statement is decorated with `registered` and gives samples of its arguments. A test
checks the query plan of every sample on both databases, and fails if it reads all rows of a table that grows. Another
test fails if a statement is built outside this registry.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import ColumnElement, Delete, Insert, Select, Update, select, union_all

Statement = Select[Any] | Insert | Update | Delete
P = ParamSpec("P")
S = TypeVar("S", bound=Statement)

Sample = tuple[Any, ...]


@dataclass(frozen=True)
class QueryEntry:
    """One registered query: the function that builds it, and samples of its arguments."""

    build: Callable[..., Statement]
    samples: tuple[Sample, ...]


QUERIES: dict[str, QueryEntry] = {}
"""All queries by `module.function`."""


def registered(*samples: Sample, more: Iterable[Sample] = ()) -> Callable[[Callable[P, S]], Callable[P, S]]:
    """Register a function that builds a query, with at least one sample of its positional arguments."""

    def register(build: Callable[P, S]) -> Callable[P, S]:
        all_samples = (*samples, *more)
        assert all_samples, "a query needs a sample of its arguments"  # noqa: S101 - a programming error
        QUERIES[f"{build.__module__.rpartition('.')[2]}.{build.__name__}"] = QueryEntry(build, all_samples)
        return build

    return register


def merged(
    branches: Sequence[Select[Any]], order: Callable[[Any], tuple[ColumnElement[Any], ...]], limit: int
) -> Select[Any]:
    """Return the first `limit` rows of several queries, each with the same columns, in the same order and limited.

    The database reads at most `limit` rows of each. `order` returns the order by from the columns.
    """
    if len(branches) == 1:
        return branches[0]
    rows = union_all(*(select(branch.subquery()) for branch in branches)).subquery()
    return select(rows).order_by(*order(rows.c)).limit(limit)
