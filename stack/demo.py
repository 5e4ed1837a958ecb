"""`make demo`: a story of orders through every state, on real parts, checked against the broker's own books."""

import asyncio
import os
import sys
import time
from decimal import Decimal
from typing import Any

import aiohttp
from rich.console import Console

from config.settings import ENV_PREFIX, Settings, load_settings
from contract.fields import absolute
from settlement.states import State
from stack.demo_orders import EXPIRES, DemoOrder, OperatorStep, demo_orders
from stack.parts import Stack
from stack.ports import HOST, with_free_ports
from stack.process import StackError
from stack.report import DemoResult, print_report

FILE_WIDTH = 126
"""Columns of the output where it goes to no terminal."""
WAIT_S = 15
QUIET_LIMIT_S = 60
UNDER_WAY = {State.ADJUSTING, State.CANCELLING}

QUICKER = {
    "cancel_max_attempts": 3,
    "cancel_initial_interval_s": 0.5,
    "confirm_after_s": 4.0,
    "expire_after_s": 5.0,
}
"""The story is told with less patience than production has; a setting from the environment goes first."""


class Demo:
    """One telling of the story. Numbers are new each time, so it can be told again over the same state."""

    def __init__(self, stack: Stack, console: Console, session: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._console = console
        self._session = session
        self._run = f"DEMO-{time.strftime('%H%M%S')}"
        self.customer = f"customer-{self._run}"

    def _say(self, demo_order: DemoOrder, text: str) -> None:
        at, number = time.strftime("%H:%M:%S"), self.number(demo_order)
        self._console.print(f"  [dim]{at}[/]  {number}  {demo_order.title:<30}  {text}")

    def number(self, demo_order: DemoOrder) -> str:
        """Return the requestUniqueNo of a demo_order's order in this telling."""
        return f"{self._run}-{demo_order.key}"

    async def tell(self) -> list[DemoResult]:
        """Live through the whole story; StackError where an order ends otherwise than it must."""
        policy = self._stack.settings.policy
        story = demo_orders(policy.cancel_max_attempts, lands_after_s=3.0 + policy.confirm_after_s / 2)
        self._headline(f"{len(story)} orders at once; the external system …")
        await asyncio.gather(*(self._live(demo_order) for demo_order in story))
        self._headline("kill -9 of the worker; one more order; the worker comes back after its expiry")
        await self._live_without_worker(EXPIRES)
        return [await self._look(demo_order) for demo_order in [*story, EXPIRES]]

    async def _live(self, demo_order: DemoOrder) -> None:
        started = time.monotonic()
        answer = await self._post(demo_order, WAIT_S)
        after_s = time.monotonic() - started
        self._say(demo_order, f"[bold]{answer['decision']}[/] after {after_s:.2f} s, {answer['state']}")
        state = await self._follow(demo_order, State(answer["state"]))
        if state is State.ABORTED and demo_order.hand is not OperatorStep.NOBODY:
            await self._put_right(demo_order)
            state = await self._follow(demo_order, State.ABORTED, until_not={State.ABORTED})
        if state is not demo_order.ends:
            message = f"order {self.number(demo_order)} ended {state}, not {demo_order.ends}"
            raise StackError(message)

    async def _live_without_worker(self, demo_order: DemoOrder) -> None:
        await self._stack.worker.kill()
        answer = await self._post(demo_order, wait_s=1)
        self._say(demo_order, f"202 accepted, {answer['state']}; nobody can work on it")
        await asyncio.sleep(self._stack.settings.expire_after_s)
        await self._stack.worker.start()
        await self._follow(demo_order, State.ADJUSTING)

    async def _put_right(self, demo_order: DemoOrder) -> None:
        if demo_order.hand is OperatorStep.OPERATOR_RETRIES:
            act, body = "cancel-adjust-retries", {"reasonCode": "BROKER_RECOVERED", "note": "the broker is back"}
        else:
            await self._reverse_at_the_broker(demo_order)
            act, body = (
                "resolution",
                {"reasonCode": "REVERSED_BY_BROKER", "note": "by hand", "brokerReference": "ticket 4711"},
            )
        url = f"{self._stack.api_url}/v1/settlements/{self.number(demo_order)}/{act}"
        async with self._session.post(url, json=body) as response:
            if not response.ok:
                raise StackError(f"{act} was refused: {await response.text()}")
        self._say(demo_order, f"operator: [cyan]{act}[/]")

    async def _reverse_at_the_broker(self, demo_order: DemoOrder) -> None:
        """Do what a clerk at the broker does by hand: give the amount back under a number of their own."""
        order = self._order(demo_order)
        kept = {name: value for name, value in order.items() if name not in {"operationType", "metadata"}}
        body = kept | {
            "requestUniqueNo": f"CLERK-{self.number(demo_order)}",
            "reverseRequestUniqueNo": order["requestUniqueNo"],
            "amount": absolute(demo_order.amount),
            "cancelRemark": "by hand",
        }
        headers = {"trace": "clerk", "timestamp": str(time.time_ns() // 1_000_000)}
        url = self._stack.external_url + self._stack.settings.external_cancel_adjust_path
        async with self._session.post(url, json=body, headers=headers) as response:
            reply = await response.json()
        self._say(demo_order, f"broker's clerk reverses it by hand: code {reply['code']}")

    async def _follow(self, demo_order: DemoOrder, state: State, until_not: set[State] = UNDER_WAY) -> State:
        """Say every change of state until none is due by itself."""
        async with asyncio.timeout(QUIET_LIMIT_S):
            while state in until_not | UNDER_WAY:
                await asyncio.sleep(0.1)
                found = State((await self._get(demo_order))["state"])
                if found is not state:
                    self._say(demo_order, f"→ {found}")
                    state, until_not = found, UNDER_WAY
        return state

    def _order(self, demo_order: DemoOrder) -> dict[str, Any]:
        order = {
            "thirdServerCode": self.customer,
            "userName": "demo",
            "currency": "USD",
            "bizType": 1,
            "operationType": "ABNORMAL_OVERTRADING" if demo_order.amount.startswith("-") else "OPEN_POSITION",
            "amount": demo_order.amount,
            "amountDigits": 2,
            "orderId": int(demo_order.key),
            "requestUniqueNo": self.number(demo_order),
            "requestTime": time.time_ns() // 1_000_000,
            "ip": "203.0.113.7",
        }
        return order | ({"metadata": demo_order.metadata} if demo_order.metadata else {})

    async def _post(self, demo_order: DemoOrder, wait_s: int) -> dict[str, Any]:
        url = f"{self._stack.api_url}/v1/settlements"
        headers = {"Prefer": f"wait={wait_s}", "companyId": "7"}
        async with self._session.post(url, json=self._order(demo_order), headers=headers) as response:
            if not response.ok:
                raise StackError(f"POST was refused: {await response.text()}")
            return dict(await response.json())

    async def _get(self, demo_order: DemoOrder) -> dict[str, Any]:
        async with self._session.get(f"{self._stack.api_url}/v1/settlements/{self.number(demo_order)}") as response:
            return dict(await response.json())

    async def _look(self, demo_order: DemoOrder) -> DemoResult:
        url = f"{self._stack.external_url}/simulator/numbers/{self.number(demo_order)}"
        async with self._session.get(url) as response:
            return DemoResult(demo_order, await self._get(demo_order), dict(await response.json()))

    async def balance(self) -> Decimal:
        """Return what the broker's own books say the customer has been given, all in all."""
        url = f"{self._stack.external_url}/simulator/accounts"
        async with self._session.get(url, params={"thirdServerCode": self.customer}) as response:
            accounts = (await response.json())["accounts"]
        return sum((Decimal(account["balance"]) for account in accounts), Decimal(0))

    def _headline(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/]")


def demo_settings(settings: Settings) -> Settings:
    """Return the demo's settings: always the simulator and an embedded ledger, and less patience unless told otherwise.

    A shell may hold the addresses of a production ledger and broker; a demo has no business there. It has no keys,
    and so nobody else can reach it.
    """
    quicker = {name: value for name, value in QUICKER.items() if f"{ENV_PREFIX}{name}".upper() not in os.environ}
    alone = {"external_base_url": None, "database_url": None, "auth": "off", "api_host": HOST}
    return settings.model_copy(update=quicker | alone)


async def demo() -> None:
    """Start everything, tell the story, show where the money stands, stop everything."""
    # In a file there is room for every column.
    console = Console(width=None if sys.stdout.isatty() else FILE_WIDTH, highlight=False)
    stack = Stack(with_free_ports(demo_settings(load_settings())))
    console.print("starting a Temporal server with its UI, the simulator, a worker and the API …")
    started = time.monotonic()
    await stack.start()
    console.print(f"up after {time.monotonic() - started:.1f} s; logs are in {stack.log_dir}")
    try:
        async with aiohttp.ClientSession() as session:
            telling = Demo(stack, console, session)
            told = await telling.tell()
            print_report(console, told, await telling.balance())
    finally:
        await stack.stop()
    console.print(_what_next(stack, *(each.ours["requestUniqueNo"] for each in told if each.left_open)))


def _what_next(stack: Stack, number: str) -> str:
    """Return how to look at the orders, and what to do about the one that is left open."""
    return (
        "\nEverything is stopped. [bold]make up[/] starts it again with these settlements; the links need it:"
        f"\n  {stack.ui_url}/namespaces/default/workflows"
        f"\n  {stack.api_url}/v1/settlements/{number}"
        f"\n{number} is ABORTED and needs an operator. After [bold]make up[/]:"
        f"\n  .venv/bin/settlement explain {number}"
        f'\n  .venv/bin/settlement retry {number} --reason BROKER_RECOVERED --note "why"'
    )
