"""Checks the file of external systems from this machine: names, connections, certificates and secrets.

It sends no order and no other request: a connection is opened, and closed after the TLS handshake. It imports no
library of the service, because the command line uses it.
"""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from yarl import URL

from config.configuration_file import InvalidFileError
from config.external_systems import read_systems
from config.secret_references import SecretUnavailableError, read_secret
from config.system_entry import SystemEntry

CONNECT_LIMIT_S = 5.0
"""Maximum time for a connection, and again for its TLS handshake."""


class Check(NamedTuple):
    """The result of one check."""

    system: str | None
    """Name of the external system; None for the file as a whole."""
    what: str
    ok: bool
    detail: str
    """What was found, or why it failed; never a part of a secret."""


def check_systems(path: Path) -> Iterator[Check]:
    """Yield the result of every check of the file and of each of its entries. It raises no error."""
    try:
        systems = read_systems(path)
    except InvalidFileError as error:
        yield from (Check(None, "file", False, problem) for problem in error.problems)
        return
    yield Check(None, "file", True, f"external systems: {', '.join(systems.entries)}")
    for name, entry in systems.entries.items():
        yield from _check_entry(name, entry)


def _check_entry(name: str, entry: SystemEntry) -> Iterator[Check]:
    url = URL(entry.base_url)
    try:
        found = socket.getaddrinfo(entry.host, url.port, type=socket.SOCK_STREAM)
    except OSError as error:
        yield Check(name, "dns", False, f"{entry.host} cannot be resolved ({_reason(error)})")
    else:
        addresses = sorted({str(each[4][0]) for each in found})
        yield Check(name, "dns", True, f"{entry.host} is {', '.join(addresses)}")
        yield _check_connection(name, entry, url)
    yield from _check_secrets(name, entry)


def _check_connection(name: str, entry: SystemEntry, url: URL) -> Check:
    what = "tls" if url.scheme == "https" else "connection"
    try:
        context = _tls_context(entry) if what == "tls" else None
    except OSError as error:
        return Check(name, what, False, f"a TLS file cannot be read or used ({_reason(error)})")
    try:
        with socket.create_connection((entry.host, url.port or 0), CONNECT_LIMIT_S) as connection:
            if context is None:
                return Check(name, what, True, "connected, without TLS")
            with context.wrap_socket(connection, server_hostname=entry.host) as encrypted:
                return Check(name, what, True, _certificate(encrypted))
    except OSError as error:
        return Check(name, what, False, f"{entry.host}:{url.port}: {_reason(error)}")


def _tls_context(entry: SystemEntry) -> ssl.SSLContext:
    """Return a context like that of the connector, which the command line cannot import."""
    context = ssl.create_default_context(cafile=entry.ca_file)
    if entry.client_certificate_file is not None:
        context.load_cert_chain(entry.client_certificate_file, entry.client_key_file, password="")
    return context


def _certificate(encrypted: ssl.SSLSocket) -> str:
    expires = (encrypted.getpeercert() or {}).get("notAfter", "an unknown time")
    return f"{encrypted.version()}, certificate verified, valid until {expires}"


def _check_secrets(name: str, entry: SystemEntry) -> Iterator[Check]:
    for header, value in entry.headers.items():
        if value.reference is None:
            continue
        try:
            read_secret(value.reference)
        except SecretUnavailableError as error:
            yield Check(name, f"header {header}", False, str(error))
        else:
            yield Check(name, f"header {header}", True, f"{value.reference} can be read")
    if entry.signature is not None:
        try:
            read_secret(entry.signature.key, may_have_lines=True)
        except SecretUnavailableError as error:
            yield Check(name, "signature", False, str(error))
        else:
            yield Check(name, "signature", True, f"{entry.signature.key} can be read")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.strerror or str(error) or type(error).__name__
