"""The external systems that are in use now. A changed file is loaded without a restart; an invalid one is rejected."""

import sys
from collections.abc import Callable

from config.configuration_file import InvalidFileError
from config.external_systems import ExternalSystems, parse_systems
from config.settings import ENV_PREFIX, Settings
from config.system_entry import SystemEntry
from config.watched_file import WatchedFile, nothing
from settlement.start import DEFAULT_SYSTEM

FILE_CURRENT = "settlement_external_systems_current"
FILE_CURRENT_HELP = "1 if the newest content of the file of external systems is in use, 0 if it was rejected."
"""A metric of every API process and every worker."""


class WatchedSystems(WatchedFile[ExternalSystems]):
    """Holds the external systems in use, and replaces them when the content of their file changes."""

    def __init__(self, settings: Settings, activate: Callable[[ExternalSystems], None] = nothing) -> None:
        """Load the systems. Raises InvalidFileError: there are no earlier systems that could stay in use."""
        super().__init__(
            "external systems",
            settings.external_systems,
            parse_systems,
            without_file=lambda: system_of_settings(settings),
            activate=activate,
        )


def load_systems(settings: Settings, activate: Callable[[ExternalSystems], None] = nothing) -> WatchedSystems:
    """Load the systems at the start of a process. If they are invalid, print what is wrong and exit with 2."""
    try:
        return WatchedSystems(settings, activate)
    except InvalidFileError as error:
        variable = "EXTERNAL_CA_FILE" if settings.external_systems is None else "EXTERNAL_SYSTEMS"
        print(f"{ENV_PREFIX}{variable}: {error}", file=sys.stderr)  # noqa: T201 - as settings do
        raise SystemExit(2) from None


def system_of_settings(settings: Settings) -> ExternalSystems:
    """Return the one system that the variables SETTLEMENT_EXTERNAL_… describe: it serves everything."""
    # Settings have validated these values. Unlike a file, they may contain a password, and http to any host.
    entry = SystemEntry.model_construct(
        default=True,
        base_url=settings.external_url,
        allow_http=True,
        adjust_path=settings.external_adjust_path,
        cancel_adjust_path=settings.external_cancel_adjust_path,
        cancel_operation_path=settings.external_cancel_operation_path,
        cancel_protocol=settings.external_cancel_protocol,
        trace=settings.external_trace,
        ca_file=settings.external_ca_file,
    )
    return ExternalSystems({DEFAULT_SYSTEM: entry})
