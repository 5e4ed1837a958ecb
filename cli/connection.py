"""Where the API is and with which key: from options, the environment and files, and all of it checked before use."""

import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2

from cli.exits import UsageError
from cli.proxy import Proxy, proxy_for

URL_VARIABLE = "SETTLEMENT_URL"
KEY_VARIABLE = "SETTLEMENT_API_KEY"
URL_DEFAULT = "http://127.0.0.1:8000"
TIMEOUT_DEFAULT_S = 10.0

_KEY = re.compile(r"[\x21-\x7e]{1,512}")
_KEY_FILE_BYTES_MAX = 4096
_READABLE_BY_OTHERS = 0o077


@dataclass(frozen=True)
class ApiConnection:
    """All that a client of the API is made from. The key is never shown, not even in a repr."""

    url: str
    key: str | None
    tls: ssl.SSLContext
    timeout_s: float
    proxy: Proxy | None = None
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Connection({self.url})"


@dataclass(frozen=True)
class Given:
    """What the command line says; None where it says nothing."""

    url: str | None = None
    api_key_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: float = TIMEOUT_DEFAULT_S


def api_connection(given: Given, environment: Mapping[str, str] = os.environ) -> ApiConnection:
    """Return the api_connection that options and environment ask for; an option goes before its variable.

    An empty variable counts as not set. Raises UsageError, which names the option, file or variable and never
    shows a key.
    """
    url = _url(given.url or environment.get(URL_VARIABLE) or URL_DEFAULT)
    key, warnings = _key(given.api_key_file, environment)
    if key is not None and url.scheme == "http" and not _is_loopback(url.host):
        warnings.append(f"the API key travels unencrypted to {url.host}; use https")
    proxy = proxy_for(url, environment)
    return ApiConnection(str(url).rstrip("/"), key, _tls(given.ca_file), given.timeout_s, proxy, tuple(warnings))


def _url(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        url = httpx2.URL("")
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query or url.fragment:
        message = f"--url or {URL_VARIABLE} must be an http or https URL without user, query or fragment"
        raise UsageError(message)
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(file: Path | None, environment: Mapping[str, str]) -> tuple[str | None, list[str]]:
    if file is None:
        key = environment.get(KEY_VARIABLE)
        return _checked(key, KEY_VARIABLE) if key else None, []
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read(_KEY_FILE_BYTES_MAX)
    except OSError as error:
        message = f"--api-key-file: {file}: {error.strerror}"
        raise UsageError(message) from error
    warnings = [f"{file} can be read by others: chmod 600 it"] if mode & _READABLE_BY_OTHERS else []
    return _checked(content.decode("latin-1").strip(), f"--api-key-file: {file}"), warnings


def _checked(key: str, source: str) -> str:
    if not _KEY.fullmatch(key):
        message = f"{source}: does not hold an API key (printable ASCII without blanks)"
        raise UsageError(message)
    return key


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is None:
        return httpx2.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one, too
        message = f"--ca-file: {ca_file}: {error.strerror or 'holds no certificate in PEM form'}"
        raise UsageError(message) from error
