"""`settlement exposure`: the money in doubt."""

from typing import Annotated

import typer

from cli.options import choice
from cli.rendering import Block, Fields, Table
from cli.session import session_of
from settlement.exposure import CurrencyTotal, Exposure, ExposureBy


def exposure(
    context: typer.Context, *, by: Annotated[ExposureBy, choice(ExposureBy, "GROUP")] = ExposureBy.AGE
) -> None:
    """Show the money in doubt, by currency, company, state, and age or cause.

    Money is in doubt if a broker may hold it although the order is void.
    """
    session = session_of(context)
    answer = session.api.get("/v1/exposure", {"by": by.value})
    session.screen.show_response(answer, lambda: _view(answer.read(Exposure), by))


def _view(found: Exposure, by: ExposureBy) -> list[Block]:
    columns = ("currency", "companyId", "state", by.value, "count", "amount", "oldestAcceptedAt")
    lines = [
        (
            line.currency,
            line.company_id,
            line.state,
            line.age if by is ExposureBy.AGE else line.cause,
            line.count,
            line.amount,
            line.oldest_accepted_at,
        )
        for line in found.lines
    ]
    return [
        Fields([("asOf", found.as_of)]),
        totals_table(found.totals),
        Table(columns, lines, f"in doubt, by {by}"),
    ]


def totals_table(totals: tuple[CurrencyTotal, ...]) -> Table:
    """Return the sums by currency as a table."""
    rows = [(total.currency, total.count, total.amount) for total in totals]
    return Table(("currency", "count", "amount"), rows, "sums")
