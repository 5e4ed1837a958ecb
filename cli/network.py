"""Translate network errors into NoAnswerError, with a message that names what did not answer: API or proxy."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import httpx2

from cli.connection import ApiConnection
from cli.exits import CliError, NoAnswerError
from cli.rendering import clean

_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, httpx2.UnsupportedProtocol)
_GATEWAY_STATUSES = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}


@contextmanager
def network_errors(connection: ApiConnection) -> Iterator[None]:
    """Raise NoAnswerError in place of a network error; with `never_sent` if the request was certainly not sent."""
    try:
        yield
    except CliError:
        raise
    except _NEVER_SENT as error:
        raise NoAnswerError(_not_reached(connection, error), never_sent=True) from error
    except httpx2.TimeoutException as error:
        message = f"no answer from {_target(connection)} in time"
        raise NoAnswerError(message) from error
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        message = f"the connection to {_target(connection)} broke: {_reason(error)}"
        raise NoAnswerError(message) from error


def proxy_message(connection: ApiConnection, status: int) -> str | None:
    """Return the error message for a response that does not come from the API; None if no proxy is used."""
    if connection.proxy is None:
        return None
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return f"the proxy {connection.proxy} requires a user and password, or refuses those in its URL (HTTP 407)"
    if status in _GATEWAY_STATUSES:
        return f"HTTP {status} does not come from the API: the proxy {connection.proxy} did not reach {connection.url}"
    return f"HTTP {status} does not come from the API; check the URL and the proxy {connection.proxy}"


def _not_reached(connection: ApiConnection, error: Exception) -> str:
    proxy = connection.proxy
    if proxy is None:
        return f"cannot reach {connection.url}: {_reason(error)}"
    if isinstance(error, httpx2.ProxyError):
        return f"the proxy {proxy} refuses the connection to {connection.url}: {_reason(error)}"
    if proxy.url.scheme == "http" and _is_tls_error(error):
        return f"cannot reach {_target(connection)}: {_reason(error)}"
    return f"cannot reach the proxy {proxy} for {connection.url}: {_reason(error)}"


def _is_tls_error(error: BaseException | None) -> bool:
    """Return whether TLS caused the error. With a proxy over plain HTTP, only the API can be the cause."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _target(connection: ApiConnection) -> str:
    through = "" if connection.proxy is None else f" through the proxy {connection.proxy}"
    return f"{connection.url}{through}"


def _reason(error: Exception) -> str:
    return clean(str(error)) or type(error).__name__
