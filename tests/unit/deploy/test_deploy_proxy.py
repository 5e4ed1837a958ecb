"""The TLS proxy: the real configuration in a real HAProxy, in front of a server of the test."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
import trustme
import yaml

from api.http.server import KEEP_ALIVE_S
from stack.ports import free_port
from tests.support.polling import until
from tests.unit.deploy.compose_file import PROXY as PROXY_FILE
from tests.unit.deploy.compose_file import ROOT, SECRET, SERVICES

CONFIG = ROOT / "deploy/proxy/haproxy.cfg"
API, UI = "settlement.example", "temporal.example"
LOGIN = "Basic " + b64encode(b"operator-1:a long password").decode()
OPERATORS = "userlist operators\n  user operator-1 insecure-password 'a long password'\n"
CONNECTIONS_MAX = 100
LIMIT_S = 60.0
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")

pytestmark = pytest.mark.skipif(
    HAPROXY is None and not os.environ.get("CI"),
    reason="needs Debian's haproxy; tests/system_packages installs it where it may",
)


class Answer(NamedTuple):
    """An answer: status, headers with lower-case names, and body."""

    status: int
    headers: Mapping[str, str]
    body: str


class Proxy(NamedTuple):
    """A running proxy: its port, and the context of a client that trusts it."""

    port: int
    trust: ssl.SSLContext

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a TLS connection."""
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust, server_hostname=API)

    async def get(self, host: str, **headers: str) -> Answer:
        """Send a request with this Host."""
        reader, writer = await self.connect()
        fields = {"host": host, "connection": "close", **headers}
        lines = ["GET / HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        answer = await asyncio.wait_for(reader.read(), LIMIT_S)
        writer.close()
        return _parsed(answer)


def _parsed(answer: bytes) -> Answer:
    head, _, body = answer.decode().partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    pairs = (field.partition(": ") for field in fields)
    return Answer(int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body)


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """Run a server that answers with the header of each request; yield its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(head) + head)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


def check(files: Sequence[str], environment: Mapping[str, str]) -> None:
    """Have HAProxy check its configuration, which a start that fails would only log."""
    done = subprocess.run(  # noqa: S603 - our own configuration
        [str(HAPROXY), "-c", *files], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@asynccontextmanager
async def running(folder: Path, config: str) -> AsyncIterator[Proxy]:
    """Run HAProxy with this configuration in front of an echo."""
    authority, port = trustme.CA(), free_port()
    (folder / "tls.pem").write_bytes(authority.issue_cert(API, UI).private_key_and_cert_chain_pem.bytes())
    (folder / "operators.cfg").write_text(OPERATORS)
    # Two proxies of tests at once must not share a port.
    changed = config.replace("/run/proxy", str(folder)).replace("127.0.0.1:8404", f"127.0.0.1:{free_port()}")
    (folder / "haproxy.cfg").write_text(changed)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with AsyncExitStack() as stack:
        behind = await stack.enter_async_context(echo())
        environment = {"PROXY_BIND": f"127.0.0.1:{port}", "API_HOST": API, "UI_HOST": UI}
        environment |= {"API_SERVER": f"127.0.0.1:{behind}", "UI_SERVER": f"127.0.0.1:{behind}"}
        files = ("-f", str(folder / "haproxy.cfg"), "-f", str(folder / "operators.cfg"))
        check(files, environment)
        process = await asyncio.create_subprocess_exec(
            str(HAPROXY), "-db", *files, env=environment, stdout=subprocess.DEVNULL, stderr=sys.stderr
        )
        try:
            await until(lambda: _is_open(port), what="haproxy")
            yield Proxy(port, trust)
        finally:
            process.terminate()
            await process.wait()


async def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def proxy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proxy]:
    """Run the real configuration."""
    async with running(tmp_path_factory.mktemp("proxy"), CONFIG.read_text()) as started:
        yield started


async def test_api_is_reached_with_its_key_and_without_a_login(proxy: Proxy) -> None:
    answer = await proxy.get(API, authorization="Bearer key")
    assert answer.status == 200
    assert "authorization: Bearer key" in answer.body
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1", f"{API}.evil.example", f"x{API}"])
async def test_other_host_is_refused(proxy: Proxy, host: str) -> None:
    """A page of another site whose name was pointed to this address gets nothing."""
    assert (await proxy.get(host)).status == 421


@pytest.mark.parametrize("host", [API, API.upper(), f"{API}:443"])
async def test_host_is_compared_without_case_and_port(proxy: Proxy, host: str) -> None:
    assert (await proxy.get(host)).status == 200


@pytest.mark.parametrize("login", ["", "Basic " + b64encode(b"operator-1:wrong").decode(), "Bearer key"])
async def test_ui_needs_a_login(proxy: Proxy, login: str) -> None:
    answer = await proxy.get(UI, **({"authorization": login} if login else {}))
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Basic realm="Temporal UI"')


async def test_ui_gets_no_password_and_its_answers_are_not_stored(proxy: Proxy) -> None:
    answer = await proxy.get(UI, authorization=LOGIN)
    assert answer.status == 200
    assert "authorization" not in answer.body.lower()
    expected = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "cache-control": "no-store"}
    assert expected.items() <= answer.headers.items()


async def test_what_a_caller_says_about_its_address_is_removed(proxy: Proxy) -> None:
    answer = await proxy.get(
        API, **{"x-forwarded-for": "10.0.0.1", "forwarded": "for=10.0.0.1", "x-forwarded-proto": "x"}
    )
    assert "10.0.0.1" not in answer.body
    assert "x-forwarded-proto: https" in answer.body


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        f"GET / HTTP/1.1\r\nhost: {API}\r\nx-".encode(),
        f"POST / HTTP/1.1\r\nhost: {API}\r\ncontent-length: 9\r\n\r\n{{".encode(),
    ],
    ids=["nothing", "half a header", "half a body"],
)
async def test_incomplete_request_is_ended(tmp_path: Path, sent: bytes) -> None:
    """With a shorter time than in production. Nothing of the request reaches the API."""
    config = CONFIG.read_text().replace("timeout http-request 10s", "timeout http-request 1s")
    async with running(tmp_path, config) as quick:
        reader, writer = await quick.connect()
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), LIMIT_S)
        writer.close()
        assert answer == b"" or _parsed(answer).status == 408


async def test_one_address_has_a_limited_number_of_connections(tmp_path: Path) -> None:
    assert f"sc0_conn_cur gt {CONNECTIONS_MAX}" in CONFIG.read_text()
    config = CONFIG.read_text().replace(f"sc0_conn_cur gt {CONNECTIONS_MAX}", "sc0_conn_cur gt 3")
    async with running(tmp_path, config) as small, AsyncExitStack() as stack:
        for _ in range(3):
            _, writer = await small.connect()
            stack.callback(writer.close)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await small.connect()


def test_proxy_lets_the_api_answer_and_close_last() -> None:
    """The longest wait of a caller is shorter than the proxy's, and the proxy drops idle connections before the API."""
    config = CONFIG.read_text()
    assert "timeout server 75s" in config
    assert "ssl-min-ver TLSv1.2" in config
    assert "pool-purge-delay 5s" in config
    assert KEEP_ALIVE_S == 75
    assert "retry-on conn-failure" in config, "a request that may have arrived is never repeated"


def test_with_the_proxy_nothing_else_is_published_and_no_secret_is_in_a_file() -> None:
    services = yaml.safe_load(PROXY_FILE.read_text().replace("!reset []", "null"))["services"]
    assert {name for name, each in SERVICES.items() if "ports" in each} == services.keys() - {"proxy"}
    assert all(services[name] == {"ports": None} for name in services.keys() - {"proxy"})
    proxy = services["proxy"]
    assert proxy["networks"] == ["edge"], "it reaches neither Temporal nor a database"
    assert not [name for name in proxy["environment"] if SECRET.search(name)]
    assert proxy["read_only"]
    assert proxy["cap_drop"] == ["ALL"]
    assert all(volume.endswith(":ro") for volume in proxy["volumes"])
    ignored = subprocess.run(
        ["git", "check-ignore", "deploy/proxy/private/tls.pem"],  # noqa: S607 - any git
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    assert ignored.returncode == 0
