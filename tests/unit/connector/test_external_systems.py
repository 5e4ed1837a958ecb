"""One pool for each external system. It is replaced when its entry or a TLS file changes; calls in flight end on it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from connector import ExternalSystem, ExternalSystemConfig, ExternalSystems, UnusableSystemError
from settlement.calls import Rule
from settlement.states import Outcome
from tests.unit.connector.raw_broker import Peer, adjust, broker, reply, sending


@pytest.fixture
async def systems() -> AsyncIterator[ExternalSystems]:
    opened = ExternalSystems()
    yield opened
    await opened.close()


async def named(systems: ExternalSystems, name: str) -> ExternalSystem:
    found = await systems.named(name)
    assert found is not None
    return found


async def test_each_system_has_its_own_address(systems: ExternalSystems) -> None:
    async with broker(sending(reply())) as alpha, broker(sending(reply())) as beta:
        systems.replace({"alpha": ExternalSystemConfig(alpha.url), "beta": ExternalSystemConfig(beta.url)})
        for name in ("alpha", "beta", "beta"):
            assert (await adjust(await named(systems, name))).outcome is Outcome.APPLIED
        assert (len(alpha.requests), len(beta.requests)) == (1, 2)


async def test_unchanged_system_keeps_its_pool_and_a_changed_one_gets_another(systems: ExternalSystems) -> None:
    async with broker(sending(reply())) as there, broker(sending(reply())) as moved:
        one, other = ExternalSystemConfig(there.url), ExternalSystemConfig(there.url, adjust_path="/other")
        systems.replace({"alpha": one, "beta": other})
        await adjust(await named(systems, "alpha"))
        before = await named(systems, "alpha")
        systems.replace({"alpha": ExternalSystemConfig(there.url), "beta": ExternalSystemConfig(moved.url)})
        assert await named(systems, "alpha") is before
        await adjust(await named(systems, "alpha"))
        await adjust(await named(systems, "beta"))
        assert (there.connections, moved.connections) == (1, 1)


async def test_call_in_flight_ends_on_the_pool_on_which_it_began(systems: ExternalSystems) -> None:
    answered = asyncio.Event()

    async def answer_late(peer: Peer) -> None:
        await answered.wait()
        await peer.send(reply())

    async with broker(answer_late) as there, broker(sending(reply())) as moved:
        systems.replace({"alpha": ExternalSystemConfig(there.url)})
        call = asyncio.create_task(adjust(await named(systems, "alpha")))
        while not there.requests:
            await asyncio.sleep(0)
        systems.replace({"alpha": ExternalSystemConfig(moved.url)})
        assert (await adjust(await named(systems, "alpha"))).outcome is Outcome.APPLIED
        assert not call.done()
        answered.set()
        assert (await call).outcome is Outcome.APPLIED
        assert (len(there.requests), len(moved.requests)) == (1, 1)


async def test_removed_system_is_not_found_and_its_call_in_flight_ends(systems: ExternalSystems) -> None:
    async with broker(sending(reply())) as there:
        systems.replace({"alpha": ExternalSystemConfig(there.url)})
        client = await named(systems, "alpha")
        call = asyncio.create_task(adjust(client))
        while not there.requests:
            await asyncio.sleep(0)
        systems.replace({})
        assert await systems.named("alpha") is None
        assert await systems.why_unusable("alpha") == "it is not in the configuration"
        assert (await call).outcome is Outcome.APPLIED


async def test_unknown_name_is_looked_up_in_the_configuration_again() -> None:
    """The API may have read a new file a moment before the worker."""

    async def read_again() -> None:
        opened.replace({"alpha": ExternalSystemConfig("http://127.0.0.1:9")})

    opened = ExternalSystems(read_again)
    assert await opened.named("alpha") is not None
    assert await opened.named("beta") is None
    await opened.close()


async def test_header_has_its_current_value_in_each_call(systems: ExternalSystems) -> None:
    values = iter(["first", "second"])
    async with broker(sending(reply())) as there:
        config = ExternalSystemConfig(there.url, headers={"Authorization": lambda: next(values)})
        systems.replace({"alpha": config})
        for _ in range(2):
            await adjust(await named(systems, "alpha"))
        assert [each.headers["Authorization"] for each in there.requests] == ["first", "second"]


async def test_without_its_secret_nothing_is_sent(systems: ExternalSystems) -> None:
    async with broker(sending(reply())) as there:
        systems.replace({"alpha": ExternalSystemConfig(there.url, headers={"Authorization": lambda: None})})
        verdict = await adjust(await named(systems, "alpha"))
        assert there.requests == []
    assert (verdict.outcome, verdict.rule) == (Outcome.NOT_SENT, Rule.NOT_CONFIGURED)
    assert verdict.detail == "no secret for the header Authorization"
    assert await systems.why_unusable("alpha") == verdict.detail


async def test_without_keep_alive_each_call_has_its_own_connection(systems: ExternalSystems) -> None:
    async with broker(sending(reply())) as there:
        systems.replace({"alpha": ExternalSystemConfig(there.url, keep_alive=False)})
        for _ in range(3):
            assert (await adjust(await named(systems, "alpha"))).outcome is Outcome.APPLIED
        assert there.connections == 3


class Authority:
    """An authority that signs certificates of brokers and clients, and the files of one client."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.ca_file, self.certificate_file, self.key_file = folder / "ca.pem", folder / "c.pem", folder / "c.key"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def issue_client(self) -> None:
        """Replace the client's certificate and key."""
        leaf = self._ca.issue_cert("client@settlement.example")
        self.key_file.write_bytes(leaf.private_key_pem.bytes())
        self.certificate_file.write_bytes(leaf.cert_chain_pems[0].bytes())

    def server(self) -> ssl.SSLContext:
        """Return the TLS context of a broker that requires a client certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert("127.0.0.1").configure_cert(context)
        self._ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def config(self, url: str) -> ExternalSystemConfig:
        """Return the configuration of a client with its certificate."""
        return ExternalSystemConfig(
            url,
            ca_file=str(self.ca_file),
            client_certificate_file=str(self.certificate_file),
            client_key_file=str(self.key_file),
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_client_certificate_is_replaced_without_a_failed_call(
    systems: ExternalSystems, authority: Authority
) -> None:
    """Certificate and key are two files: between their replacements they do not fit, and the old pair stays in use."""
    authority.issue_client()
    key_before = authority.key_file.read_bytes()
    async with broker(sending(reply()), tls=authority.server()) as there:
        systems.replace({"alpha": authority.config(there.url)})
        client = await named(systems, "alpha")
        assert (await adjust(client)).outcome is Outcome.APPLIED
        authority.issue_client()
        new_key = authority.key_file.read_bytes()
        authority.key_file.write_bytes(key_before)
        systems.follow_tls_files()
        assert await named(systems, "alpha") is client
        assert (await adjust(client)).outcome is Outcome.APPLIED
        authority.key_file.write_bytes(new_key)
        systems.follow_tls_files()
        assert await named(systems, "alpha") is not client
        assert (await adjust(await named(systems, "alpha"))).outcome is Outcome.APPLIED
        assert there.connections == 2


async def test_broker_that_requires_a_certificate_refuses_a_client_without_one(
    systems: ExternalSystems, authority: Authority
) -> None:
    async with broker(sending(reply()), tls=authority.server()) as there:
        systems.replace({"alpha": ExternalSystemConfig(there.url, ca_file=str(authority.ca_file))})
        assert (await adjust(await named(systems, "alpha"))).outcome is not Outcome.APPLIED
        assert there.requests == []


async def test_unusable_tls_file_replaces_nothing(systems: ExternalSystems, tmp_path: Path) -> None:
    systems.replace({"alpha": ExternalSystemConfig("http://127.0.0.1:9")})
    before = await named(systems, "alpha")
    broken = ExternalSystemConfig("https://127.0.0.1:9", ca_file=str(tmp_path / "missing.pem"))
    with pytest.raises(UnusableSystemError, match=r"TLS file cannot be read or used \(No such file or directory\)"):
        systems.replace({"alpha": ExternalSystemConfig("http://127.0.0.1:10"), "beta": broken})
    assert await named(systems, "alpha") is before
    assert await systems.named("beta") is None
