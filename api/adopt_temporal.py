"""Have the ledger belong to another Temporal, for good: `python -m api.adopt_temporal`.

Without `--confirm` it only says what would happen. With it every worker and API process that is still connected to the
Temporal before refuses to work.
"""

import argparse
import asyncio
import getpass
import sys
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from activities.temporal_guard import ADOPT_COMMAND, identity_of
from config.logging import configure_logging
from config.settings import Settings, load_settings
from config.temporal import connect
from ledger import Ledger, TemporalBinding, TemporalIdentity, open_engine
from settlement.limits import RECONCILE_TAKE_UPS_MAX
from workflows.runtime import DATA_CONVERTER


class AdoptionRefusedError(Exception):
    """Nothing was changed; the message says why, for a person."""


async def adopt(settings: Settings, confirmed: str | None) -> str:
    """Adopt the Temporal that the settings lead to, if `confirmed` is its namespace's id; return what was done.

    Repeating it changes nothing. Raises AdoptionRefusedError, with what would happen where nothing was confirmed.
    """
    engine = open_engine(settings.ledger_url)
    home = TemporalBinding(engine)
    try:
        found = await _found(settings)
        before = await home.read()
        if before is None:
            await home.adopt_first(found, _name(), datetime.now(UTC))
            return f"the ledger belonged to no Temporal; now it belongs to {found}"
        if before.is_same_as(found):
            return f"nothing to do: the ledger belongs to {found}"
        if confirmed != found.namespace_id:
            raise AdoptionRefusedError(_what_would_happen(before, found, await _open_ones(Ledger(engine))))
        if not await home.move(before, found, _name(), datetime.now(UTC)):
            raise AdoptionRefusedError(
                "nothing was changed: the ledger was given to another Temporal just now; look again"
            )
    except (SQLAlchemyError, OSError) as error:
        why = f"{type(error).__name__}; is it up, and has python -m ledger.migrate been run?"
        raise AdoptionRefusedError(f"the ledger cannot be read or written: {why}") from None
    finally:
        await engine.dispose()
    return f"the ledger belonged to {before}; now it belongs to {found}"


async def _found(settings: Settings) -> TemporalIdentity:
    try:
        return await identity_of(await connect(DATA_CONVERTER, f"127.0.0.1:{settings.temporal_port}"))
    except (RPCError, RuntimeError, TimeoutError) as error:
        raise AdoptionRefusedError(
            f"Temporal does not tell its identity: {str(error) or type(error).__name__}"
        ) from None


async def _open_ones(ledger: Ledger) -> str:
    counts = (await ledger.gauges()).open_by_state
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"


def _what_would_happen(before: TemporalIdentity, found: TemporalIdentity, open_ones: str) -> str:
    return (
        f"the ledger belongs to {before}\n"
        f"this Temporal is       {found}\n"
        f"open settlements       {open_ones}\n"
        "If the ledger is given to this Temporal, each open settlement without a workflow there is started anew at\n"
        "its compensation: its cancel adjust is sent to the broker. One round of reconciliation starts at most\n"
        f"{RECONCILE_TAKE_UPS_MAX}; a person decides about more (finding TAKE_UP_LIMIT).\n"
        "Stop all workers and API processes that are connected to the one before. Then confirm:\n"
        f"  {ADOPT_COMMAND} --confirm {found.namespace_id}\n"
        "Nothing was changed."
    )


def _name() -> str:
    return getpass.getuser()[:64]


def main() -> int:
    """Print what was done; 1 with the reason on standard error if nothing was."""
    parser = argparse.ArgumentParser(prog="api.adopt_temporal", description="Give the ledger to another Temporal.")
    parser.add_argument("--confirm", metavar="NAMESPACE_ID", help="id of the namespace that is to have the ledger")
    arguments = parser.parse_args()
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    try:
        print(asyncio.run(adopt(settings, arguments.confirm)))
    except AdoptionRefusedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
