"""TLS: the server is always verified; nothing is sent to a server that cannot be verified."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from connector import Deadlines, ExternalSystem, ExternalSystemConfig
from settlement.calls import Rule
from settlement.states import Outcome
from tests.unit.connector.raw_broker import (
    SHORT_CONNECT_DEADLINE,
    SHORT_REPLY_DEADLINE,
    adjust,
    broker,
    closing_after,
    reply,
    resetting_after,
    sending,
    silence,
)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority that no operating system trusts."""
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the authority's certificate as the file that the configuration names."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return a server's TLS context with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return the TLS context of a broker with a valid certificate."""
    return server_context(authority.issue_cert("127.0.0.1"))


async def test_broker_of_the_configured_authority_is_trusted(tls: ssl.SSLContext, ca_file: str) -> None:
    async with broker(sending(reply()), tls=tls) as there:
        async with ExternalSystem(ExternalSystemConfig(there.url, ca_file=ca_file)) as system:
            for _ in range(3):
                assert (await adjust(system)).outcome is Outcome.APPLIED
        assert (len(there.requests), there.connections) == (3, 1)


async def test_unknown_authority_is_sent_nothing(tls: ssl.SSLContext) -> None:
    async with broker(sending(reply()), tls=tls) as there:
        async with ExternalSystem(ExternalSystemConfig(there.url)) as system:
            verdict = await adjust(system)
        assert there.requests == []
    assert (verdict.outcome, verdict.rule) == (Outcome.NOT_SENT, Rule.NOT_CONNECTED)


async def test_configured_authority_is_the_only_one(tls: ssl.SSLContext, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    async with broker(sending(reply()), tls=tls) as there:
        config = ExternalSystemConfig(there.url, ca_file=str(tmp_path / "other.pem"))
        async with ExternalSystem(config) as system:
            assert (await adjust(system)).outcome is Outcome.NOT_SENT
        assert there.requests == []


async def test_certificate_of_another_name_is_sent_nothing(authority: trustme.CA, ca_file: str) -> None:
    tls = server_context(authority.issue_cert("broker.example"))
    async with broker(sending(reply()), tls=tls) as there:
        async with ExternalSystem(ExternalSystemConfig(there.url, ca_file=ca_file)) as system:
            assert (await adjust(system)).outcome is Outcome.NOT_SENT
        assert there.requests == []


async def test_expired_certificate_is_sent_nothing(authority: trustme.CA, ca_file: str) -> None:
    tls = server_context(authority.issue_cert("127.0.0.1", not_after=datetime(2021, 1, 1, tzinfo=UTC)))
    async with broker(sending(reply()), tls=tls) as there:
        async with ExternalSystem(ExternalSystemConfig(there.url, ca_file=ca_file)) as system:
            assert (await adjust(system)).outcome is Outcome.NOT_SENT
        assert there.requests == []


async def test_broker_without_tls_is_sent_nothing(ca_file: str) -> None:
    async with broker(sending(reply())) as there:
        url = there.url.replace("http:", "https:")
        async with ExternalSystem(ExternalSystemConfig(url, ca_file=ca_file)) as system:
            assert (await adjust(system, SHORT_CONNECT_DEADLINE)).outcome is Outcome.NOT_SENT
        assert there.requests == []


async def test_handshake_that_is_never_answered_is_not_sent(ca_file: str) -> None:
    """The port accepts and then sends nothing: a connection counts only after the TLS handshake."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        async with ExternalSystem(ExternalSystemConfig(url, ca_file=ca_file)) as system:
            begun = loop.time()
            verdict = await adjust(system, SHORT_CONNECT_DEADLINE)
            lasted = loop.time() - begun
    assert (verdict.outcome, verdict.rule) == (Outcome.NOT_SENT, Rule.NOT_CONNECTED)
    assert 0.29 <= lasted < 6


async def test_time_to_connect_does_not_reduce_the_time_for_the_reply(tls: ssl.SSLContext, ca_file: str) -> None:
    """The contract gives the external system its time from the send, so a slow handshake must not shorten it."""
    deadlines = Deadlines(connect_s=30, reply_s=1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        async with ExternalSystem(ExternalSystemConfig(url, ca_file=ca_file)) as system:
            call = asyncio.create_task(adjust(system, deadlines))
            over, _ = await asyncio.wait({call}, timeout=1.2)
            assert not over, "neither sent nor given up while the handshake is pending"
            async with broker(sending(reply()), tls=tls, listener=listener):
                assert (await call).outcome is Outcome.APPLIED


async def test_connection_that_breaks_after_the_handshake_is_unknown(tls: ssl.SSLContext, ca_file: str) -> None:
    for answer in (closing_after(), resetting_after(), closing_after(reply()[:-5]), resetting_after(reply()[:-5])):
        async with broker(answer, tls=tls) as there:
            async with ExternalSystem(ExternalSystemConfig(there.url, ca_file=ca_file)) as system:
                verdict = await adjust(system)
            assert (verdict.outcome, verdict.rule) == (Outcome.UNKNOWN, Rule.CONNECTION_BROKEN)
            assert len(there.requests) == 1


async def test_deadline_applies_to_tls_too(tls: ssl.SSLContext, ca_file: str) -> None:
    async with broker(silence, tls=tls) as there:
        async with ExternalSystem(ExternalSystemConfig(there.url, ca_file=ca_file)) as system:
            assert (await adjust(system, SHORT_REPLY_DEADLINE)).rule is Rule.DEADLINE
        assert len(there.requests) == 1


async def test_missing_ca_file_is_an_error(tmp_path: Path) -> None:
    """A wrong path must not fall back to the system's certificate authorities."""
    config = ExternalSystemConfig("https://127.0.0.1", ca_file=str(tmp_path / "missing.pem"))
    with pytest.raises(FileNotFoundError):
        await ExternalSystem(config).__aenter__()
