"""The parts of the system as child processes, each with its command and its readiness probe."""

import fcntl
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import aiohttp

from api.codec_server.sessions import CODEC_PATH
from config.fields import is_loopback
from config.process import keep_files_private
from config.settings import ENV_PREFIX, Settings
from ledger.migrate import MigrationError, migrate_url
from stack.ports import HOST, free_port
from stack.process import Process, StackError
from stack.ui import SETTINGS_PATH
from workflows.visibility import SEARCH_ATTRIBUTES

ROOT = Path(__file__).resolve().parent.parent
DYNAMIC_CONFIG = {
    # With the default, 20 per second, every task waits up to 50 ms.
    "history.transferProcessorMaxPollRPS": "10000",
    # The backlog of one company must not delay the tasks of others (ADR 0010). Fairness holds within one partition.
    "matching.enableFairness": "true",
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
}
"""Temporal's dynamic configuration; deploy/temporal/dynamicconfig.yaml is that of the compose file."""
_TUNING = (
    # Writers do not block readers, and a commit waits for the disk once. A killed server loses nothing.
    *("--sqlite-pragma", "journal_mode=WAL"),
    *(part for key, value in DYNAMIC_CONFIG.items() for part in ("--dynamic-config-value", f"{key}={value}")),
)
_PROBE_LIMIT_S = 2.0
_SIMULATOR_HEALTH = "/simulator/health"


