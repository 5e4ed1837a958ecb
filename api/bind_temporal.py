"""Bind the ledger to another Temporal, permanently: `python -m api.bind_temporal`.

Without `--confirm` the command only prints what would happen. After a confirmed run, worker and API processes that are
still connected to the previous Temporal start and repair nothing.
"""

import argparse
import asyncio
import getpass
import sys
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from activities.temporal_calls import TemporalCallError, calling_temporal
from activities.temporal_guard import BIND_COMMAND, identity_of
from config.logging import configure_logging
from config.settings import Settings, load_settings
from config.temporal import connect
from ledger import Ledger, TemporalBinding, TemporalIdentity, open_engine
from settlement.limits import RECONCILE_TAKE_UPS_MAX
from workflows.runtime import DATA_CONVERTER


class BindingRefusedError(Exception):
    """The ledger was not changed. The message tells the operator why."""


async def bind(settings: Settings, confirmed: str | None) -> str:
    """Bind the ledger to the Temporal of the settings if `confirmed` is the id of its namespace; return what was done.

    Repeating it changes nothing. Raises BindingRefusedError; without a confirmation its message says what would happen.
    """
    engine = open_engine(settings.ledger_url)
    binding = TemporalBinding(engine)
    try:
        found = await _temporal_of(settings)
        before = await binding.read()
        if before is None:
            await binding.bind_first(found, _name(), datetime.now(UTC))
            return f"the ledger belonged to no Temporal; now it belongs to {found}"
        if before.is_same_as(found):
            return f"nothing to do: the ledger belongs to {found}"
        if confirmed != found.namespace_id:
            raise BindingRefusedError(_preview(before, found, await _open_settlements(Ledger(engine))))
        if not await binding.move(before, found, _name(), datetime.now(UTC)):
            raise BindingRefusedError(
                "nothing was changed: another process has just bound the ledger to another Temporal; run this again"
            )
    except (SQLAlchemyError, OSError) as error:
        reason = f"{type(error).__name__}; is it up, and has python -m ledger.migrate been run?"
        raise BindingRefusedError(f"the ledger cannot be read or written: {reason}") from None
    finally:
        await engine.dispose()
    return f"the ledger belonged to {before}; now it belongs to {found}"


async def _temporal_of(settings: Settings) -> TemporalIdentity:
    try:
        async with calling_temporal():
            return await identity_of(await connect(DATA_CONVERTER, f"127.0.0.1:{settings.temporal_port}"))
    except TemporalCallError as error:
        raise BindingRefusedError(f"the identity of Temporal cannot be read: {error}") from None


async def _open_settlements(ledger: Ledger) -> str:
    counts = (await ledger.gauges()).open_by_state
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"


def _preview(before: TemporalIdentity, found: TemporalIdentity, open_settlements: str) -> str:
    return (
        f"the ledger belongs to {before}\n"
        f"this Temporal is       {found}\n"
        f"open settlements       {open_settlements}\n"
        "If the ledger is bound to this Temporal, reconciliation starts a new workflow for each open settlement that\n"
        "has none there. The new workflow sends a cancel adjust to the broker. One round starts at most\n"
        f"{RECONCILE_TAKE_UPS_MAX}; an operator decides about more (finding TAKE_UP_LIMIT).\n"
        "First stop all workers and API processes that are connected to the previous Temporal. Then confirm:\n"
        f"  {BIND_COMMAND} --confirm {found.namespace_id}\n"
        "Nothing was changed."
    )


def _name() -> str:
    return getpass.getuser()[:64]


def main() -> int:
    """Print what was done and return 0. If nothing was done, print the reason on standard error and return 1."""
    parser = argparse.ArgumentParser(prog="api.bind_temporal", description="Bind the ledger to another Temporal.")
    parser.add_argument("--confirm", metavar="NAMESPACE_ID", help="id of the namespace to bind the ledger to")
    arguments = parser.parse_args()
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    try:
        print(asyncio.run(bind(settings, arguments.confirm)))
    except BindingRefusedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
