"""The client of the API: bounded in time and size, and careful about what may be sent twice."""

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
from cli.network import network, proxys_own
from cli.problem import error_of

REPEATS_MAX = 3
"""How often a request that may be repeated is, after a 503."""
RETRY_AFTER_MAX_S = 30.0
"""An API that asks for a longer pause gets it: from whoever runs the command, not from a silent program."""
ANSWER_BYTES_MAX = 64 * 1024 * 1024
SILENCE_MAX_S = 60.0
"""An event stream that says nothing for so long is taken for broken and asked for again."""

Params = Mapping[str, str | int | None]
T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class ApiResponse:
    """One successful answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:  # noqa: ANN401 - whatever the body is
        """Return the body's value."""
        return json.loads(self.text)

    def items(self) -> list[dict[str, Any]]:
        """Return the body's items; NoAnswerError where it has none."""
        body = self.json()
        items = body.get("items") if isinstance(body, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            message = "the answer is no list of items; is the URL right?"
            raise NoAnswerError(message)
        return items

    def read(self, model: type[T]) -> T:
        """Return the body as a model; NoAnswerError where it is none."""
        return as_model(self.json(), model)


def as_model(value: object, model: type[T]) -> T:
    """Return a part of an answer as a model; NoAnswerError where a newer API says what this program does not know."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])
        message = f"this version of the program cannot read the answer ({field}); --json shows it is"
        raise NoAnswerError(message) from error


class Api:
    """Sends requests. Every method raises RefusedError, NoAnswerError, or ReaderGoneError from `say`."""

    def __init__(self, connection: ApiConnection, say: Callable[[str], None]) -> None:
        self._timeout_s = connection.timeout_s
        self._say = say
        headers = {"User-Agent": f"settlement-cli/{version('order-settlement')}", "Accept": "application/json"}
        if connection.key is not None:
            headers["Authorization"] = f"Bearer {connection.key}"
        self._connection = connection
        self._url = connection.url
        self._http = httpx2.Client(
            verify=connection.tls,
            proxy=None if connection.proxy is None else httpx2.Proxy(connection.proxy.url),
            # All that the environment says has gone into the connection.
            trust_env=False,
            headers=headers,
            timeout=connection.timeout_s,
            limits=httpx2.Limits(max_connections=2),
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def get(self, path: str, params: Params | None = None) -> ApiResponse:
        """Read; after a 503 again, at most `REPEATS_MAX` times."""
        return self._repeating(lambda: self._send("GET", path, params=_given(params)))

    def post(
        self,
        path: str,
        content: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0,
        repeatable: bool = False,
    ) -> ApiResponse:
        """Ask for something to be done, with a JSON body or none; the API may take `wait_s` longer than the timeout.

        `repeatable` only where repeating is known to be doing it once: then a 503 has it sent again.
        """
        all_headers = {**(headers or {}), **({"Content-Type": "application/json"} if content is not None else {})}

        def send() -> ApiResponse:
            return self._send("POST", path, content=content, headers=all_headers, wait_s=wait_s)

        return self._repeating(send) if repeatable else send()

    @contextmanager
    def events(self, path: str, last_event_id: str | None) -> Iterator[Iterator[httpx2.ServerSentEvent]]:
        """Open an event stream, after an event if one is named. It ends where the API ends it or breaks off."""
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        timeout = httpx2.Timeout(self._timeout_s, read=max(SILENCE_MAX_S, self._timeout_s))
        with network(self._connection), self._http.sse(self._url + path, headers=headers, timeout=timeout) as source:
            if source.response.status_code != HTTPStatus.OK:
                self._read(source.response, self._timeout_s)
            if not source.response.headers.get("content-type", "").startswith("text/event-stream"):
                message = f"no event stream; is {self._url} the API?"
                raise NoAnswerError(message)
            yield iter(source)

    def _repeating(self, send: Callable[[], ApiResponse]) -> ApiResponse:
        for left in reversed(range(REPEATS_MAX + 1)):
            try:
                return send()
            except NoAnswerError as error:
                if not left or error.retry_after_s is None or error.retry_after_s > RETRY_AFTER_MAX_S:
                    raise
                self._say(f"unavailable; again in {error.retry_after_s:g} s")
                time.sleep(error.retry_after_s)
        raise AssertionError

    def _send(self, method: str, path: str, *, wait_s: float = 0, **options: Any) -> ApiResponse:  # noqa: ANN401 - httpx2's own options
        limit_s = self._timeout_s + wait_s
        timeout = httpx2.Timeout(self._timeout_s, read=limit_s)
        with (
            network(self._connection),
            self._http.stream(method, self._url + path, timeout=timeout, **options) as response,
        ):
            return self._read(response, limit_s)

    def _read(self, response: httpx2.Response, limit_s: float) -> ApiResponse:
        text = _body(response, limit_s)
        if not response.is_success:
            stranger = proxys_own(self._connection, response.status_code)
            raise error_of(response.status_code, text, response.headers.get("retry-after"), stranger)
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            message = f"HTTP {response.status_code}, and not JSON; is {self._url} the API?"
            raise NoAnswerError(message) from None
        return ApiResponse(response.status_code, response.headers, text)


def _body(response: httpx2.Response, limit_s: float) -> str:
    """Read the body within a number of seconds and bytes: a timeout of its own is per read, and a drip outlasts it."""
    ends_at = time.monotonic() + limit_s
    content = bytearray()
    for part in response.iter_bytes():
        content += part
        if len(content) > ANSWER_BYTES_MAX:
            message = f"the answer is larger than {ANSWER_BYTES_MAX} bytes"
            raise NoAnswerError(message)
        if time.monotonic() > ends_at:
            message = f"the answer was not complete after {limit_s:g} s"
            raise NoAnswerError(message)
    return content.decode("utf-8", "replace")


def _given(params: Params | None) -> dict[str, str | int]:
    return {name: value for name, value in (params or {}).items() if value is not None}
