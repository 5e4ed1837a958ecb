"""The HTTP client of the API: limited in time and size; it repeats only requests that are safe to repeat."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from cli.connection import ApiConnection
from cli.exits import NoAnswerError
from cli.network import network_errors, proxy_message
from cli.problem import error_from_response

RETRIES_MAX = 3
"""How often an idempotent request is repeated after a 503."""
RETRY_AFTER_MAX_S = 30.0
"""If a 503 asks for a longer pause, the command ends with an error; the user decides when to try again."""
RESPONSE_BYTES_MAX = 64 * 1024 * 1024
STREAM_IDLE_MAX_S = 60.0
"""An event stream without data for this time counts as broken."""

Params = Mapping[str, str | int | None]
T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class ApiResponse:
    """A successful response."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the JSON value of the body."""
        return json.loads(self.text)

    def items(self) -> list[dict[str, Any]]:
        """Return the items of a list. Raises NoAnswerError if the body is not a list of items."""
        body = self.json()
        items = body.get("items") if isinstance(body, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            message = "the answer is not a list of items; check the URL"
            raise NoAnswerError(message)
        return items

    def read(self, model: type[T]) -> T:
        """Return the body as a model. Raises NoAnswerError if it does not fit the model."""
        return as_model(self.json(), model)


def as_model(value: object, model: type[T]) -> T:
    """Return a JSON value as a model. Raises NoAnswerError if it does not fit, for example with a newer API."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])
        message = f"this version of the program cannot read the answer ({field}); use --json to show it unchanged"
        raise NoAnswerError(message) from error


class Api:
    """The client. A request raises RefusedError if the API refuses it, and NoAnswerError without a usable answer."""

    def __init__(self, connection: ApiConnection, notify: Callable[[str], None]) -> None:
        self._timeout_s = connection.timeout_s
        self._notify = notify
        headers = {"User-Agent": f"settlement-cli/{version('order-settlement')}", "Accept": "application/json"}
        if connection.key is not None:
            headers["Authorization"] = f"Bearer {connection.key}"
        self._connection = connection
        self._url = connection.url
        self._http = httpx2.Client(
            verify=connection.tls,
            proxy=None if connection.proxy is None else httpx2.Proxy(connection.proxy.url),
            # The connection already contains what the environment says.
            trust_env=False,
            headers=headers,
            timeout=connection.timeout_s,
            limits=httpx2.Limits(max_connections=2),
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, params: Params | None = None) -> ApiResponse:
        """Send a GET. After a 503 it is repeated at most `RETRIES_MAX` times."""
        # None, not an empty mapping, which would replace the query that the path may have.
        query = _without_none(params) or None
        return self._with_retries(lambda: self._send("GET", path, params=query))

    def post(
        self,
        path: str,
        content: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0,
        idempotent: bool = False,
    ) -> ApiResponse:
        """Send a POST, with a JSON body if `content` is given. `wait_s` is added to the timeout.

        Set `idempotent` only if repeating the request has no further effect; then it is repeated after a 503.
        """
        all_headers = {**(headers or {}), **({"Content-Type": "application/json"} if content is not None else {})}

        def send() -> ApiResponse:
            return self._send("POST", path, content=content, headers=all_headers, wait_s=wait_s)

        return self._with_retries(send) if idempotent else send()

    @contextmanager
    def events(self, path: str, last_event_id: str | None) -> Iterator[Iterator[httpx2.ServerSentEvent]]:
        """Open an event stream, after the event `last_event_id` if given. It ends when the API ends or breaks it."""
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        timeout = httpx2.Timeout(self._timeout_s, read=max(STREAM_IDLE_MAX_S, self._timeout_s))
        with (
            network_errors(self._connection),
            self._http.sse(self._url + path, headers=headers, timeout=timeout) as source,
        ):
            if source.response.status_code != HTTPStatus.OK:
                self._read(source.response, self._timeout_s)
            if not source.response.headers.get("content-type", "").startswith("text/event-stream"):
                message = f"the answer is not an event stream; is {self._url} the API?"
                raise NoAnswerError(message)
            yield iter(source)

    def _with_retries(self, send: Callable[[], ApiResponse]) -> ApiResponse:
        for remaining in reversed(range(RETRIES_MAX + 1)):
            try:
                return send()
            except NoAnswerError as error:
                if not remaining or error.retry_after_s is None or error.retry_after_s > RETRY_AFTER_MAX_S:
                    raise
                self._notify(f"the API is unavailable; will retry in {error.retry_after_s:g} s")
                time.sleep(error.retry_after_s)
        raise AssertionError

    def _send(self, method: str, path: str, *, wait_s: float = 0, **options: Any) -> ApiResponse:  # noqa: ANN401 - httpx2's own options
        limit_s = self._timeout_s + wait_s
        timeout = httpx2.Timeout(self._timeout_s, read=limit_s)
        with (
            network_errors(self._connection),
            self._http.stream(method, self._url + path, timeout=timeout, **options) as response,
        ):
            return self._read(response, limit_s)

    def _read(self, response: httpx2.Response, limit_s: float) -> ApiResponse:
        text = _body(response, limit_s)
        if not response.is_success:
            foreign_message = proxy_message(self._connection, response.status_code)
            raise error_from_response(response.status_code, text, response.headers.get("retry-after"), foreign_message)
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            message = f"HTTP {response.status_code}, but the answer is not JSON; is {self._url} the API?"
            raise NoAnswerError(message) from None
        return ApiResponse(response.status_code, response.headers, text)


def _body(response: httpx2.Response, limit_s: float) -> str:
    """Read the body within `limit_s` in total and RESPONSE_BYTES_MAX; the timeout of the client is only per read."""
    deadline = time.monotonic() + limit_s
    content = bytearray()
    for part in response.iter_bytes():
        content += part
        if len(content) > RESPONSE_BYTES_MAX:
            message = f"the answer is larger than {RESPONSE_BYTES_MAX} bytes"
            raise NoAnswerError(message)
        if time.monotonic() > deadline:
            message = f"the answer was not complete after {limit_s:g} s"
            raise NoAnswerError(message)
    return content.decode("utf-8", "replace")


def _without_none(params: Params | None) -> dict[str, str | int]:
    return {name: value for name, value in (params or {}).items() if value is not None}
