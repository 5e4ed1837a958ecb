"""URL, API key, certificates and proxy of the API: read from options, environment and files, and validated."""

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
    """Everything that the client of the API needs. The repr does not contain the key."""

    url: str
    key: str | None
    tls: ssl.SSLContext
    timeout_s: float
    proxy: Proxy | None = None
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ApiConnection({self.url})"


@dataclass(frozen=True)
class ConnectionOptions:
    """The options of the command line; None for an option that is not given."""

    url: str | None = None
    api_key_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: float = TIMEOUT_DEFAULT_S


def api_connection(options: ConnectionOptions, environment: Mapping[str, str] = os.environ) -> ApiConnection:
    """Return the connection for these options and environment variables. An option overrides its variable.

    An empty variable counts as not set. Raises UsageError, which names the option, file or variable and does not
    contain the key.
    """
    url = _url(options.url or environment.get(URL_VARIABLE) or URL_DEFAULT)
    key, warnings = _key(options.api_key_file, environment)
    if key is not None and url.scheme == "http" and not _is_loopback(url.host):
        warnings.append(f"the API key is sent to {url.host} unencrypted; use https")
    proxy = proxy_for(url, environment)
    return ApiConnection(str(url).rstrip("/"), key, _tls(options.ca_file), options.timeout_s, proxy, tuple(warnings))


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
        return _valid_key(key, KEY_VARIABLE) if key else None, []
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read(_KEY_FILE_BYTES_MAX)
    except OSError as error:
        message = f"--api-key-file: {file}: {error.strerror}"
        raise UsageError(message) from error
    warnings = [f"other users can read {file}; run chmod 600 on it"] if mode & _READABLE_BY_OTHERS else []
    return _valid_key(content.decode("latin-1").strip(), f"--api-key-file: {file}"), warnings


def _valid_key(key: str, source: str) -> str:
    if not _KEY.fullmatch(key):
        message = f"{source}: is not an API key (printable ASCII without spaces)"
        raise UsageError(message)
    return key


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is None:
        return httpx2.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # includes ssl.SSLError
        message = f"--ca-file: {ca_file}: {error.strerror or 'contains no PEM certificate'}"
        raise UsageError(message) from error
