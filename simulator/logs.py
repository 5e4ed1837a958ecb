"""The simulator's own log: one JSON line per event, silent until somebody turns the logger "simulator" on.

It stands apart from the process-wide structlog settings, because tests run a simulator inside a
process whose log is somebody else's.
"""

import logging
import sys

import structlog

log = structlog.wrap_logger(
    logging.getLogger("simulator"),
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(),
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
)


def print_logs(level: str) -> None:
    """Print the log from `level` ("info" or "warning") up on standard output."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=level.upper())
