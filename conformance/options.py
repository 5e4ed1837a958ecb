"""Reads the values of the command line. Raises OptionError for a wrong one; nothing was sent then."""

import json
import os
import re
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from conformance.target import CONTRACT_CODES, BalanceSource, Header, Hook, Meaning

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PORT_MAX = 65_535
_OWN_HEADERS = {"content-length", "host", "connection", "transfer-encoding", "trace", "timestamp", "companyid"}
_METADATA_LENGTH_MAX = 200


class OptionError(ValueError):
    """A value of the command line is wrong. The message says which and why, without secrets."""


def base_url(text: str, option: str = "--base-url") -> str:
    """Return a base URL; refuse one that is not HTTP or that contains credentials, a query or white space."""
    try:
        parts = urlsplit(text)
        port_is_valid = 0 < (parts.port or 1) <= _PORT_MAX
    except ValueError:
        message = f"{option} must be a URL such as https://broker.example:8443"
        raise OptionError(message) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid or re.search(r"\s", text):
        message = f"{option} must be a URL such as https://broker.example:8443"
        raise OptionError(message)
    if parts.username is not None or parts.password is not None:
        message = f"{option} must not contain credentials; send them as a header: --header 'Authorization: env:VAR'"
        raise OptionError(message)
    if option == "--base-url" and (parts.query or parts.fragment):
        message = "--base-url must not have a query or a fragment"
        raise OptionError(message)
    return text


def path(text: str, option: str) -> str:
    """Return the path of an operation, which starts with a slash."""
    if not re.fullmatch(r"/[!-~]*", text):
        message = f"{option} must start with / and hold printable ASCII characters only"
        raise OptionError(message)
    return text


def header(text: str) -> Header:
    """Return a header given as 'Name: value'. The value may be `env:VAR` or `file:PATH`."""
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not _HEADER_NAME.fullmatch(name):
        message = "--header must be 'Name: value'"
        raise OptionError(message)
    if name.lower() in _OWN_HEADERS:
        message = f"--header {name}: the kit sets this header itself"
        raise OptionError(message)
    kind, _, reference = value.partition(":")
    if kind == "env":
        return Header(name, _text(name, _from_environment(name, reference)), f"${reference}")
    if kind == "file":
        return Header(name, _text(name, _from_file(name, reference)), f"$(cat {_shell_path(reference)})")
    return Header(name, _text(name, value), f"${re.sub('[^A-Z0-9]', '_', name.upper())}")


def header_setting(text: str) -> str:
    """Return a header as a report shows it: a reference as it is, and never a value."""
    name, _, value = text.partition(":")
    is_reference = value.strip().startswith(("env:", "file:"))
    return f"{name}: {value.strip() if is_reference else '***'}"


def ca_file(file: Path | None) -> Path | None:
    """Return the file; refuse one that holds no certificates."""
    try:
        if file is not None:
            ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError):
        message = f"--ca-file: {file} is not a PEM file with certificates"
        raise OptionError(message) from None
    return file


def codes(texts: Iterable[str]) -> Mapping[str, Meaning]:
    """Return the declared codes, each given as 'CODE=MEANING'."""
    allowed = [each for each in Meaning if each is not Meaning.REFUSED]
    declared = {}
    for text in texts:
        code, _, meaning = text.rpartition("=")
        if not code or meaning not in allowed:
            message = f"--code must be CODE=MEANING, and MEANING one of {', '.join(allowed)}"
            raise OptionError(message)
        if code in CONTRACT_CODES:
            message = f"--code {code}: the contract defines this code"
            raise OptionError(message)
        declared[code] = Meaning(meaning)
    return declared


def business_statuses(values: Iterable[int]) -> frozenset[int]:
    """Return the HTTP statuses besides 200 that carry business answers."""
    for value in values:
        if not 201 <= value <= 499:  # noqa: PLR2004 - the classes of statuses
            message = "--business-status must be an HTTP status from 201 to 499"
            raise OptionError(message)
    return frozenset(values)


def hook(name: str, metadata: str | None, customer: str | None) -> Hook | None:
    """Return how an adjust is made that the broker refuses or applies slowly; None if neither option is given."""
    if metadata is None and customer is None:
        return None
    if metadata is not None:
        try:
            json.loads(metadata)
        except ValueError:
            message = f"--{name}-metadata must be JSON text"
            raise OptionError(message) from None
        if len(metadata) > _METADATA_LENGTH_MAX:
            message = f"--{name}-metadata must have at most {_METADATA_LENGTH_MAX} characters"
            raise OptionError(message)
    return Hook(metadata, customer)


def balance(url: str | None, pointer: str | None) -> BalanceSource | None:
    """Return where balances are read; None if no option is given."""
    if url is None and pointer is None:
        return None
    if url is None or pointer is None:
        message = "--balance-url and --balance-pointer must be given together"
        raise OptionError(message)
    base_url(re.sub(r"\{[A-Za-z]+\}", "x", url), "--balance-url")
    if pointer and not pointer.startswith("/"):
        message = "--balance-pointer must be empty or start with / (RFC 6901)"
        raise OptionError(message)
    return BalanceSource(url, pointer)


def _from_environment(name: str, variable: str) -> str:
    value = os.environ.get(variable) if _VARIABLE.fullmatch(variable) else None
    if value is None:
        message = f"--header {name}: the environment variable {variable} is not set"
        raise OptionError(message)
    return value


def _from_file(name: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError, ValueError):
        message = f"--header {name}: the file {file} cannot be read"
        raise OptionError(message) from None


def _text(name: str, value: str) -> str:
    if not value or not re.fullmatch(r"[\t -~\x80-\xff]*", value) or value != value.strip():
        message = f"--header {name}: the value must be one line of Latin-1 text without blanks at its ends"
        raise OptionError(message)
    return value


def _shell_path(file: str) -> str:
    return "'" + file.replace("'", "'\\''") + "'"
