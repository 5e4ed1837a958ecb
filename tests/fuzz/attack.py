"""How schemathesis is set up here: the same cases every time, few enough for every run, and nothing left behind.

`FUZZ_EXAMPLES=500` tries each operation and each way through them with more; `make prove` sets it. Every check of
schemathesis is on; where one cannot hold, the test says why.
"""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from unittest import mock

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Response
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.schemas import BaseSchema

Case = schemathesis.Case[Any]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "10"))
"""Random requests for each operation, beside those that schemathesis makes systematically of its schema."""
STEPS = 8

load_all_checks()
POSITIVE, NEGATIVE, MISSING_HEADER, SCHEMA_OF_ANSWER = CHECKS.get_by_names(
    [
        "positive_data_acceptance",
        "negative_data_rejection",
        "missing_required_header",
        "response_schema_conformance",
    ]
)

SEQUENCES = settings(
    max_examples=max(6, EXAMPLES // 2),
    stateful_step_count=STEPS,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def described(document: dict[str, Any]) -> BaseSchema:
    """Return what schemathesis makes of an OpenAPI document."""
    config = {
        "seed": 1,
        "generation": {
            "max-examples": EXAMPLES,
            "deterministic": True,
            "database": "none",
            # Keys that are none come from the check `ignored_auth`; anything else is sent with the right one.
            "with-security-parameters": False,
        },
        "suppress-health-check": ["all"],
        # Links are there to be held, not to be guessed.
        "phases": {"stateful": {"inference": {"algorithms": []}}},
    }
    return schemathesis.openapi.from_dict(document, config=schemathesis.Config.from_dict(config))


@dataclass(frozen=True)
class Attack:
    """Sends what schemathesis makes up to a server, and holds the answers against every check."""

    url: str
    headers_of: Callable[[Case], dict[str, str]] = lambda _: {}
    excused: Callable[[Case, Response], list[Any]] = lambda _, __: []
    """Which checks an answer is excused from; a rule for it stands with the test, and its reason."""

    def on(self, case: Case) -> Response:
        """Send one request and check its answer."""
        response = case.call(**self.kwargs(case))
        self.check(response, case)
        return response

    def kwargs(self, case: Case) -> dict[str, Any]:
        """Return what a request is sent with beyond its case. A redirect is looked at, not followed."""
        return {"base_url": self.url, "headers": self.headers_of(case), "timeout": 30, "allow_redirects": False}

    def check(self, response: Response, case: Case, **recorded: Any) -> None:  # noqa: ANN401 - schemathesis's own
        """Hold an answer against every check."""
        case.validate_response(
            response,
            headers=self.headers_of(case),
            excluded_checks=self.excused(case, response),
            transport_kwargs=self.kwargs(case),
            **recorded,
        )


def has_integer_with_a_fraction(body: object) -> bool:
    """Tell whether there is a 7.0 in a body: an integer to JSON Schema, which cannot say otherwise, and none to us."""
    if isinstance(body, dict | list):
        return any(map(has_integer_with_a_fraction, body.values() if isinstance(body, dict) else body))
    return isinstance(body, float) and body.is_integer()


def has_blank_parameter(case: Case) -> bool:
    """Tell whether a query or header has a blank value: it counts as absent, which a schema cannot say."""
    given = [*dict(case.query or {}).values(), *dict(case.headers or {}).values()]
    return any(not str(value).strip() for value in given if not isinstance(value, list | dict))


class Story:
    """What happens around the requests of sequences, and what was answered in all of them."""

    def __init__(self) -> None:
        self.answers: set[tuple[str, int]] = set()

    def before(self, case: Case) -> None:
        """Change a request before it is sent."""

    def after(self, case: Case, response: Response) -> None:
        """Wait until the service is at rest again."""


def sequences(schema: BaseSchema, begin: Collection[str], attack: Attack, story: Story) -> None:
    """Follow the document's links from answer to request, each sequence beginning with one of the operations named.

    Which step can come next depends on the answers so far, and a case is drawn anew for the same choices: the service
    must answer the same way to the same sequence, whatever came before it. `Story` sees to that.
    """
    # schemathesis guesses where to begin, and takes `orderId` for something that must be made first.
    with mock.patch(
        "schemathesis.specs.openapi.stateful.is_likely_root_transition",
        lambda operation, *_: operation.label in begin,
    ):
        base: Any = schema.as_state_machine()

    class Sequences(base):  # type: ignore[misc] # made by schemathesis, so of no type known
        def before_call(self, case: Case) -> None:
            story.before(case)

        def after_call(self, response: Response, case: Case) -> None:
            super().after_call(response, case)
            story.answers.add((case.operation.label, response.status_code))
            story.after(case, response)

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return attack.kwargs(case)

        def validate_response(self, response: Response, case: Case, **_: object) -> None:
            attack.check(response, case, recorder=self.recorder)

    Sequences.run(settings=SEQUENCES)
