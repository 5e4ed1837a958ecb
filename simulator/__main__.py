"""`python -m simulator`: run the reference external system until SIGTERM or SIGINT."""

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress

from simulator.instance import SimulatorSettings
from simulator.logs import print_logs
from simulator.server import build


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with 2 and a usage line where it is wrong."""
    defaults = SimulatorSettings()
    parser = argparse.ArgumentParser(prog="python -m simulator", description="The reference external system.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8100, help="0 lets the system choose")
    parser.add_argument("--database", default=defaults.database, help="a file; in memory when left out")
    parser.add_argument("--adjust-path", default=defaults.adjust_path)
    parser.add_argument("--cancel-adjust-path", default=defaults.cancel_adjust_path)
    parser.add_argument("--cancel-operation-path", default=defaults.cancel_operation_path)
    parser.add_argument("--hold-max-s", type=float, default=defaults.hold_max_s, help="longest a request is held open")
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
    """Serve until a signal comes; one JSON line per call goes to standard output."""
    options = arguments()
    # The database holds names and addresses: files that this process makes are readable by their owner only.
    os.umask(0o077)
    print_logs(options.log_level)
    server = build(settings_of(options), options.host, options.port)
    with suppress(KeyboardInterrupt):
        server.run()


if __name__ == "__main__":
    main()
