"""The curl command that sends the same request as an exchange."""

import shlex
from urllib.parse import urlsplit

from conformance.target import Target

_MADE_BY_CURL = {"host", "content-length", "connection"}


def curl(target: Target, url: str, request: bytes) -> str:
    """Return the command for a request; it shows secrets as shell variables or as the files that hold them."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    parts = urlsplit(url)
    command = ["curl", "-sS", "-i", "--http1.1", "--path-as-is", "--max-time", f"{target.exchange_limit_s:g}"]
    if target.ca_file is not None:
        command += ["--cacert", shlex.quote(str(target.ca_file))]
    command += [shlex.quote(f"{parts.scheme}://{parts.netloc}{path}")]
    secrets = {each.name: each.shell for each in target.headers}
    for line in lines:
        name, _, value = line.partition(": ")
        if name in secrets:
            command += ["-H", f'"{name}: {secrets[name]}"']
        elif name.lower() not in _MADE_BY_CURL:
            command += ["-H", shlex.quote(f"{name}: {value}" if value.strip() else f"{name};")]
    if method == "GET":
        return " ".join(command)
    return _with_body(" ".join(command), body)


def _with_body(command: str, body: bytes) -> str:
    text = body.decode("utf-8", errors="replace")
    if text.encode() == body and "\0" not in text and not text.startswith("@"):
        return f"{command} --data-binary {shlex.quote(text)}"
    # A shell argument cannot hold every byte, so printf writes them.
    escaped = "".join(f"\\{byte:03o}" for byte in body)
    return f"printf '{escaped}' | {command} --data-binary @-"
