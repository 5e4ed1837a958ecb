"""The scope of an API key: the companies whose settlements it may submit, read and act on."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from contract.fields import INT64_MAX, INT64_MIN

SCOPE_COMPANIES_MAX = 100
"""Maximum companies of one scope. A list reads each of them by its own index."""


def _distinct_and_sorted(companies: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(companies)) < len(companies):
        message = "must not name a company twice"
        raise ValueError(message)
    return tuple(sorted(companies))


CompanyId = Annotated[int, Field(strict=True, ge=INT64_MIN, le=INT64_MAX)]
CompanyList = Annotated[
    tuple[CompanyId, ...],
    Field(min_length=1, max_length=SCOPE_COMPANIES_MAX, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct_and_sorted),
]
Companies = CompanyList | Literal["all"]
"""A scope in JSON: the companies in ascending order, or `all`."""


@dataclass(frozen=True)
class Scope:
    """A set of companies; None means all of them, and also orders without a company."""

    companies: tuple[int, ...] | None

    @property
    def is_everything(self) -> bool:
        """Whether the scope covers the whole installation."""
        return self.companies is None

    def includes(self, company_id: int | None) -> bool:
        """Return whether a company is in the scope. An order without a company is only in the scope of everything."""
        return self.companies is None or company_id in self.companies

    def __str__(self) -> str:
        """Return `all`, or the companies as in `1, 2`."""
        return "all" if self.companies is None else ", ".join(str(company) for company in self.companies)


EVERYTHING = Scope(None)
"""The whole installation: the scope of our own processes, and of keys with the scope `all`."""


def scope_of(companies: Companies) -> Scope:
    """Return the scope for its form in JSON."""
    return EVERYTHING if companies == "all" else Scope(companies)
