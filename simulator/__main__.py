"""`python -m simulator`: runs the reference external system until SIGTERM or SIGINT."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from simulator.server import build
from simulator.service import SimulatorSettings


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; a wrong one exits with 2 and a usage line."""
    defaults = SimulatorSettings()
    parser = argparse.ArgumentParser(prog="python -m simulator", description="The reference external system.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8100, help="port to listen on; 0: the operating system chooses one")
    parser.add_argument("--database", default=defaults.database, help="SQLite file; default: in memory")
    parser.add_argument("--adjust-path", default=defaults.adjust_path)
    parser.add_argument("--cancel-adjust-path", default=defaults.cancel_adjust_path)
    parser.add_argument("--cancel-operation-path", default=defaults.cancel_operation_path)
    parser.add_argument(
        "--hold-max-s", type=float, default=defaults.hold_max_s, help="longest time that a request is held open"
    )
    parser.add_argument("--log-level", choices=["info", "warning"], default="info")
    return parser.parse_args(argv)


def settings_of(options: argparse.Namespace) -> SimulatorSettings:
    """Return the settings that the command line names."""
    return SimulatorSettings(
        database=options.database,
        adjust_path=options.adjust_path,
        cancel_adjust_path=options.cancel_adjust_path,
        cancel_operation_path=options.cancel_operation_path,
        hold_max_s=options.hold_max_s,
    )


def main() -> None:
    """Serve until a signal arrives; print one JSON line per call to standard output."""
    options = arguments()
    # The database holds names and addresses: only the owner may read the files that this process creates.
    os.umask(0o077)
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=options.log_level.upper())
    server = build(settings_of(options), options.host, options.port)
    with suppress(KeyboardInterrupt):
        server.run()


if __name__ == "__main__":
    main()
