"""The external systems of a worker process: keeps one open client for each entry of the configuration."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog
from temporalio.common import MetricMeter

from activities.breaker_reports import BreakerGauge
from activities.call_admission import CallAdmission, CallLimits
from activities.circuit_breaker import BreakerPolicy
from config.configuration_file import InvalidFileError
from config.external_systems import ExternalSystems
from config.sampling import SampledLog
from config.secret_references import SecretReader, SecretReference, SecretUnavailableError
from config.settings import Settings
from config.system_entry import HeaderValue, SignatureEntry, SystemEntry
from config.watched_systems import FILE_CURRENT, FILE_CURRENT_HELP, load_systems
from connector import ExternalSystemConfig, MessageSigner, UnusableSystemError
from connector import ExternalSystems as Clients

log = structlog.get_logger()
sampled = SampledLog(log)


@dataclass(frozen=True)
class SecretSource:
    """Reads the current value of one secret. Two sources of the same place are equal, so that a pool is kept."""

    reference: SecretReference
    reader: SecretReader = field(compare=False, repr=False)
    prefix: str = ""
    may_have_lines: bool = False

    def __call__(self) -> str | None:
        """Return the current value; None if it cannot be read."""
        try:
            return f"{self.prefix}{self.reader.value(self.reference, may_have_lines=self.may_have_lines)}"
        except SecretUnavailableError as error:
            sampled.warning("no call is sent without this secret", reason=str(error))
            return None


@dataclass(frozen=True)
class PlainText:
    """The value of a header that is not secret."""

    text: str

    def __call__(self) -> str | None:
        """Return the value."""
        return self.text


def _header(value: HeaderValue, reader: SecretReader) -> SecretSource | PlainText:
    if value.reference is None:
        return PlainText(value.text or "")
    return SecretSource(value.reference, reader, value.prefix)


def _signer(signature: SignatureEntry | None, reader: SecretReader) -> MessageSigner | None:
    if signature is None:
        return None
    key = SecretSource(signature.key, reader, may_have_lines=True)
    return MessageSigner(signature.key_id, signature.algorithm, key)


def connector_config(entry: SystemEntry, reader: SecretReader, connections_max: int) -> ExternalSystemConfig:
    """Return the connector's configuration of one external system."""
    files = (entry.ca_file, entry.client_certificate_file, entry.client_key_file)
    ca_file, certificate_file, key_file = (str(path) if path else None for path in files)
    return ExternalSystemConfig(
        base_url=entry.base_url,
        adjust_path=entry.adjust_path,
        cancel_adjust_path=entry.cancel_adjust_path,
        cancel_operation_path=entry.cancel_operation_path,
        cancel_operation=entry.cancel_protocol,
        trace_check=entry.trace,
        ca_file=ca_file,
        client_certificate_file=certificate_file,
        client_key_file=key_file,
        keep_alive=entry.keep_alive,
        headers={name: _header(value, reader) for name, value in entry.headers.items()},
        signer=_signer(entry.signature, reader),
        codes=entry.codes,
        business_statuses=frozenset(entry.business_statuses),
        connections_max=connections_max,
    )


def call_limits(entry: SystemEntry) -> CallLimits:
    """Return the limits of the calls to one external system."""
    breaker = BreakerPolicy(**entry.breaker.model_dump()) if entry.breaker is not None else None
    return CallLimits(entry.limits.calls_in_flight, entry.limits.calls_per_s, breaker)


class WorkerSystems:
    """The clients of the external systems in use, and the admission of their calls.

    They follow the configuration file and the TLS files.
    """

    def __init__(self, settings: Settings) -> None:
        """Open the clients. If the configuration is invalid, print what is wrong and exit with 2."""
        self._connections_max = 2 * settings.worker_slots  # for adjusts and as many cancels
        self._path = settings.external_systems
        self._reader = SecretReader()
        self.clients = Clients(read_again=self._read_again)
        self.admission = CallAdmission()
        self.watched = load_systems(settings, self._activate)

    async def watch(self, meter: MetricMeter) -> None:
        """Follow the configuration until cancelled, and show it and the circuit breakers in metrics."""
        gauge = meter.create_gauge(FILE_CURRENT, FILE_CURRENT_HELP)
        show_breakers = BreakerGauge(self.admission, meter).show
        await self.watched.watch(partial(self._after_each_look, gauge.set, show_breakers))

    def _after_each_look(self, show: Callable[[int], None], show_breakers: Callable[[], None]) -> None:
        show(int(self.watched.file.is_current))
        show_breakers()
        self.clients.follow_tls_files()

    async def _read_again(self) -> None:
        await self.watched.refresh()

    def _activate(self, systems: ExternalSystems) -> None:
        configs = {
            name: connector_config(entry, self._reader, self._connections_max)
            for name, entry in systems.entries.items()
        }
        try:
            self.clients.replace(configs)
        except UnusableSystemError as error:
            raise InvalidFileError(self._path, [f"systems.{error.name}: {error}"]) from error
        self.admission.configure({name: call_limits(entry) for name, entry in systems.entries.items()})
        for name, why in self.clients.unusable().items():
            log.warning("external system cannot be called", system=name, reason=why)
