"""`settlement exposure`: how much money is in doubt."""

import typer

from cli.blocks import Block, Fields, Table
from cli.session import session_of
from contract.exposure import CurrencyTotal, Exposure

_COLUMNS = ("currency", "companyId", "state", "age", "count", "amount", "oldestAcceptedAt")


def exposure(context: typer.Context) -> None:
    """Show the money in doubt: what brokers may hold though the order is void, by currency, company, state and age."""
    session = session_of(context)
    answer = session.api.get("/v1/exposure")
    session.screen.answer(answer, lambda: _view(answer.read(Exposure)))


def _view(found: Exposure) -> list[Block]:
    lines = [
        (line.currency, line.company_id, line.state, line.age, line.count, line.amount, line.oldest_accepted_at)
        for line in found.lines
    ]
    return [Fields([("asOf", found.as_of)]), totals_table(found.totals), Table(_COLUMNS, lines, "in doubt, by age")]


def totals_table(totals: tuple[CurrencyTotal, ...]) -> Table:
    """Return sums by currency as a table."""
    rows = [(total.currency, total.count, total.amount) for total in totals]
    return Table(("currency", "count", "amount"), rows, "sums")
