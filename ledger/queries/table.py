"""The table of queries: every statement that reads, changes or deletes rows of the ledger's database, by name.

A function that builds such a statement is decorated with `listed` and gives samples of its arguments. A test asks both
databases how they would execute every sample, and fails on one that reads all rows of a table that grows. Another test
fails on a statement that is built anywhere else.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Delete, Insert, Select, Update

Statement = Select[Any] | Insert | Update | Delete
P = ParamSpec("P")
S = TypeVar("S", bound=Statement)

Sample = tuple[Any, ...]


@dataclass(frozen=True)
class QueryEntry:
    """One query of the table: what builds it, and samples of what it is built with."""

    build: Callable[..., Statement]
    samples: tuple[Sample, ...]


QUERIES: dict[str, QueryEntry] = {}
"""Every query of the product, by module and function."""


def listed(*samples: Sample, more: Iterable[Sample] = ()) -> Callable[[Callable[P, S]], Callable[P, S]]:
    """Enter a function that builds a query into the table, with at least one sample of its positional arguments."""

    def enter(build: Callable[P, S]) -> Callable[P, S]:
        given = (*samples, *more)
        assert given, "a query needs a sample of its arguments"  # noqa: S101 - a fault of the programmer
        QUERIES[f"{build.__module__.rpartition('.')[2]}.{build.__name__}"] = QueryEntry(build, given)
        return build

    return enter
