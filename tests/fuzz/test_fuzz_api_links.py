"""The links of the document work: a request with the id of an earlier response finds the resource."""

import asyncio
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict
from schemathesis import Response

from contract.fields import OperationType
from settlement.keys import Permission
from settlement.states import State
from tests.fuzz.api_under_attack import SCHEMA
from tests.fuzz.attack import Attack, Case, SequenceHooks, run_sequences
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


class SettlementHooks(SequenceHooks):
    """Settlements of one kind. The next request is sent when the work on the settlement has ended."""

    def __init__(self, service: Service, fields: dict[str, Any]) -> None:
        super().__init__()
        self._service = service
        self._fields = fields

    def before(self, case: Case) -> None:
        """Replace a generated order by one that is accepted: it also satisfies the rules beyond the schema."""
        if is_valid(case, POST_SETTLEMENT):
            replace(case, order(requestUniqueNo=new_number("F"), **self._fields), {"prefer": "wait=20"})

    def after(self, case: Case, response: Response) -> None:
        """Wait until the settlement has ended or is ABORTED."""
        if case.method == "POST" and response.status_code < 300:
            at_rest(self._service, response.json()["requestUniqueNo"])


class BatchHooks(SequenceHooks):
    """Batches, each over one separate aborted settlement."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service
        self._company = 0

    def before(self, case: Case) -> None:
        """Replace a generated batch by one with a matching selection and count."""
        if not is_valid(case, POST_BATCH):
            return
        self._company += 1
        ordered = order(requestUniqueNo=new_number("F"), **DEDUCTION)
        headers = {**self._service.bearer(Permission.SUBMIT), "companyId": str(self._company)}
        self._service.http.post("/v1/settlements", json=ordered, headers=headers).raise_for_status()
        at_rest(self._service, ordered["requestUniqueNo"])
        selection = {"companyId": self._company}
        replace(case, {"reasonCode": "OTHER", "note": "it is back", "selection": selection, "expectedCount": 1}, {})


class KeyHooks(SequenceHooks):
    """Keys, each of a separate client: a client has a limited number."""

    def before(self, case: Case) -> None:
        """Replace the client by a new one."""
        if is_valid(case, POST_KEY):
            replace(case, {"client": new_number("f").lower(), "role": "viewer", "companies": "all"}, {})


def is_valid(case: Case, label: str) -> bool:
    """Return whether a request is of this operation and was generated as valid."""
    return case.operation.label == label and case.meta is not None and case.meta.generation.mode.is_positive


def replace(case: Case, body: dict[str, Any], headers: dict[str, str]) -> None:
    """Replace body and headers of a generated request."""
    case.body = body
    case.headers = CaseInsensitiveDict(headers)


def at_rest(service: Service, number: str) -> None:
    """Wait until the work on a settlement has ended."""

    async def probe() -> bool:
        answer = service.http.get(f"/v1/settlements/{number}", headers=service.bearer(Permission.READ))
        return answer.json()["state"] in AT_REST

    asyncio.run(until(probe, what=f"{number} at rest"))


def test_links_of_a_settled_order(service: Service, attack: Attack) -> None:
    """A settled order can be read, followed and explained. Operator actions are rejected."""
    hooks = SettlementHooks(service, {})
    run_sequences(SCHEMA.include(path_regex="^/v1/settlements"), {POST_SETTLEMENT}, attack, hooks)
    found = {(f"GET {SETTLEMENT}{each}", 200) for each in ("", "/explain")}
    assert {(POST_SETTLEMENT, 201), *found, (RETRY, 409), (RESOLVE, 409)} <= hooks.responses
    # 204: there is no event after the generated id, and the settlement has ended.
    assert {(f"GET {SETTLEMENT}/events", status) for status in (200, 204)} & hooks.responses
    assert not {(RETRY, 202), (RESOLVE, 200)} & hooks.responses


def test_links_of_an_aborted_order(service: Service, attack: Attack) -> None:
    """An aborted order can be read, followed, explained, retried and resolved, in any order."""
    hooks = SettlementHooks(service, DEDUCTION)
    run_sequences(SCHEMA.include(path_regex="^/v1/settlements"), {POST_SETTLEMENT}, attack, hooks)
    found = {(f"GET {SETTLEMENT}{each}", 200) for each in ("", "/events", "/explain")}
    assert {(POST_SETTLEMENT, 201), *found, (RETRY, 202), (RESOLVE, 200)} <= hooks.responses


def test_links_of_a_batch(service: Service, attack: Attack) -> None:
    """A started batch and its items can be read, and it can be stopped."""
    hooks = BatchHooks(service)
    run_sequences(SCHEMA.include(path_regex="^/v1/batch-retries"), {POST_BATCH}, attack, hooks)
    found = {(f"GET {BATCH}", 200), (f"GET {BATCH}/items", 200)}
    assert {(POST_BATCH, 202), *found, (f"POST {BATCH}/stop", 200)} <= hooks.responses


def test_links_of_a_key(attack: Attack) -> None:
    """A created key can be revoked."""
    hooks = KeyHooks()
    run_sequences(SCHEMA.include(path_regex="^/v1/api-keys"), {POST_KEY}, attack, hooks)
    assert {(POST_KEY, 201), ("POST /v1/api-keys/{keyId}/revocation", 200)} <= hooks.responses
