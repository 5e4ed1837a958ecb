"""Rehearse an upgrade: `python -m rehearsal` replays all open workflows of the running Temporal with this code.

Run it from the new release, against the cluster of the old release, before each rollout. It changes nothing: it starts
no worker, and it writes neither to Temporal nor to the ledger.
"""

import argparse
import asyncio
import os
import sys
from collections import Counter
from typing import NoReturn

from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig

from activities.temporal_calls import TemporalCallError, calling_temporal
from config.logging import configure_logging
from config.payload_keys import load_payload_keys, payload_codec
from config.process import keep_files_private
from config.settings import Settings, load_settings
from config.temporal import connect
from settlement.ids import settlement_of
from workflows.replaying import ReplayResult, replay_open
from workflows.runtime import data_converter

ALL_REPLAY, SOME_BREAK, NOT_DONE = 0, 1, 2
PROGRESS_EVERY = 100


def main() -> int:
    """Print the workflows that would break; return 0 if there are none, 1 if there are some, 2 if the replay failed."""
    parser = argparse.ArgumentParser(prog="rehearsal", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=_positive, metavar="N", help="replay at most N workflows; default: all")
    arguments = parser.parse_args()
    keep_files_private()
    settings = load_settings()
    # Logs go to standard error; standard output contains only the report.
    configure_logging(settings.log_format, settings.log_level)
    try:
        return asyncio.run(rehearse(settings, arguments.limit))
    except TemporalCallError as error:
        print_progress(f"not finished: Temporal cannot be read ({' '.join(str(error).split())})")
        return NOT_DONE
    except KeyboardInterrupt:
        return 130


async def rehearse(settings: Settings, limit: int | None) -> int:
    """Replay every open workflow and print each that this code cannot continue; return the exit code."""
    # The SDK's core would log to standard output, which must contain only the report. Results say the same.
    quiet = Runtime(telemetry=TelemetryConfig(logging=None))
    async with calling_temporal():
        converter = data_converter(payload_codec(load_payload_keys(settings)))
        client = await connect(converter, f"127.0.0.1:{settings.temporal_port}", runtime=quiet)
        return await _rehearse(client, quiet, limit)


async def _rehearse(client: Client, quiet: Runtime, limit: int | None) -> int:
    replayed: Counter[bool] = Counter()
    async for each in replay_open(client, limit=limit, runtime=quiet):
        replayed[each.problem is None] += 1
        if each.problem is not None:
            print(f"{label(each)} would break: {each.problem}", flush=True)
        if replayed.total() % PROGRESS_EVERY == 0:
            print_progress(f"{replayed.total()} replayed …")
    counts = f"{replayed.total()} replayed, {replayed[False]} would break"
    print(f"open workflows of namespace {client.namespace}: {counts}")
    return SOME_BREAK if replayed[False] else ALL_REPLAY


def label(replayed: ReplayResult) -> str:
    """Return the name of a workflow for an operator: its settlement if it has one, and its run."""
    settlement = settlement_of(replayed.workflow_id)
    name = replayed.workflow_id if settlement is None else f"settlement {settlement}"
    return f"{name} (run {replayed.run_id})"


def print_progress(text: str) -> None:
    """Print progress or an error to standard error."""
    print(text, file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        message = "must be a whole number above 0"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def exit_now(code: int) -> NoReturn:
    """Flush the output and end the process at once.

    Threads of the SDK's runtime may still be running. A normal exit of the interpreter can crash because of them, which
    would change the exit code.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    exit_now(main())
