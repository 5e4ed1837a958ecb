"""Choose the proxy for the API. It is chosen here, not in the HTTP library, so that an error can name it."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2

from cli.exits import UsageError
from cli.rendering import clean


@dataclass(frozen=True)
class Proxy:
    """A proxy, and the environment variable that names it. Its text and repr contain no user and no password."""

    variable: str
    url: httpx2.URL = field(repr=False)

    def __str__(self) -> str:
        port = "" if self.url.port is None else f":{self.url.port}"
        host = f"[{self.url.host}]" if ":" in self.url.host else self.url.host
        return f"{self.url.scheme}://{clean(host)}{port} ({self.variable})"


def proxy_for(api: httpx2.URL, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy from HTTP_PROXY, HTTPS_PROXY or ALL_PROXY; None without one, or if NO_PROXY exempts the API.

    A lower-case variable overrides the upper-case one. An empty one counts as not set. Raises UsageError if the value
    is not the URL of an HTTP proxy; its message names the variable and contains no secret.
    """
    found = _variable(f"{api.scheme}_proxy", environment) or _variable("all_proxy", environment)
    if found is None or _is_exempt(api, environment):
        return None
    name, value = found
    return Proxy(name, _url(name, value))


def _variable(name: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    for each in (name, name.upper()):
        if value := environment.get(each, "").strip():
            return each, value
    return None


def _is_exempt(api: httpx2.URL, environment: Mapping[str, str]) -> bool:
    _, exempt = _variable("no_proxy", environment) or ("", "")
    return any(_covers(each.strip().lower(), api) for each in exempt.split(",") if each.strip())


def _covers(exempt: str, api: httpx2.URL) -> bool:
    """Return whether an entry of NO_PROXY exempts the API: `*`, a host or domain (also with a port), or a network."""
    if exempt == "*":
        return True
    network = _network(exempt.strip("[]"))
    if network is not None:
        try:
            return ipaddress.ip_address(api.host) in network
        except ValueError:
            return False
    host, _, port = exempt.rpartition(":")
    if port.isdigit() and host:
        return api.port == int(port) and _covers(host, api)
    name = exempt.removeprefix("*").removeprefix(".")
    return api.host == name or api.host.endswith(f".{name}")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _url(variable: str, value: str) -> httpx2.URL:
    try:
        url = httpx2.URL(value if "://" in value else f"http://{value}")
    except (httpx2.InvalidURL, ValueError):
        url = httpx2.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        message = f"{variable} must be the http or https URL of a proxy, such as http://proxy.example:3128"
        raise UsageError(message)
    return url
