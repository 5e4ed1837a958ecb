"""The simulator over HTTP under random sequences of requests, faults, repeats and reused numbers, against a model.

`test_simulator_books_machine.py` does the same with the books alone. This module also covers the request handler, the
faults, the delivery, the journal, and two requests at once.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import httpx2
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from simulator.server import serving
from simulator.service import SimulatorSettings
from tests.unit.simulator.broker_model import (
    ADJUST_FAULTS,
    APPLIED_AFTER_CANCEL,
    CANCEL_FAULTS,
    NO_REPLY,
    UNUSABLE,
    BrokerModel,
    seen_by_client,
)
from tests.unit.simulator.conftest import CANCEL_PATH, OPERATION_PATH

HEADERS = {"trace": "t-1", "timestamp": "1760000000000"}
NUMBERS = st.sampled_from(["N1", "N2", "N3"])
CANCEL_NUMBERS = st.sampled_from(["C1", "C2", "C3", "C4"])
AMOUNTS = st.sampled_from(["12.50", "7.00"])
PATHS = {"adjust": "/", "cancel": CANCEL_PATH, "old": OPERATION_PATH}


def reply_of(send: Any) -> str:  # noqa: ANN401 - whatever sends
    """Return the code of a correct reply, or NO_REPLY or UNUSABLE."""
    try:
        answer: httpx2.Response = send()
        reply = answer.json() if answer.status_code == 200 else {}
    except (httpx2.TransportError, httpx2.TimeoutException):
        return NO_REPLY
    except ValueError:
        return UNUSABLE
    code = reply.get("code")
    right = isinstance(code, str) and reply["ok"] is (code == "0") and reply["fail"] is (code != "0")
    return str(code) if right else UNUSABLE


class HttpMachine(RuleBasedStateMachine):
    """A running simulator and the model of what it must do."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        url = self.stack.enter_context(serving(SimulatorSettings(hold_max_s=0.05)))
        self.http = self.stack.enter_context(httpx2.Client(base_url=url, headers=HEADERS, timeout=10))
        self.broker = BrokerModel()

    def teardown(self) -> None:
        """Stop the simulator."""
        self.stack.close()

    @rule(number=NUMBERS, amount=AMOUNTS, fault=st.sampled_from(list(ADJUST_FAULTS)))
    def adjust(self, number: str, amount: str, fault: str | None) -> None:
        """A number keeps its first body and result; a reused number is refused without a fault."""
        code = self.broker.adjust(number, amount, fault)
        seen = reply_of(lambda: self.http.post(PATHS["adjust"], json=self.body(number, amount, fault)))
        assert seen == (code if code == "US_0000409" else seen_by_client(code, fault))

    @rule(number=NUMBERS, amount=AMOUNTS, fault=st.sampled_from(list(APPLIED_AFTER_CANCEL)))
    def delayed_adjust(self, number: str, amount: str, fault: str) -> None:
        """A delayed adjust counts from when it is received and has no reply. A reused number is refused at once."""
        first = self.broker.numbers[number].first
        self.broker.adjust_late(number, amount, fault)
        body = self.body(number, amount, fault, seconds=0.01)
        expected = NO_REPLY if first in {None, amount} else "US_0000409"
        assert reply_of(lambda: self.http.post(PATHS["adjust"], json=body)) == expected
        while self.http.get(f"/simulator/numbers/{number}").json()["landingDueAtNs"] is not None:
            pass

    @rule(number=NUMBERS, amount=AMOUNTS)
    def adjust_twice_at_once(self, number: str, amount: str) -> None:
        """Two copies sent at the same time are one adjust."""
        expected = [self.broker.adjust(number, amount, None) for _ in range(2)]
        body = self.body(number, amount, None)
        with ThreadPoolExecutor(2) as threads:
            seen = list(threads.map(lambda _: reply_of(lambda: self.http.post(PATHS["adjust"], json=body)), range(2)))
        assert seen == expected

    @rule(name=CANCEL_NUMBERS, number=NUMBERS, amount=AMOUNTS)
    def cancel(self, name: str, number: str, amount: str) -> None:
        """The first cancel under a number decides the result of every cancel under it."""
        body = self.cancel_body(name, number, amount)
        code, fault = self.broker.cancel(name, number, amount, body)
        assert reply_of(lambda: self.http.post(PATHS["cancel"], json=body)) == seen_by_client(code, fault)

    @rule(name=CANCEL_NUMBERS, number=NUMBERS)
    def cancel_by_the_deprecated_operation(self, name: str, number: str) -> None:
        """Both operations share one set of cancel numbers."""
        body = {
            "username": "user-1",
            "txid": name,
            "tx_reverse_id": number,
            "reverse_type": 2,
            "requesttime": 1_760_000_000_000,
            "ip": "203.0.113.7",
            "cancel_remark": "no reply",
        }
        code, fault = self.broker.cancel(name, number, None, body)
        assert reply_of(lambda: self.http.post(PATHS["old"], json=body)) == seen_by_client(code, fault)

    @rule(
        name=CANCEL_NUMBERS,
        number=NUMBERS,
        amount=AMOUNTS,
        fault=st.sampled_from(list(CANCEL_FAULTS)),
        times=st.integers(1, 2),
    )
    def cancel_asking_for_a_fault(self, name: str, number: str, amount: str, fault: str, times: int) -> None:
        """The first request that names a fault fixes the fault and its count."""
        expected_number = self.broker.numbers[number]
        request = self.cancel_body(name, number, amount)
        if expected_number.fault is None and not self.broker.is_reused(name, request):
            expected_number.fault, expected_number.fault_left = fault, times
        body = request | {"metadata": json.dumps({"simulate": {"cancel": fault, "times": times}})}
        code, met = self.broker.cancel(name, number, amount, request)
        assert reply_of(lambda: self.http.post(PATHS["cancel"], json=body)) == seen_by_client(code, met)

    @rule(number=NUMBERS, path=st.sampled_from(["adjust", "cancel", "old"]), header=st.sampled_from(list(HEADERS)))
    def broken_rule(self, number: str, path: str, header: str) -> None:
        """The request is refused and recorded in the journal; the books do not change."""
        self.broker.numbers[number].sent += 1
        body = {"requestUniqueNo": number, "txid": number, "extra": 1}
        assert reply_of(lambda: self.http.post(PATHS[path], json=body, headers={header: ""})) == "US_0000400"

    def body(self, number: str, amount: str, fault: str | None, **more: float) -> dict[str, object]:
        """Return an adjust body."""
        metadata = {"metadata": json.dumps({"simulate": {"adjust": fault, **more}})} if fault else {}
        return {
            "thirdServerCode": "customer-1",
            "userName": "user-1",
            "currency": "USD",
            "bizType": 2,
            "operationType": "OPEN_POSITION",
            "amountDigits": 2,
            "amount": amount,
            "orderId": 7,
            "requestUniqueNo": number,
            "requestTime": 1_760_000_000_000,
            "ip": "203.0.113.7",
        } | metadata

    def cancel_body(self, name: str, number: str, amount: str) -> dict[str, object]:
        """Return a cancel adjust body."""
        body = self.body(name, amount, None)
        del body["operationType"]
        return body | {"reverseRequestUniqueNo": number, "cancelRemark": "no reply"}

    @invariant()
    def books_equal_the_model(self) -> None:
        """Each number equals its model, and the balance is the sum of what was applied and not reversed."""
        balance = Decimal(0)
        for number, expected_number in self.broker.numbers.items():
            view = self.http.get(f"/simulator/numbers/{number}").json()
            assert (view["timesApplied"], view["timesReversed"]) == (expected_number.applied, expected_number.reversed)
            assert (view["burnt"], view["amount"]) == (expected_number.burnt, expected_number.first or None)
            balance += Decimal(view["amount"] or "0") * (expected_number.applied - expected_number.reversed)
        accounts = self.http.get("/simulator/accounts").json()["accounts"]
        assert sum((Decimal(account["balance"]) for account in accounts), Decimal(0)) == balance

    @invariant()
    def every_request_is_in_the_journal(self) -> None:
        """Whatever its result was."""
        for number, expected_number in self.broker.numbers.items():
            calls = self.http.get("/simulator/calls", params={"number": number}).json()["calls"]
            assert len(calls) == expected_number.sent


# Without shrinking: each step is a request, so shrinking would take too long.
HttpMachine.TestCase.settings = settings(max_examples=8, stateful_step_count=20, deadline=None, phases=[Phase.generate])
TestHttpMachine = HttpMachine.TestCase
