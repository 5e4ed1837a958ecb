"""Settings, read from environment variables with the prefix `SETTLEMENT_` (docs/settings.md lists them).

The connection to Temporal has Temporal's own variables: `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, TLS and API key
(see `config.temporal`).
"""

import sys
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from config.fields import (
    CancelAttempts,
    CancelBy,
    Expiry,
    HttpUrl,
    InitialInterval,
    InProcessMax,
    MaxInterval,
    Port,
    Quarantine,
    RetryAfterMax,
    SparseAttempts,
    SparseInitialInterval,
    SparseMaxInterval,
    UrlPath,
    is_loopback,
)
from contract.operations import (
    ADJUST_PATH,
    CANCEL_ADJUST_PATH,
    CANCEL_OPERATION_PATH,
    Operation,
    TraceCheck,
)
from settlement.amounts import AmountsText, amount_for, parse_amounts
from settlement.policy import ConfirmMode, SettlementPolicy

ENV_PREFIX = "SETTLEMENT_"


def _database_url(value: SecretStr) -> SecretStr:
    message = "must be an sqlite:/// or postgresql:// URL"
    try:
        name = make_url(value.get_secret_value()).get_backend_name()
    except (ArgumentError, ValueError):
        # The parser's own message may contain a part of the password.
        raise ValueError(message) from None
    if name not in {"sqlite", "postgresql", "postgres"}:
        raise ValueError(message)
    return value


DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]


