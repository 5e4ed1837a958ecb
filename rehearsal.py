"""Rehearse an upgrade: `python -m rehearsal` replays all open workflows of the running Temporal against this code.

Run it from the new release against the cluster that the old release serves, before each rollout. It changes nothing:
it starts no worker, and writes neither to Temporal nor to the ledger.
"""

import argparse
import asyncio
import os
import sys
from collections import Counter
from typing import NoReturn

from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError

from config.files import owner_only
from config.logging import configure_logging
from config.settings import Settings, load_settings
from config.temporal import connect
from settlement.ids import request_unique_no_of
from workflows.replaying import ReplayResult, replay_open
from workflows.runtime import DATA_CONVERTER

ALL_REPLAY, SOME_BREAK, NOT_DONE = 0, 1, 2
PROGRESS_EVERY = 100


def main() -> int:
    """Print what would break; 0 if nothing would, 1 if something would, 2 if it could not be found out."""
    parser = argparse.ArgumentParser(prog="rehearsal", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=_positive, metavar="N", help="replay at most N workflows; default: all")
    arguments = parser.parse_args()
    owner_only()
    settings = load_settings()
    # To standard error: on standard output is the report and nothing else.
    configure_logging(settings.log_format, settings.log_level)
    try:
        return asyncio.run(rehearse(settings, arguments.limit))
    except (RPCError, RuntimeError) as error:
        say(f"not finished: Temporal cannot be read ({' '.join(str(error).split())})")
        return NOT_DONE
    except KeyboardInterrupt:
        return 130


async def rehearse(settings: Settings, limit: int | None) -> int:
    """Replay every open workflow and print each that this code could not continue; return the exit status."""
    # The SDK's core logs to standard output, where only the report may be; it tells us the same as a result.
    quiet = Runtime(telemetry=TelemetryConfig(logging=None))
    client = await connect(DATA_CONVERTER, f"127.0.0.1:{settings.temporal_port}", runtime=quiet)
    replayed: Counter[bool] = Counter()
    async for each in replay_open(client, limit=limit, runtime=quiet):
        replayed[each.problem is None] += 1
        if each.problem is not None:
            print(f"{named(each)} would break: {each.problem}", flush=True)
        if replayed.total() % PROGRESS_EVERY == 0:
            say(f"{replayed.total()} replayed …")
    counts = f"{replayed.total()} replayed, {replayed[False]} would break"
    print(f"open workflows of namespace {client.namespace}: {counts}")
    return SOME_BREAK if replayed[False] else ALL_REPLAY


def named(replayed: ReplayResult) -> str:
    """Return what a workflow is to an operator."""
    number = request_unique_no_of(replayed.workflow_id)
    what = replayed.workflow_id if number is None else f"settlement {number}"
    return f"{what} (run {replayed.run_id})"


def say(text: str) -> None:
    """Print progress or an error, apart from the report."""
    print(text, file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        message = "must be a whole number above 0"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def end(code: int) -> NoReturn:
    """End the process at once, with all that was printed.

    Threads of the SDK's runtime may still be at work, and the interpreter's own ending can crash under them: the exit
    status would be another one.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    end(main())
