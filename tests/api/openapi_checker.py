"""Checks every response of the API against its OpenAPI document and RFC 9457."""

import re
from typing import Any

import httpx2
from jsonschema import Draft202012Validator

from contract.path_segments import routable

PROBLEM = "application/problem+json"
INTERNAL_DETAILS = ("Traceback", 'File "', "sqlalchemy", "sqlite3", "psycopg", "pydantic", "temporalio", "grpc")

Document = dict[str, Any]


class OpenApiChecker:
    """The responses that the document allows for each operation."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._operations = {
            (method.upper(), re.compile(re.sub(r"\{\w+\}", "[^/]+", path))): operation
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        }

    def check(self, answer: httpx2.Response) -> None:
        """Fail if the document does not allow the response, or if the response is a malformed problem."""
        operation = self._operation(answer.request.method, routable(answer.request.url.raw_path.partition(b"?")[0]))
        if operation is not None:
            self._check_documented(operation["responses"], answer)
        if answer.status_code >= 400 and _media_type(answer) != "application/json":
            self._check_problem(answer)

    def validate(self, schema: Document, body: object) -> None:
        """Fail if a body does not match a schema of the document."""
        whole = {**schema, "components": self._document["components"]}
        Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(body)

    def _operation(self, method: str, path: str) -> Document | None:
        found = [each for (verb, form), each in self._operations.items() if verb == method and form.fullmatch(path)]
        return found[0] if found else None

    def _check_documented(self, responses: Document, answer: httpx2.Response) -> None:
        documented = responses.get(str(answer.status_code))
        assert documented is not None, f"{answer.status_code} of {answer.request.method} {answer.url} is documented"
        content = documented.get("content")
        if content is None:
            assert answer.content == b"", "a body is documented"
            return
        media_type = _media_type(answer)
        assert media_type in content, f"{media_type} is documented"
        body = answer.text if media_type == "text/event-stream" else answer.json()
        self.validate(content[media_type]["schema"], body)

    def _check_problem(self, answer: httpx2.Response) -> None:
        assert _media_type(answer) == PROBLEM, f"{_media_type(answer)} is a problem"
        body = answer.json()
        self.validate({"$ref": "#/components/schemas/Problem"}, body)
        assert body["status"] == answer.status_code, f"{body['status']} is the answer's status"
        assert body["type"].endswith(f":{body['code']}"), f"{body['type']} ends with its code"
        assert ("retry-after" in answer.headers) == (answer.status_code in {429, 503}), "429 and 503 have Retry-After"
        assert not [each for each in INTERNAL_DETAILS if each in answer.text], "it has no internal details"


def _media_type(answer: httpx2.Response) -> str:
    return str(answer.headers.get("content-type", "")).partition(";")[0]
