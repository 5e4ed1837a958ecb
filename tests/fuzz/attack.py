"""The configuration of schemathesis: deterministic cases, few enough for every run.

`FUZZ_EXAMPLES=500` generates more cases for each operation and sequence; `make prove` sets it. Every check of
schemathesis is on. If one does not apply, the test gives the reason.
"""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Response
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.schemas import BaseSchema

Case = schemathesis.Case[Any]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "4"))
"""Random requests for each operation, in addition to those that schemathesis derives systematically from its schema."""
STEPS = 8

load_all_checks()
POSITIVE, NEGATIVE, MISSING_HEADER, RESPONSE_SCHEMA = CHECKS.get_by_names(
    [
        "positive_data_acceptance",
        "negative_data_rejection",
        "missing_required_header",
        "response_schema_conformance",
    ]
)

SEQUENCES = settings(
    max_examples=max(4, EXAMPLES // 2),
    stateful_step_count=STEPS,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def schema_of(document: dict[str, Any]) -> BaseSchema:
    """Return the schemathesis schema of an OpenAPI document."""
    config = {
        "seed": 1,
        "generation": {
            "max-examples": EXAMPLES,
            "deterministic": True,
            "database": "none",
            # The check `ignored_auth` sends invalid keys. All other requests have the correct key.
            "with-security-parameters": False,
        },
        "suppress-health-check": ["all"],
        # Only the documented links are tested; schemathesis must not guess further ones.
        "phases": {"stateful": {"inference": {"algorithms": []}}},
    }
    return schemathesis.openapi.from_dict(document, config=schemathesis.Config.from_dict(config))


@dataclass(frozen=True)
class Attack:
    """Sends generated requests to a server, and checks the responses."""

    url: str
    headers_of: Callable[[Case], dict[str, str]] = lambda _: {}
    exemptions: Callable[[Case, Response], list[Any]] = lambda _, __: []
    """Returns the checks that do not apply to a response. Each test module gives the rule and its reason."""

    def send(self, case: Case) -> Response:
        """Send one request and check its response."""
        response = case.call(**self.kwargs(case))
        self.check(response, case)
        return response

    def kwargs(self, case: Case) -> dict[str, Any]:
        """Return the additional arguments of a request. Redirects are checked, not followed."""
        return {"base_url": self.url, "headers": self.headers_of(case), "timeout": 30, "allow_redirects": False}

    def check(self, response: Response, case: Case, **recorded: Any) -> None:  # noqa: ANN401 - schemathesis's own
        """Check a response with every check that applies."""
        case.validate_response(
            response,
            headers=self.headers_of(case),
            excluded_checks=self.exemptions(case, response),
            transport_kwargs=self.kwargs(case),
            **recorded,
        )


def has_integer_with_a_fraction(body: object) -> bool:
    """Return whether a body has a number such as 7.0, which JSON Schema accepts as an integer and the API rejects."""
    if isinstance(body, dict | list):
        return any(map(has_integer_with_a_fraction, body.values() if isinstance(body, dict) else body))
    return isinstance(body, float) and body.is_integer()


def has_blank_parameter(case: Case, response: Response) -> bool:
    """Return whether a query parameter or header was blank: it counts as absent, which a schema cannot express.

    The query is taken as it was sent, because schemathesis sends an empty object or list as a blank parameter.
    """
    sent = parse_qsl(urlsplit(response.request.url or "").query, keep_blank_values=True)
    headers = [value for value in dict(case.headers or {}).values() if not isinstance(value, list | dict)]
    return any(not str(value).strip() for value in [*(value for _, value in sent), *headers])


class SequenceHooks:
    """Hooks before and after each request of a sequence, and the responses of all sequences."""

    def __init__(self) -> None:
        self.responses: set[tuple[str, int]] = set()

    def before(self, case: Case) -> None:
        """Change a request before it is sent."""

    def after(self, case: Case, response: Response) -> None:
        """Wait until the service has finished its work."""


def run_sequences(schema: BaseSchema, begin: Collection[str], attack: Attack, hooks: SequenceHooks) -> None:
    """Follow the links of the document from response to request. Each sequence starts with one of these operations.

    The possible next steps depend on the earlier responses, and hypothesis repeats sequences. So the service must
    respond in the same way to the same sequence, whatever happened before. The hooks ensure that.
    """
    # By default schemathesis guesses the first operation: it takes `orderId` for a resource to be created first.
    with mock.patch(
        "schemathesis.specs.openapi.stateful.is_likely_root_transition",
        lambda operation, *_: operation.label in begin,
    ):
        base: Any = schema.as_state_machine()

    class Sequences(base):  # type: ignore[misc] # the base class is generated by schemathesis
        def before_call(self, case: Case) -> None:
            hooks.before(case)

        def after_call(self, response: Response, case: Case) -> None:
            super().after_call(response, case)
            hooks.responses.add((case.operation.label, response.status_code))
            hooks.after(case, response)

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return attack.kwargs(case)

        def validate_response(self, response: Response, case: Case, **_: object) -> None:
            attack.check(response, case, recorder=self.recorder)

    Sequences.run(settings=SEQUENCES)
