"""The simulator over HTTP under any order of requests, faults, repeats and reuses: a few lines know what must be true.

`test_simulator_books_machine.py` does the same with the books alone; here are the request handler, the faults, the
delivery and the journal as well, and two requests at once.
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

from simulator.instance import SimulatorSettings
from simulator.server import serving
from tests.unit.simulator.promised_broker import (
    ADJUST_FAULTS,
    CANCEL_FAULTS,
    GARBLED,
    LANDING,
    NOTHING,
    PromisedBroker,
    looks,
)

HEADERS = {"trace": "t-1", "timestamp": "1760000000000"}
NUMBERS = st.sampled_from(["N1", "N2", "N3"])
CANCEL_NUMBERS = st.sampled_from(["C1", "C2", "C3", "C4"])
AMOUNTS = st.sampled_from(["12.50", "7.00"])
PATHS = {"adjust": "/", "cancel": "/get-user-amount", "old": "/global/tradeapi.app.OrderApiService.queryPBOOrderPage"}


def reply_of(send: Any) -> str:  # noqa: ANN401 - whatever sends
    """Return the code of a reply that is wholly right, or what else came of it."""
    try:
        answer: httpx2.Response = send()
        reply = answer.json() if answer.status_code == 200 else {}
    except (httpx2.TransportError, httpx2.TimeoutException):
        return NOTHING
    except ValueError:
        return GARBLED
    code = reply.get("code")
    right = isinstance(code, str) and reply["ok"] is (code == "0") and reply["fail"] is (code != "0")
    return str(code) if right else GARBLED


class HttpMachine(RuleBasedStateMachine):
    """A running simulator and what must be true of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        url = self.stack.enter_context(serving(SimulatorSettings(hold_max_s=0.05)))
        self.http = self.stack.enter_context(httpx2.Client(base_url=url, headers=HEADERS, timeout=10))
        self.broker = PromisedBroker()

    def teardown(self) -> None:
        """Stop the simulator."""
        self.stack.close()

    @rule(number=NUMBERS, amount=AMOUNTS, fault=st.sampled_from(list(ADJUST_FAULTS)))
    def adjust(self, number: str, amount: str, fault: str | None) -> None:
        """Once received, a number keeps its first body and its first result; a reuse meets no fault."""
        code = self.broker.adjust(number, amount, fault)
        seen = reply_of(lambda: self.http.post(PATHS["adjust"], json=self.body(number, amount, fault)))
        assert seen == (code if code == "US_0000409" else looks(code, fault))

    @rule(number=NUMBERS, amount=AMOUNTS, fault=st.sampled_from(list(LANDING)))
    def adjust_that_lands_late(self, number: str, amount: str, fault: str) -> None:
        """It is an adjust of the moment when it lands; nobody ever hears of it. A reused number is refused at once."""
        first = self.broker.numbers[number].first
        self.broker.land(number, amount, fault)
        body = self.body(number, amount, fault, seconds=0.01)
        expected = NOTHING if first in {None, amount} else "US_0000409"
        assert reply_of(lambda: self.http.post(PATHS["adjust"], json=body)) == expected
        while self.http.get(f"/simulator/numbers/{number}").json()["landingDueAtNs"] is not None:
            pass

    @rule(number=NUMBERS, amount=AMOUNTS)
    def adjust_twice_at_once(self, number: str, amount: str) -> None:
        """Two copies on the way at the same time are one adjust."""
        expected = [self.broker.adjust(number, amount, None) for _ in range(2)]
        body = self.body(number, amount, None)
        with ThreadPoolExecutor(2) as threads:
            seen = list(threads.map(lambda _: reply_of(lambda: self.http.post(PATHS["adjust"], json=body)), range(2)))
        assert seen == expected

    @rule(name=CANCEL_NUMBERS, number=NUMBERS, amount=AMOUNTS)
    def cancel(self, name: str, number: str, amount: str) -> None:
        """The first cancel decides what every cancel under its number is answered."""
        body = self.cancel_body(name, number, amount)
        code, fault = self.broker.cancel(name, number, amount, body)
        assert reply_of(lambda: self.http.post(PATHS["cancel"], json=body)) == looks(code, fault)

    @rule(name=CANCEL_NUMBERS, number=NUMBERS)
    def cancel_by_the_deprecated_operation(self, name: str, number: str) -> None:
        """Its numbers are the other operation's."""
        body = {
            "username": "user-1",
            "txid": name,
            "tx_reverse_id": number,
            "reverse_type": 1,
            "requesttime": 1_760_000_000_000,
            "ip": "203.0.113.7",
            "cancel_remark": "no reply",
        }
        code, fault = self.broker.cancel(name, number, None, body)
        assert reply_of(lambda: self.http.post(PATHS["old"], json=body)) == looks(code, fault)

    @rule(
        name=CANCEL_NUMBERS,
        number=NUMBERS,
        amount=AMOUNTS,
        fault=st.sampled_from(list(CANCEL_FAULTS)),
        times=st.integers(1, 2),
    )
    def cancel_asking_for_a_fault(self, name: str, number: str, amount: str, fault: str, times: int) -> None:
        """The first request that names a fault fixes it and how often it is shown."""
        known = self.broker.numbers[number]
        request = self.cancel_body(name, number, amount)
        if known.fault is None and not self.broker.is_reused(name, request):
            known.fault, known.fault_left = fault, times
        body = request | {"metadata": json.dumps({"simulate": {"cancel": fault, "times": times}})}
        code, met = self.broker.cancel(name, number, amount, request)
        assert reply_of(lambda: self.http.post(PATHS["cancel"], json=body)) == looks(code, met)

    @rule(number=NUMBERS, path=st.sampled_from(["adjust", "cancel", "old"]), header=st.sampled_from(list(HEADERS)))
    def broken_rule(self, number: str, path: str, header: str) -> None:
        """It is refused by its code and recorded in the journal, and the books know nothing of it."""
        self.broker.numbers[number].sent += 1
        body = {"requestUniqueNo": number, "txid": number, "extra": 1}
        assert reply_of(lambda: self.http.post(PATHS[path], json=body, headers={header: ""})) == "US_0000400"

    def body(self, number: str, amount: str, fault: str | None, **more: float) -> dict[str, object]:
        """Return an adjust."""
        asked = {"metadata": json.dumps({"simulate": {"adjust": fault, **more}})} if fault else {}
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
        } | asked

    def cancel_body(self, name: str, number: str, amount: str) -> dict[str, object]:
        """Return a cancel adjust."""
        body = self.body(name, amount, None)
        del body["operationType"]
        return body | {"reverseRequestUniqueNo": number, "cancelRemark": "no reply"}

    @invariant()
    def books_are_as_they_must_be(self) -> None:
        """Each number is what the model says, and the balance is what was applied and not given back."""
        balance = Decimal(0)
        for number, known in self.broker.numbers.items():
            view = self.http.get(f"/simulator/numbers/{number}").json()
            assert (view["timesApplied"], view["timesReversed"]) == (known.applied, known.reversed)
            assert (view["burnt"], view["amount"]) == (known.burnt, known.first or None)
            balance += Decimal(view["amount"] or "0") * (known.applied - known.reversed)
        accounts = self.http.get("/simulator/accounts").json()["accounts"]
        assert sum((Decimal(account["balance"]) for account in accounts), Decimal(0)) == balance

    @invariant()
    def every_request_is_in_the_journal(self) -> None:
        """Whatever came of it."""
        for number, known in self.broker.numbers.items():
            calls = self.http.get("/simulator/calls", params={"number": number}).json()["calls"]
            assert len(calls) == known.sent


# Without shrinking: each step is a request, and what failed is told at once.
HttpMachine.TestCase.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, phases=[Phase.generate]
)
TestHttpMachine = HttpMachine.TestCase
