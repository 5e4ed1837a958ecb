"""Whose turn it is when more tasks wait than workers take: each company's in turn (ADR 0010)."""

from temporalio.common import Priority


def fairness(company_id: int | None) -> Priority:
    """Return the priority by which one company's backlog does not stand before another's.

    Orders without a company take their turn together. A server without fairness ignores it.
    """
    return Priority(fairness_key=None if company_id is None else str(company_id))
