"""The reference broker (examples/broker) as a process, and a client for its three operations."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2

from stack.ports import HOST, free_port
from stack.process import Process
from tests.support.documents import ROOT

CANCEL_ADJUST = "/get-user-amount"
CANCEL_OPERATION = "/global/tradeapi.app.OrderApiService.queryPBOOrderPage"
NOW = 1_760_000_000_000
HEADERS = {"trace": "trace-1", "timestamp": str(NOW), "companyId": "7"}
PARALLEL = 20
"""Requests that a test sends at the same time."""


class Broker:
    """A running broker, and the three requests to it; each returns the code of the reply."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.url = url
        limits = httpx2.Limits(max_connections=100)
        self.http = httpx2.AsyncClient(base_url=url, headers=HEADERS, timeout=60, limits=limits)

    async def post(self, path: str, body: object, **headers: str) -> dict[str, Any]:
        """Send a request and return its reply, which must be HTTP 200 and agree with itself."""
        response = await self.http.post(path, content=json.dumps(body), headers=HEADERS | headers)
        assert response.status_code == 200, response.text
        reply: dict[str, Any] = response.json()
        assert (reply["ok"], reply["fail"]) == (reply["code"] == "0", reply["code"] != "0")
        return reply

    async def adjust(self, number: str, **changes: object) -> str:
        """Send an adjust of 12.50 USD for a customer with the same number."""
        return str((await self.post("/", adjust_body(number) | changes))["code"])

    async def cancel(self, number: str, own: str = "C", **changes: Any) -> str:  # noqa: ANN401 - any value
        """Send the cancel adjust of `adjust`."""
        return str((await self.post(CANCEL_ADJUST, cancel_body(number, own) | changes))["code"])

    async def cancel_operation(self, number: str, own: str = "C", **changes: object) -> str:
        """Send the deprecated cancel of `adjust`."""
        return str((await self.post(CANCEL_OPERATION, operation_body(number, own) | changes))["code"])

    async def balance(self, customer: str, currency: str = "USD") -> Decimal:
        """Return a customer's balance."""
        return Decimal((await self.http.get(f"/balances/{customer}/{currency}")).json()["balance"])


def adjust_body(number: str) -> dict[str, Any]:
    """Return table 1."""
    return {
        "thirdServerCode": number,
        "userName": "user-1",
        "currency": "USD",
        "bizType": 1,
        "operationType": "OPEN_POSITION",
        "amount": "12.50",
        "amountDigits": 2,
        "orderId": 7,
        "requestUniqueNo": number,
        "requestTime": NOW,
        "ip": "203.0.113.7",
    }


def cancel_body(number: str, own: str) -> dict[str, Any]:
    """Return table 2."""
    adjust = adjust_body(number)
    del adjust["operationType"]
    own_fields = {"requestUniqueNo": f"{own}-{number}", "reverseRequestUniqueNo": number, "cancelRemark": "no reply"}
    return adjust | own_fields


def operation_body(number: str, own: str) -> dict[str, Any]:
    """Return table 3."""
    return {
        "username": "user-1",
        "tx_reverse_id": number,
        "reverse_type": 1,
        "txid": f"{own}-{number}",
        "requesttime": NOW,
        "ip": "203.0.113.7",
        "cancel_remark": "no reply",
    }


@asynccontextmanager
async def running(database_url: str, folder: Path) -> AsyncIterator[Broker]:
    """Run a broker on a database for the length of the block."""
    port = free_port()
    url = f"http://{HOST}:{port}"

    async def ready() -> bool:
        try:
            response = await started.http.get("/balances/nobody/USD")
        except httpx2.TransportError:
            return False
        return response.status_code == 200

    command = [sys.executable, "-m", "examples.broker", "--port", str(port), "--database", database_url]
    started = Broker(Process("broker", command, {"PYTHONPATH": str(ROOT)}, folder, ready), url)
    await started.process.start()
    try:
        yield started
    finally:
        await started.http.aclose()
        await started.process.stop()


async def at_once(*calls: Awaitable[str]) -> Counter[str]:
    """Send requests at the same time and count the codes of their replies."""
    return Counter(await asyncio.gather(*calls))
