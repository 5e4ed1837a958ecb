"""Checks requests and replies against the published documents; each describes one operation.

`reference/` holds the documents without their sentences: types, lengths, formats, required, headers, paths.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator, FormatChecker

REFERENCE = Path(__file__).parent / "reference"
OF_HTTP = {"Host", "Accept", "Accept-Encoding", "Content-Type", "Content-Length", "User-Agent"}
"""Headers of HTTP itself, which the documents need not describe."""

FORMATS = FormatChecker(formats=())
"""Schemas of OpenAPI 3.0 are JSON Schema Draft 4 with additional formats; `long` and `int64` are the same."""

HEADER_FORMS = {"string": ".*", "integer": "-?(0|[1-9][0-9]*)", "number": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?"}


@FORMATS.checks("long")
@FORMATS.checks("int64")
def is_int64(value: object) -> bool:
    """Tell whether a number fits in 64 bits, exactly and as an integer."""
    return not isinstance(value, int | float) or (isinstance(value, int) and -(2**63) <= value < 2**63)


@dataclass(frozen=True)
class Published:
    """One published operation."""

    path: str
    method: str
    parameters: list[dict[str, Any]]
    body: dict[str, Any]
    reply: dict[str, Any]

    def header_faults(self, headers: Mapping[str, str]) -> list[str]:
        """Return the errors in the headers of a request."""
        declared = {each["name"]: each for each in self.parameters if each["in"] == "header"}
        faults = [f"undeclared {name}" for name in headers if name not in OF_HTTP | set(declared)]
        for name, parameter in declared.items():
            if name in headers:
                if not re.fullmatch(HEADER_FORMS[parameter["schema"]["type"]], headers[name]):
                    faults.append(f"{name} is not {parameter['schema']['type']}: {headers[name]}")
            elif parameter["required"]:
                faults.append(f"missing {name}")
        return faults

    def body_faults(self, body: bytes) -> list[str]:
        """Return the errors in the body of a request, including floats and undeclared fields."""
        value = json.loads(body.decode(), parse_float=_no_float)
        undeclared = [f"undeclared {name}" for name in value if name not in self.body["properties"]]
        return undeclared + faults(self.body, value)


def faults(schema: dict[str, Any], value: object) -> list[str]:
    """Return the errors of a JSON value under a schema of the documents."""
    validator = Draft4Validator(schema, format_checker=FORMATS)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def _no_float(text: str) -> None:
    message = f"a float on the wire: {text}"
    raise AssertionError(message)


def _read(name: str) -> Published:
    document = json.loads((REFERENCE / f"{name}.openapi.json").read_text())
    [(path, methods)] = document["paths"].items()
    [(method, operation)] = methods.items()
    json_type = "application/json"
    return Published(
        path=path,
        method=method.upper(),
        parameters=operation["parameters"],
        body=operation["requestBody"]["content"][json_type]["schema"],
        reply=operation["responses"]["200"]["content"][json_type]["schema"],
    )


ADJUST = _read("adjust")
CANCEL_ADJUST = _read("cancel-adjust")
CANCEL_OPERATION = _read("cancel-operation.deprecated")
PUBLISHED = {"adjust": ADJUST, "cancel adjust": CANCEL_ADJUST, "cancel operation": CANCEL_OPERATION}
