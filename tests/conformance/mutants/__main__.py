"""`python -m tests.conformance.mutants NAME --port 8100`: runs one mutant until SIGTERM or SIGINT."""

import argparse
import logging
import sys
from contextlib import suppress

from simulator.server import build
from simulator.service import SimulatorSettings
from tests.conformance.mutants.table import MUTANTS


def main() -> None:
    """Plant the fault, and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.mutants", description=__doc__)
    parser.add_argument("name", choices=MUTANTS, metavar="NAME", help=f"one of {', '.join(MUTANTS)}")
    parser.add_argument("--port", type=int, default=8100, help="port to listen on (default 8100)")
    chosen = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level="INFO")
    with MUTANTS[chosen.name].plant(), suppress(KeyboardInterrupt):
        build(SimulatorSettings(), "127.0.0.1", chosen.port).run()


if __name__ == "__main__":
    main()