class Settings(BaseSettings):
    """All settings, with defaults and bounds. Names that end in `_s` are in seconds."""

    # Neither `repr` nor an error message shows a value that may be a secret. Every URL may contain a password.
    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="ignore", env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    api_host: str = "127.0.0.1"
    api_port: Port = 8000
    api_connections_max: int = Field(default=2000, ge=10, le=50_000)
    """Maximum open connections of one API process."""
    api_connections_per_client: int = Field(default=1000, ge=1, validate_default=True)
    """Maximum open connections of one client address; behind a proxy all clients have the address of the proxy."""
    api_receive_timeout_s: float = Field(default=10.0, gt=0, le=300)
    """How long a client may take to send the complete headers, and then the complete body."""
    streams_max: int = Field(default=200, ge=1, le=5000)
    """Maximum open event streams of one API process."""
    streams_per_client: int = Field(default=50, ge=1, validate_default=True)
    """Maximum open event streams of one client in one API process; if keys are off, of one client address."""
    requests_per_client_per_s: int = Field(default=500, ge=1, le=100_000)
    """Maximum requests per second of one client in one API process, and as many at once after a pause."""
    waits_per_client: int = Field(default=500, ge=1, le=50_000)
    """Maximum requests of one client that wait for a decision at the same time in one API process."""
    temporal_port: Port = 7233
    """The port of the Temporal server that `make up` starts; for any other server, set `TEMPORAL_ADDRESS`."""
    temporal_ui_port: Port = 8233
    temporal_ui_url: HttpUrl | None = Field(default=None, repr=False)
    """Base URL of the Temporal UI for operators; links in answers start with it."""
    simulator_port: Port = 8100
    state_dir: Path = Path(".state")
    """Folder for embedded databases and logs."""

    database_url: DatabaseUrl | None = None
    """sqlite:///… or postgresql://…; default: an SQLite file in the state directory."""
    database_runtime_role: str | None = Field(default=None, min_length=1, max_length=63)
    """The role of API and worker on PostgreSQL, which `ledger.migrate` gives its rights; default: the role that
    migrates."""

    external_base_url: HttpUrl | None = Field(default=None, repr=False)
    """The broker's system; default: the simulator on this machine."""
    external_adjust_path: UrlPath = ADJUST_PATH
    external_cancel_adjust_path: UrlPath = CANCEL_ADJUST_PATH
    external_cancel_operation_path: UrlPath = CANCEL_OPERATION_PATH
    external_cancel_protocol: CancelBy = Operation.CANCEL_ADJUST
    external_trace: TraceCheck = TraceCheck.STRICT
    external_ca_file: Path | None = None
    external_systems: Path | None = None
    """TOML file with one entry for each external system (docs/external-systems.md). The other variables with
    EXTERNAL_ are the shorthand for one system that serves everything; file and shorthand exclude each other."""

    cancel_max_attempts: CancelAttempts = 5
    cancel_initial_interval_s: InitialInterval = 1.0
    cancel_max_interval_s: MaxInterval = 30.0
    cancel_sparse_attempts: SparseAttempts = 0
    cancel_sparse_initial_interval_s: SparseInitialInterval = 900.0
    cancel_sparse_max_interval_s: SparseMaxInterval = 14_400.0
    cancel_retry_after_max_s: RetryAfterMax = 300.0
    cancel_in_process_max: InProcessMax = 10
    confirm: ConfirmMode = ConfirmMode.AFTER_NOT_FOUND
    confirm_after_s: Quarantine = 30.0
    expire_after_s: Expiry = 10.0

    auth: Literal["on", "off"] = "on"
    """Whether the API requires keys. `off` is allowed only on a loopback address; it is the default of `make up`."""
    api_key_pepper: SecretStr | None = Field(default=None, min_length=32)
    """Key of the hashes under which API keys are stored; default: a file in the state directory, created if missing."""

    payload_keys: Path | None = Field(default=None, repr=False)
    """TOML file that names the keys of payloads (docs/deployment.md#encryption-of-payloads); default: payloads are not
    encrypted."""

    update_signing_key: SecretStr | None = Field(default=None, min_length=32)
    """Key of the signatures on operators' Updates, the same for API and worker; default: a file in the state directory,
    created if missing."""
    ui_acts: Literal["on", "off"] = "on"
    """Whether a worker accepts operators' Updates without a signature, as the Temporal UI sends them."""
    four_eyes_above: AmountsText | None = None
    """Amounts per currency above which a resolution needs a second operator. Orders keep the amount of acceptance."""
    order_limits: Path | None = None
    """TOML file with the largest amounts of orders, and of their sums per hour (docs/access.md#order-limits)."""
    batch_sums_max: AmountsText | None = None
    """Maximum sums per currency of one batch."""

    reconcile_every_s: int = Field(default=60, ge=5, le=3600)
    """Interval of the schedule that compares the ledger with Temporal."""
    worker_metrics_host: str = "127.0.0.1"
    worker_metrics_port: Port = 9464

    worker_slots: int = Field(default=500, ge=1, le=5000)
    """Maximum adjusts in flight in one worker process, and the same number of cancels."""
    company_slots: int | None = Field(default=None, ge=1)
    """Maximum adjusts of one company in flight in one worker process. Default: half of `worker_slots` while other
    companies have orders, all of `worker_slots` while none has."""
    one_process: Literal["on", "off"] = "off"
    """Whether `make up` runs worker and API as one process (ADR 0024)."""
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _file_or_shorthand(self) -> Self:
        both = sorted(name for name in self.model_fields_set if name.startswith("external_") and getattr(self, name))
        if self.external_systems is not None and len(both) > 1:
            names = [f"{ENV_PREFIX}{name.upper()}" for name in both]
            message = f"{', '.join(names[:-1])} and {names[-1]} must not be set together"
            raise ValueError(message)
        return self

    @field_validator("api_connections_per_client", "streams_per_client")
    @classmethod
    def _not_above_the_total(cls, value: int, info: ValidationInfo) -> int:
        total = str(info.field_name).replace("per_client", "max")
        # If the total itself is invalid, it is missing here, and its own error is reported.
        if value > info.data.get(total, value):
            message = f"must not exceed {ENV_PREFIX}{total.upper()}"
            raise ValueError(message)
        return value

    @field_validator("payload_keys")
    @classmethod
    def _file_and_no_key(cls, value: Path | None) -> Path | None:
        # Errors about the file name its path, so a key that was set by mistake must not get that far.
        if value is not None and value.suffix != ".toml":
            message = "must be the path of a file with the ending .toml, and not a key"
            raise ValueError(message)
        return value

    @field_validator("company_slots")
    @classmethod
    def _not_above_worker_slots(cls, value: int | None, info: ValidationInfo) -> int | None:
        # If worker_slots itself is invalid, it is missing here, and its own error is reported.
        if value is not None and value > info.data.get("worker_slots", value):
            message = f"must not exceed {ENV_PREFIX}WORKER_SLOTS"
            raise ValueError(message)
        return value

    @property
    def slots_of_one_company(self) -> int:
        """Maximum adjust slots of one company in a worker while other companies have orders."""
        return self.company_slots or (self.worker_slots + 1) // 2

    @property
    def slots_of_only_company(self) -> int:
        """Maximum adjust slots of one company in a worker while no other company has orders."""
        return self.company_slots or self.worker_slots

    @property
    def policy(self) -> SettlementPolicy:
        """The policy of settlements that are accepted now. They keep it even if the settings change later."""
        return SettlementPolicy(**{name: getattr(self, name) for name in SettlementPolicy.model_fields})

    def four_eyes_amount(self, currency: str) -> str | None:
        """Return the amount above which a resolution of an order that is accepted now needs a second operator."""
        return amount_for(parse_amounts(self.four_eyes_above), currency) if self.four_eyes_above else None

    def batch_sums(self) -> dict[str, str]:
        """Return the maximum sums of one batch by currency, `*` for any other currency; empty if no sum is limited."""
        return parse_amounts(self.batch_sums_max) if self.batch_sums_max else {}

    @property
    def external_url(self) -> str:
        """Base URL of the external system."""
        return self.external_base_url or f"http://127.0.0.1:{self.simulator_port}"

    @property
    def ledger_url(self) -> str:
        """URL of the ledger's database."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.state_dir.absolute() / 'ledger.db'}"


def load_settings() -> Settings:
    """Read the settings; if some are invalid, print each variable and its rule, and exit with 2.

    Values are not printed: a database URL contains a password.
    """
    try:
        return Settings()
    except ValidationError as error:
        for each in error.errors():
            name = f"{ENV_PREFIX}{'_'.join(str(part) for part in each['loc'])}: ".upper() if each["loc"] else ""
            rule = each["msg"] if name else each["msg"].removeprefix("Value error, ")
            print(f"{name}{rule}", file=sys.stderr)  # noqa: T201 - before logging is set up
        raise SystemExit(2) from None


def load_api_settings() -> Settings:
    """Read the settings for the API. If keys are off where they are needed, exit with 2 and one line."""
    settings = load_settings()
    if settings.auth == "off" and not is_loopback(settings.api_host):
        rule = f"must be on where {ENV_PREFIX}API_HOST is not a loopback address"
        print(f"{ENV_PREFIX}AUTH: {rule}", file=sys.stderr)  # noqa: T201 - before logging is set up
        raise SystemExit(2)
    if settings.auth == "off" and settings.four_eyes_above is not None:
        rule = f"requires {ENV_PREFIX}AUTH=on: without keys there is no second client"
        print(f"{ENV_PREFIX}FOUR_EYES_ABOVE: {rule}", file=sys.stderr)  # noqa: T201 - before logging is set up
        raise SystemExit(2)
    return settings