class Stack:
    """Temporal, the simulator (unless an external system is configured), worker and API, on 127.0.0.1.

    With `hide_unsafe_actions`, the proxy `stack.ui` serves the Temporal UI without actions that skip a compensation.
    `tuned_temporal=False` starts Temporal with the defaults of its development server, to measure the difference.
    """

    def __init__(self, settings: Settings, *, hide_unsafe_actions: bool = False, tuned_temporal: bool = True) -> None:
        self.settings = settings = with_auth_off_by_default(settings)
        self.state_dir = settings.state_dir.absolute()
        self.log_dir = self.state_dir / "logs"
        self.external_url = settings.external_url
        self.api_url = f"http://{HOST}:{settings.api_port}"
        self.ui_url = f"http://{HOST}:{settings.temporal_ui_port}"
        self.temporal_address = f"{HOST}:{settings.temporal_port}"
        self._lock: IO[str] | None = None
        self._ui_port = free_port() if hide_unsafe_actions else settings.temporal_ui_port
        self.temporal = self._temporal(_TUNING if tuned_temporal else ())
        self.ui = self._ui() if hide_unsafe_actions else None
        is_configured = settings.external_base_url or settings.external_systems
        self.simulator = None if is_configured else self._simulator()
        self.worker, self.api = self._ours()

    @property
    def parts(self) -> list[Process]:
        """All parts in the order in which they start; they stop in reverse order."""
        return [part for part in (self.temporal, self.ui, self.simulator, *self.ours) if part is not None]

    @property
    def ours(self) -> list[Process]:
        """Worker and API in the order in which they start; one process if the settings say so."""
        return list(dict.fromkeys((self.worker, self.api)))

    async def start(self, parts: Sequence[Process] | None = None) -> None:
        """Start all parts, or some, one after the other, each when the previous one is ready. On failure, stop all.

        Raises StackError if a part cannot be started, or the ledger's database cannot be migrated.
        """
        self._lock_state_dir()
        try:
            await migrate_url(self.settings.ledger_url)
        except MigrationError as error:
            message = f"the ledger cannot be migrated: {error}"
            raise StackError(message) from error
        try:
            for part in self.parts if parts is None else parts:
                await part.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop every part, and release the state directory."""
        for part in reversed(self.parts):
            await part.stop()
        if self._lock is not None:
            self._lock.close()

    def _lock_state_dir(self) -> None:
        """Lock the state directory, so that no other stack uses the same databases; raises StackError if one does.

        The lock ends with this process. All files in the directory, existing and future, are readable only by their
        owner.
        """
        keep_files_private()
        self.state_dir.mkdir(parents=True, exist_ok=True)
        for path in (self.state_dir, *self.state_dir.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)
        self._lock = (self.state_dir / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            message = f"another `make up` or `make demo` uses {self.state_dir}; stop it, or set SETTLEMENT_STATE_DIR"
            raise StackError(message) from None

    def _env(self) -> dict[str, str]:
        """Return the environment of every child: all settings as they are here, and the address of Temporal."""
        values = self.settings.model_dump(mode="json") | {
            "state_dir": self.state_dir,
            "database_url": self.settings.ledger_url,
            "external_base_url": self.external_url,
            "temporal_ui_url": self.settings.temporal_ui_url or self.ui_url,
        }
        if self.settings.external_systems is not None:
            # The file and the single variables exclude each other, also with the values of their defaults.
            single = {name for name in values if name.startswith("external_")} - {"external_systems"}
            values = {name: value for name, value in values.items() if name not in single}
        for name in ("api_key_pepper", "update_signing_key"):
            if (secret := getattr(self.settings, name)) is not None:
                values[name] = secret.get_secret_value()
        settings = {f"{ENV_PREFIX}{name}".upper(): str(value) for name, value in values.items() if value is not None}
        return settings | {"TEMPORAL_ADDRESS": self.temporal_address, "TEMPORAL_NAMESPACE": "default"}

    def _temporal(self, tuning: Sequence[str]) -> Process:
        attributes = [
            option
            for key in SEARCH_ATTRIBUTES
            for option in ("--search-attribute", f"{key.name}={key.indexed_value_type.name.capitalize()}")
        ]
        command = [
            _temporal_binary(),
            *("server", "start-dev", "--ip", HOST, "--log-level", "warn"),
            *self._codec_options(),
            *("--port", str(self.settings.temporal_port), "--ui-port", str(self._ui_port)),
            *("--db-filename", str(self.state_dir / "temporal.db")),
            *tuning,
            *attributes,
        ]
        # The UI starts last; when it answers, the namespace exists.
        return self._process("temporal", command, f"http://{HOST}:{self._ui_port}/api/v1/namespaces/default")

    def _codec_options(self) -> tuple[str, ...]:
        """Return the options that tell the UI where it gets clear text, if payloads are encrypted."""
        if self.settings.payload_keys is None:
            return ()
        return "--ui-codec-endpoint", f"{self.api_url}{CODEC_PATH}"

    def _ui(self) -> Process:
        ports = str(self.settings.temporal_ui_port), str(self._ui_port)
        return self._python("temporal-ui", "-m", "stack.ui", *ports, ready_url=f"{self.ui_url}{SETTINGS_PATH}")

    def _ours(self) -> tuple[Process, Process]:
        """Return worker and API, which may be the same process."""
        ready_url = f"{self.api_url}/readyz"
        if self.settings.one_process == "on":
            both = self._python("worker-and-api", str(ROOT / "one_process.py"), ready_url=ready_url)
            return both, both
        worker = self._python("worker", str(ROOT / "worker.py"), ready_log="worker ready")
        return worker, self._python("api", "-m", "api", ready_url=ready_url)

    def _simulator(self) -> Process:
        arguments = _simulator_arguments(self.settings.simulator_port, self.state_dir / "simulator.db")
        return self._python("simulator", *arguments, ready_url=f"{self.external_url}{_SIMULATOR_HEALTH}")

    def _python(
        self, name: str, *arguments: str, ready_url: str | None = None, ready_log: str | None = None
    ) -> Process:
        return self._process(name, [sys.executable, *arguments], ready_url, ready_log)

    def _process(self, name: str, command: list[str], ready_url: str | None, ready_log: str | None = None) -> Process:
        async def ready() -> bool:
            return await _answers(ready_url) if ready_url else ready_log is None or ready_log in process.tail()

        env = self._env() | {"PYTHONPATH": str(ROOT)}
        process = Process(name, command, env, self.log_dir, ready)
        return process


@asynccontextmanager
async def running_simulator(folder: Path, name: str) -> AsyncIterator[str]:
    """Run one more simulator for the length of the block, with its database and log in `folder`; yield its address."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    command = [sys.executable, *_simulator_arguments(port, folder / name)]
    process = Process(name, command, {"PYTHONPATH": str(ROOT)}, folder, lambda: _answers(f"{url}{_SIMULATOR_HEALTH}"))
    await process.start()
    try:
        yield url
    finally:
        await process.stop()


def _simulator_arguments(port: int, database: Path) -> tuple[str, ...]:
    return "-m", "simulator", "--host", HOST, "--port", str(port), "--database", str(database)


def with_auth_off_by_default(settings: Settings) -> Settings:
    """Return settings with keys off, unless `auth` is set or other machines can reach the API."""
    if "auth" in settings.model_fields_set or not is_loopback(settings.api_host):
        return settings
    return settings.model_copy(update={"auth": "off"})


async def _answers(url: str) -> bool:
    timeout = aiohttp.ClientTimeout(total=_PROBE_LIMIT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            return response.ok
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


def _temporal_binary() -> str:
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        message = "the program `temporal` is not installed; requirements/dev.txt brings it"
        raise StackError(message)
    return found
