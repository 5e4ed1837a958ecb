"""The connection to Temporal over TLS with client certificates, against a real server behind a TLS endpoint."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
import trustme
from temporalio.client import Client

from activities.temporal_calls import TemporalCallError, calling_temporal
from config.temporal import connect
from config.temporal_connection import TemporalSettingsError, TemporalUnreachableError, connection_settings, unreachable
from stack.ports import free_port
from tests.support.dev_server import dev_server
from tests.support.forks import PROGRAMS
from tests.support.tls_proxy import demanding, files_of, issue, tls_proxy
from workflows.runtime import DATA_CONVERTER

LIMIT_S = 60.0
"""Far above what a refusal takes: nothing hangs."""
NOWHERE = "127.0.0.1:1"


class Endpoints(NamedTuple):
    """The ports of the TLS endpoints, by the server's certificate, and the folder with the files of the clients."""

    valid: int
    expired: int
    other_name: int
    plain: int
    folder: Path


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def endpoints(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Endpoints]:
    """Run a Temporal server and a TLS endpoint for each kind of certificate."""
    folder = tmp_path_factory.mktemp("tls")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other-ca.pem")
    files_of(issue(authority, "worker"), folder, "client")
    files_of(issue(authority, "worker", expired=True), folder, "expired")
    files_of(issue(other, "worker"), folder, "foreign")
    contexts = [
        demanding(issue(authority, "localhost"), authority),
        demanding(issue(authority, "localhost", expired=True), authority),
        demanding(issue(authority, "other.example"), authority),
    ]
    async with dev_server() as server:
        target = server.service_client.config.target_host
        valid, expired, named = (tls_proxy(target, context) for context in contexts)
        async with valid as first, expired as second, named as third:
            yield Endpoints(first, second, third, int(target.rpartition(":")[2]), folder)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TEMPORAL_"):
            monkeypatch.delenv(name)


def variables(folder: Path, port: int, *, ca: str = "ca", client: str | None = "client") -> dict[str, str]:
    """Return the variables of a connection with these files."""
    of_client = {
        "TEMPORAL_TLS_CLIENT_CERT_PATH": str(folder / f"{client}.pem"),
        "TEMPORAL_TLS_CLIENT_KEY_PATH": str(folder / f"{client}.key"),
    }
    return {
        "TEMPORAL_ADDRESS": f"localhost:{port}",
        "TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(folder / f"{ca}.pem"),
        **(of_client if client else {}),
    }


async def connected(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *, lazy: bool = False) -> Client:
    """Connect with these variables, and make one call."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    async with asyncio.timeout(LIMIT_S):
        client = await connect(DATA_CONVERTER, NOWHERE, lazy=lazy)
        async with calling_temporal():
            assert await client.service_client.check_health()
        return client


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("key", ["", "key of a service account"])
async def test_client_with_a_certificate_connects(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch, key: str, *, lazy: bool
) -> None:
    """Also with an API key, which then travels inside TLS; an empty one counts as not set."""
    environment = variables(endpoints.folder, endpoints.valid) | {"TEMPORAL_API_KEY": key}
    await connected(monkeypatch, environment, lazy=lazy)


REFUSED = {
    "wrong authority": ("valid", {"ca": "other-ca"}, "is not signed by the expected authority"),
    "expired server": ("expired", {}, "its certificate has expired"),
    "other name": ("other_name", {}, "is for another name than TEMPORAL_ADDRESS"),
    "no client certificate": ("valid", {"client": None}, "TEMPORAL_TLS_CLIENT_CERT_PATH"),
    "foreign client certificate": ("valid", {"client": "foreign"}, "a client certificate of its authority"),
    "expired client certificate": ("valid", {"client": "expired"}, "that has not expired"),
    "server without TLS": ("plain", {}, "it answers without TLS"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_refused_connection_says_why(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    which, files, said = REFUSED[what]
    environment = variables(endpoints.folder, getattr(endpoints, which), **files)  # type: ignore[arg-type]  # names of files
    with pytest.raises(TemporalUnreachableError, match=said) as refused:
        await connected(monkeypatch, environment)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("what", REFUSED)
async def test_process_that_started_without_temporal_is_refused_at_its_first_call(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The API connects lazily: the call fails like that of an outage, and nothing waits for ever."""
    which, files, _ = REFUSED[what]
    environment = variables(endpoints.folder, getattr(endpoints, which), **files)  # type: ignore[arg-type]  # names of files
    with pytest.raises(TemporalCallError):
        await connected(monkeypatch, environment, lazy=True)


async def test_client_without_tls_is_refused(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TemporalUnreachableError, match="it may demand TLS"):
        await connected(monkeypatch, {"TEMPORAL_ADDRESS": f"localhost:{endpoints.valid}"})


async def test_worker_that_is_refused_ends_with_one_line(endpoints: Endpoints, tmp_path: Path) -> None:
    environment = variables(endpoints.folder, endpoints.valid, ca="other-ca") | {
        "SETTLEMENT_STATE_DIR": str(tmp_path),
        "SETTLEMENT_WORKER_METRICS_PORT": str(free_port()),
    }
    code, _, error = await PROGRAMS.run("worker", [], environment)
    assert code == 1
    assert "not signed by the expected authority (TEMPORAL_TLS_SERVER_CA_CERT_PATH)" in error
    assert "Traceback" not in error


WRONG = {
    "missing file": ({"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "/none.pem"}, "/none.pem cannot be read: No such file"),
    "certificate without key": ({"TEMPORAL_TLS_CLIENT_CERT_PATH": __file__}, "both or neither must be set"),
    "profile": ({"TEMPORAL_PROFILE": "none"}, "Profile 'none' not found"),
    "key in clear text": (
        {"TEMPORAL_ADDRESS": "temporal.example:7233", "TEMPORAL_API_KEY": "secret-key", "TEMPORAL_TLS": "false"},
        "TEMPORAL_TLS: must not be false with TEMPORAL_API_KEY",
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_wrong_variable_ends_the_process_with_one_line_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    environment, said = WRONG[what]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="2"):
        await connect(DATA_CONVERTER, NOWHERE, lazy=True)
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1
    assert "secret-key" not in printed


@pytest.mark.parametrize("value", ["true", "1", "on", "yes please"])
def test_only_an_explicit_false_switches_tls_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TEMPORAL_TLS", value)
    assert connection_settings(NOWHERE)["tls"] is not False
    monkeypatch.setenv("TEMPORAL_TLS", "false")
    assert connection_settings(NOWHERE)["tls"] is False


def test_api_key_switches_tls_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_API_KEY", "key")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    assert connection_settings(NOWHERE)["tls"] is True
    monkeypatch.setenv("TEMPORAL_TLS", "false")
    with pytest.raises(TemporalSettingsError):
        connection_settings(NOWHERE)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:7233")
    assert connection_settings(NOWHERE)["tls"] is False


def test_verification_cannot_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK has a variable for it in other languages; here it changes nothing."""
    monkeypatch.setenv("TEMPORAL_TLS", "true")
    before = connection_settings(NOWHERE)
    monkeypatch.setenv("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "true")
    assert connection_settings(NOWHERE) == before


def test_unknown_reason_is_told_as_it_is() -> None:
    assert str(unreachable(NOWHERE, RuntimeError("odd"))) == f"Temporal at {NOWHERE}: no connection: odd"
