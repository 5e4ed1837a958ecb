"""A TLS endpoint in front of a server without TLS, and the files of a certificate authority of the tests."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import trustme

HOST = "127.0.0.1"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Pair(NamedTuple):
    """The files of a certificate and its key."""

    certificate: Path
    key: Path


def issue(authority: trustme.CA, *names: str, expired: bool = False) -> trustme.LeafCert:
    """Return a certificate for these names; an expired one was valid for a day of the past."""
    if expired:
        return authority.issue_cert(*names, not_before=LONG_AGO, not_after=LONG_AGO + timedelta(days=1))
    return authority.issue_cert(*names)


def files_of(leaf: trustme.LeafCert, folder: Path, name: str) -> Pair:
    """Write a certificate and its key as PEM files."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    pair.certificate.write_bytes(b"".join(each.bytes() for each in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(pair.key)
    return pair


def demanding(server: trustme.LeafCert, clients: trustme.CA) -> ssl.SSLContext:
    """Return the TLS context of a gRPC server that accepts only clients with a certificate of `clients`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.configure_cert(context)
    clients.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    return context


@asynccontextmanager
async def tls_proxy(target: str, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Terminate TLS for the server at `target`, host:port; yield the port."""
    host, _, port = target.rpartition(":")
    tasks: set[asyncio.Task[None]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_copy(reader, behind_writer), _copy(behind_reader, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(forward(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, HOST, 0, ssl=context)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
