"""Checks the variables of the connection to Temporal, and says why a connection failed in one line."""

import os
import re
from typing import Any
from urllib.parse import urlsplit

from temporalio.envconfig import ClientConfig
from temporalio.service import TLSConfig

from config.fields import is_loopback

CA_FILE = "TEMPORAL_TLS_SERVER_CA_CERT_PATH"
CERTIFICATE_FILE = "TEMPORAL_TLS_CLIENT_CERT_PATH"
KEY_FILE = "TEMPORAL_TLS_CLIENT_KEY_PATH"


class TemporalSettingsError(ValueError):
    """The variables or the configuration file of the connection to Temporal are wrong. The message names the rule."""


class TemporalUnreachableError(RuntimeError):
    """There is no connection to Temporal. Nothing was sent to it. The message is one line and says what to look at."""


_CLOSED = (
    "it closed the connection: it may demand TLS, or a client certificate of its authority that has not expired "
    f"({CERTIFICATE_FILE}, {KEY_FILE})"
)
_REASONS = (
    ("UnknownIssuer", f"its certificate is not signed by the expected authority ({CA_FILE})"),
    ("ExpiredContext|certificate expired", "its certificate has expired"),
    ("NotValidYet", "its certificate is not valid yet; check the clocks"),
    ("NotValidForName", "its certificate is for another name than TEMPORAL_ADDRESS or TEMPORAL_TLS_SERVER_NAME"),
    ("NoCertificatesPresented", f"{CERTIFICATE_FILE} contains no certificate"),
    ("InvalidContentType|corrupt message", "it answers without TLS"),
    (
        "UnexpectedEof|BrokenPipe|ConnectionReset|AlertReceived|certificate required|connection closed",
        _CLOSED,
    ),
)
"""What the client's text contains, and the reason that it means."""


def connection_settings(default_address: str) -> dict[str, Any]:
    """Return the arguments of `Client.connect` that TEMPORAL_… and Temporal's configuration file set.

    Raises TemporalSettingsError for an unreadable file, a certificate without its key, and an API key that would be
    sent to another host without encryption.
    """
    # An empty variable counts as not set, as in our own settings; the SDK would read the current folder as a file.
    variables = {name: value for name, value in os.environ.items() if value or not name.startswith("TEMPORAL_")}
    try:
        found = ClientConfig.load_client_connect_config(override_env_vars=variables)
        config: dict[str, Any] = {"target_host": default_address, **found}
    except OSError as error:
        message = f"TEMPORAL_TLS…: {error.filename} cannot be read: {error.strerror}"
        raise TemporalSettingsError(message) from None
    except Exception as error:  # noqa: BLE001 - the SDK raises its own kinds and ValueError
        message = f"TEMPORAL_…: {error}"
        raise TemporalSettingsError(message) from None
    tls = config.get("tls")
    if isinstance(tls, TLSConfig) and (tls.client_cert is None) is not (tls.client_private_key is None):
        message = f"{CERTIFICATE_FILE} and {KEY_FILE}: both or neither must be set"
        raise TemporalSettingsError(message)
    if config.get("api_key") and tls is False and not _is_local(config["target_host"]):
        message = "TEMPORAL_TLS: must not be false with TEMPORAL_API_KEY: the key would be sent without encryption"
        raise TemporalSettingsError(message)
    return config


def _is_local(address: str) -> bool:
    return is_loopback(urlsplit(f"//{address}").hostname or "")


def unreachable(address: str, error: Exception) -> TemporalUnreachableError:
    """Return the error for a connection that failed with this error of the client."""
    text = str(error)
    reason = next((reason for pattern, reason in _REASONS if re.search(pattern, text)), text)
    return TemporalUnreachableError(f"Temporal at {address}: no connection: {reason}")
