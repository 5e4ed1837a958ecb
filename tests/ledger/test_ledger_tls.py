"""The ledger over TLS: the certificate of a real PostgreSQL is verified, with its host name."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from ledger import open_engine
from ledger.migrate import migrate
from tests.support.postgres import Postgres, running_postgres
from tests.support.tls_proxy import issue

LIBPQ_SETTINGS = ("PGSSLMODE", "PGSSLROOTCERT", "PGPASSWORD")


class Secured(NamedTuple):
    """A server that accepts only TLS, and the folder with the certificates of authorities."""

    server: Postgres
    folder: Path

    def url(self, ca: str | None, *, host: str = "localhost", mode: str = "verify-full") -> str:
        """Return the address of the ledger with these settings."""
        root = f"&sslrootcert={self.folder / ca}.pem" if ca else ""
        return f"{self.server.url().replace('127.0.0.1', host)}?sslmode={mode}{root}"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return the authority of the server's certificate."""
    return trustme.CA()


@pytest.fixture(scope="module")
def secured(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Run a PostgreSQL whose certificate is for `localhost`."""
    folder = tmp_path_factory.mktemp("authorities")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    with running_postgres() as server:
        restart(server, issue(authority, "localhost"))
        yield Secured(server, folder)


def restart(server: Postgres, certificate: trustme.LeafCert) -> None:
    """Start the server anew with this certificate."""
    server.stop()
    chain = b"".join(each.bytes() for each in certificate.cert_chain_pems)
    server.demand_tls(chain, certificate.private_key_pem.bytes())
    server.start()


async def is_encrypted(url: str) -> bool:
    """Connect as the ledger does, and ask the server whether this connection is encrypted."""
    engine = open_engine(url)
    try:
        async with engine.connect() as connection:
            statement = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool((await connection.execute(statement)).scalar_one())
    finally:
        await engine.dispose()


async def test_verified_connection_works_and_is_encrypted(secured: Secured) -> None:
    assert await is_encrypted(secured.url("ca"))


async def test_migration_runs_over_a_verified_connection(secured: Secured) -> None:
    engine = open_engine(secured.url("ca"))
    await migrate(engine)
    await engine.dispose()


REFUSED = {
    "another authority": ("other", {}, "certificate verify failed"),
    "no authority's file": (None, {}, "root certificate file .* does not exist|certificate verify failed"),
    "another host name": ("ca", {"host": "127.0.0.1"}, "does not match host name"),
    "without TLS": ("ca", {"mode": "disable"}, "no encryption"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_anything_else_is_refused(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    ca, options, said = REFUSED[what]
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in LIBPQ_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OperationalError) as refused:
        await is_encrypted(secured.url(ca, **options))
    assert re.search(said, str(refused.value)), refused.value


async def test_expired_certificate_is_refused(secured: Secured, authority: trustme.CA) -> None:
    restart(secured.server, issue(authority, "localhost", expired=True))
    try:
        with pytest.raises(OperationalError, match="certificate verify failed"):
            await is_encrypted(secured.url("ca"))
    finally:
        restart(secured.server, issue(authority, "localhost"))
