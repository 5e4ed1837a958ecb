"""The document's links lead where they say: what one answer names, the next request finds."""

import asyncio
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict
from schemathesis import Response

from contract.fields import OperationType
from settlement.keys import Permission
from settlement.states import State
from tests.fuzz.attack import Attack, Case, Story, sequences
from tests.fuzz.front_door import SCHEMA
from tests.fuzz.service import Service
from tests.support.orders import new_number, order
from tests.support.polling import until

pytestmark = pytest.mark.longer("fuzzing")

POST_SETTLEMENT, POST_BATCH, POST_KEY = "POST /v1/settlements", "POST /v1/batch-retries", "POST /v1/api-keys"
SETTLEMENT, BATCH = "/v1/settlements/{requestUniqueNo}", "/v1/batch-retries/{batchId}"
RETRY, RESOLVE = f"POST {SETTLEMENT}/cancel-adjust-retries", f"POST {SETTLEMENT}/resolution"
AT_REST = {State.SETTLED, State.ABORTED, State.RESOLVED}

DEDUCTION: dict[str, Any] = {"operationType": OperationType.ABNORMAL_OVERTRADING, "amount": "-12.50"}
"""An order that ends ABORTED here."""


class SettlementStory(Story):
    """Settlements of one kind, each looked at only when nothing more happens to it by itself."""

    def __init__(self, service: Service, fields: dict[str, Any]) -> None:
        super().__init__()
        self._service = service
        self._fields = fields

    def before(self, case: Case) -> None:
        """Have an order keep the rules beyond the schema: a sequence begins with one that is accepted."""
        if is_valid(case, POST_SETTLEMENT):
            replace(case, order(requestUniqueNo=new_number("F"), **self._fields), {"prefer": "wait=20"})

    def after(self, case: Case, response: Response) -> None:
        """Wait for the settlement's end, or its abort."""
        if case.method == "POST" and response.status_code < 300:
            at_rest(self._service, response.json()["requestUniqueNo"])


class BatchStory(Story):
    """Batches, each over one aborted settlement of its own."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service
        self._company = 0

    def before(self, case: Case) -> None:
        """Give a batch what it was previewed with."""
        if not is_valid(case, POST_BATCH):
            return
        self._company += 1
        ordered = order(requestUniqueNo=new_number("F"), **DEDUCTION)
        headers = {**self._service.bearer(Permission.SUBMIT), "companyId": str(self._company)}
        self._service.http.post("/v1/settlements", json=ordered, headers=headers).raise_for_status()
        at_rest(self._service, ordered["requestUniqueNo"])
        selection = {"companyId": self._company}
        replace(case, {"reasonCode": "OTHER", "note": "it is back", "selection": selection, "expectedCount": 1}, {})


class KeyStory(Story):
    """Keys, each of an owner of its own: an owner has no more than two."""

    def before(self, case: Case) -> None:
        """Give a key an owner."""
        if is_valid(case, POST_KEY):
            replace(case, {"owner": new_number("f").lower(), "role": "viewer"}, {})


def is_valid(case: Case, label: str) -> bool:
    """Tell whether a request is one of these, and not meant to be refused."""
    return case.operation.label == label and case.meta is not None and case.meta.generation.mode.is_positive


def replace(case: Case, body: dict[str, Any], headers: dict[str, str]) -> None:
    """Have a request send this instead of what was drawn."""
    case.body = body
    case.headers = CaseInsensitiveDict(headers)


def at_rest(service: Service, number: str) -> None:
    """Wait until a settlement changes no more by itself."""

    async def probe() -> bool:
        answer = service.http.get(f"/v1/settlements/{number}", headers=service.bearer(Permission.READ))
        return answer.json()["state"] in AT_REST

    asyncio.run(until(probe, what=f"{number} at rest"))


def test_links_of_a_settled_order(service: Service, door: Attack) -> None:
    """What was accepted is found, followed and explained; there is nothing for an operator to do."""
    story = SettlementStory(service, {})
    sequences(SCHEMA.include(path_regex="^/v1/settlements"), {POST_SETTLEMENT}, door, story)
    found = {(f"GET {SETTLEMENT}{each}", 200) for each in ("", "/explain")}
    assert {(POST_SETTLEMENT, 201), *found, (RETRY, 409), (RESOLVE, 409)} <= story.answers
    # 204: nothing is behind the event that a sequence has made up, and nothing more comes.
    assert {(f"GET {SETTLEMENT}/events", status) for status in (200, 204)} & story.answers
    assert not {(RETRY, 202), (RESOLVE, 200)} & story.answers


def test_links_of_an_aborted_order(service: Service, door: Attack) -> None:
    """It is found, followed, explained, retried and resolved, in any order."""
    story = SettlementStory(service, DEDUCTION)
    sequences(SCHEMA.include(path_regex="^/v1/settlements"), {POST_SETTLEMENT}, door, story)
    found = {(f"GET {SETTLEMENT}{each}", 200) for each in ("", "/events", "/explain")}
    assert {(POST_SETTLEMENT, 201), *found, (RETRY, 202), (RESOLVE, 200)} <= story.answers


def test_links_of_a_batch(service: Service, door: Attack) -> None:
    """A batch that was begun is found, with its items, and can be stopped."""
    story = BatchStory(service)
    sequences(SCHEMA.include(path_regex="^/v1/batch-retries"), {POST_BATCH}, door, story)
    found = {(f"GET {BATCH}", 200), (f"GET {BATCH}/items", 200)}
    assert {(POST_BATCH, 202), *found, (f"POST {BATCH}/stop", 200)} <= story.answers


def test_links_of_a_key(door: Attack) -> None:
    """A key that was made can be revoked."""
    story = KeyStory()
    sequences(SCHEMA.include(path_regex="^/v1/api-keys"), {POST_KEY}, door, story)
    assert {(POST_KEY, 201), ("POST /v1/api-keys/{keyId}/revocation", 200)} <= story.answers
