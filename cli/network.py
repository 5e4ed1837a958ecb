"""What the network does to a request, as the one error that a command can act on, naming what did not answer."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import httpx2

from cli.connection import ApiConnection
from cli.exits import CliError, NoAnswerError
from cli.text import clean

_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, httpx2.UnsupportedProtocol)
_BY_A_GATEWAY = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}


@contextmanager
def network(connection: ApiConnection) -> Iterator[None]:
    """Raise NoAnswerError in place of whatever the network does; `never_sent` where no request can have left."""
    try:
        yield
    except CliError:
        raise
    except _NEVER_SENT as error:
        raise NoAnswerError(_not_reached(connection, error), never_sent=True) from error
    except httpx2.TimeoutException as error:
        message = f"no answer from {_way(connection)} in time"
        raise NoAnswerError(message) from error
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        message = f"the connection to {_way(connection)} broke: {_why(error)}"
        raise NoAnswerError(message) from error


def proxys_own(connection: ApiConnection, status: int) -> str | None:
    """Return what an answer means that is not the API's own and has passed a proxy; None: nothing of the proxy."""
    if connection.proxy is None:
        return None
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return f"the proxy {connection.proxy} asks for a user and password, or refuses those in its URL (HTTP 407)"
    if status in _BY_A_GATEWAY:
        return f"HTTP {status}, and not in the API's words: the proxy {connection.proxy} did not reach {connection.url}"
    return f"HTTP {status}, and not in the API's words; is the URL right, and the proxy {connection.proxy}?"


def _not_reached(connection: ApiConnection, error: Exception) -> str:
    proxy = connection.proxy
    if proxy is None:
        return f"cannot reach {connection.url}: {_why(error)}"
    if isinstance(error, httpx2.ProxyError):
        return f"the proxy {proxy} does not let us through to {connection.url}: {_why(error)}"
    if proxy.url.scheme == "http" and _is_about_tls(error):
        return f"cannot reach {_way(connection)}: {_why(error)}"
    return f"cannot reach the proxy {proxy} on the way to {connection.url}: {_why(error)}"


def _is_about_tls(error: BaseException | None) -> bool:
    """Tell whether an error is about a certificate: with a proxy over plain HTTP that can only be the API's."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _way(connection: ApiConnection) -> str:
    through = "" if connection.proxy is None else f" through the proxy {connection.proxy}"
    return f"{connection.url}{through}"


def _why(error: Exception) -> str:
    return clean(str(error)) or type(error).__name__
