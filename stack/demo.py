"""`make demo`: settles orders through every state on real parts, and compares the ledger with the broker's books."""

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
from stack.demo_orders import EXPIRED_ORDER, DemoOrder, OperatorStep, demo_orders
from stack.parts import Stack
from stack.ports import HOST, with_free_ports
from stack.process import StackError
from stack.report import DemoResult, print_report

FILE_WIDTH = 126
"""Width of the output if it is not a terminal, wide enough for every column."""
WAIT_S = 15
"""How long a POST waits for its decision."""
FINAL_STATE_LIMIT_S = 60
IN_PROGRESS = {State.ADJUSTING, State.CANCELLING}
"""The states that the workflow leaves without an operator."""

DEMO_POLICY = {
    "cancel_max_attempts": 3,
    "cancel_initial_interval_s": 0.5,
    "confirm_after_s": 4.0,
    "expire_after_s": 5.0,
}
"""Settings with shorter times than in production, so that the demo is short. The environment overrides them."""


class Demo:
    """One run of the demo. Its settlement numbers are new, so it can run repeatedly on the same state directory."""

    def __init__(self, stack: Stack, console: Console, session: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._console = console
        self._session = session
        self._run = f"DEMO-{time.strftime('%H%M%S')}"
        self.customer = f"customer-{self._run}"

    def _print_event(self, demo_order: DemoOrder, text: str) -> None:
        now, number = time.strftime("%H:%M:%S"), self.number(demo_order)
        self._console.print(f"  [dim]{now}[/]  {number}  {demo_order.title:<30}  {text}")

    def number(self, demo_order: DemoOrder) -> str:
        """Return the requestUniqueNo of an order in this run."""
        return f"{self._run}-{demo_order.key}"

    async def run(self) -> list[DemoResult]:
        """Settle all orders and return their results; raise StackError if one ends in an unexpected state."""
        policy = self._stack.settings.policy
        # Delayed adjusts arrive after the first cancel, and before the confirming cancel.
        orders = demo_orders(policy.cancel_max_attempts, delay_s=3.0 + policy.confirm_after_s / 2)
        self._headline(f"{len(orders)} orders at once; the external system …")
        await asyncio.gather(*(self._settle(demo_order) for demo_order in orders))
        self._headline("kill -9 of the worker; one more order; the worker comes back after its expiry")
        await self._expire_without_worker(EXPIRED_ORDER)
        return [await self._result(demo_order) for demo_order in [*orders, EXPIRED_ORDER]]

    async def _settle(self, demo_order: DemoOrder) -> None:
        started = time.monotonic()
        answer = await self._post(demo_order, WAIT_S)
        after_s = time.monotonic() - started
        self._print_event(demo_order, f"[bold]{answer['decision']}[/] after {after_s:.2f} s, {answer['state']}")
        state = await self._follow(demo_order, State(answer["state"]))
        if state is State.ABORTED and demo_order.operator_step is not OperatorStep.NONE:
            await self._act_as_operator(demo_order)
            state = await self._follow(demo_order, State.ABORTED, leaving={State.ABORTED})
        if state is not demo_order.expected_state:
            message = f"order {self.number(demo_order)} ended {state}, not {demo_order.expected_state}"
            raise StackError(message)

    async def _expire_without_worker(self, demo_order: DemoOrder) -> None:
        await self._stack.worker.kill()
        answer = await self._post(demo_order, wait_s=1)
        self._print_event(demo_order, f"202 accepted, {answer['state']}; nobody can work on it")
        await asyncio.sleep(self._stack.settings.expire_after_s)
        await self._stack.worker.start()
        await self._follow(demo_order, State.ADJUSTING)

    async def _act_as_operator(self, demo_order: DemoOrder) -> None:
        if demo_order.operator_step is OperatorStep.OPERATOR_RETRIES:
            action, body = "cancel-adjust-retries", {"reasonCode": "BROKER_RECOVERED", "note": "the broker is back"}
        else:
            await self._reverse_at_broker(demo_order)
            action, body = (
                "resolution",
                {"reasonCode": "REVERSED_BY_BROKER", "note": "by hand", "brokerReference": "ticket 4711"},
            )
        url = f"{self._stack.api_url}/v1/settlements/{self.number(demo_order)}/{action}"
        async with self._session.post(url, json=body) as response:
            if not response.ok:
                raise StackError(f"{action} was refused: {await response.text()}")
        self._print_event(demo_order, f"operator: [cyan]{action}[/]")

    async def _reverse_at_broker(self, demo_order: DemoOrder) -> None:
        """Reverse the adjust as the broker's staff would do by hand: with a cancel under their own number."""
        order = self._order(demo_order)
        copied = {name: value for name, value in order.items() if name not in {"operationType", "metadata"}}
        body = copied | {
            "requestUniqueNo": f"CLERK-{self.number(demo_order)}",
            "reverseRequestUniqueNo": order["requestUniqueNo"],
            "amount": absolute(demo_order.amount),
            "cancelRemark": "by hand",
        }
        headers = {"trace": "clerk", "timestamp": str(time.time_ns() // 1_000_000)}
        url = self._stack.external_url + self._stack.settings.external_cancel_adjust_path
        async with self._session.post(url, json=body, headers=headers) as response:
            reply = await response.json()
        self._print_event(demo_order, f"broker's clerk reverses it by hand: code {reply['code']}")

    async def _follow(self, demo_order: DemoOrder, state: State, leaving: set[State] = IN_PROGRESS) -> State:
        """Print every change of state, until the state is neither in `leaving` nor in progress; return it."""
        async with asyncio.timeout(FINAL_STATE_LIMIT_S):
            while state in leaving | IN_PROGRESS:
                await asyncio.sleep(0.1)
                now = State((await self._get(demo_order))["state"])
                if now is not state:
                    self._print_event(demo_order, f"→ {now}")
                    state, leaving = now, IN_PROGRESS
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

    async def _result(self, demo_order: DemoOrder) -> DemoResult:
        url = f"{self._stack.external_url}/simulator/numbers/{self.number(demo_order)}"
        async with self._session.get(url) as response:
            return DemoResult(demo_order, await self._get(demo_order), dict(await response.json()))

    async def balance(self) -> Decimal:
        """Return the customer's balance in the broker's books."""
        url = f"{self._stack.external_url}/simulator/accounts"
        async with self._session.get(url, params={"thirdServerCode": self.customer}) as response:
            accounts = (await response.json())["accounts"]
        return sum((Decimal(account["balance"]) for account in accounts), Decimal(0))

    def _headline(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/]")


def demo_settings(settings: Settings) -> Settings:
    """Return the settings of the demo: the simulator, an embedded ledger, no keys, loopback only, shorter times.

    The environment may contain the addresses of a production ledger and broker. The demo must not use them.
    """
    policy = {name: value for name, value in DEMO_POLICY.items() if f"{ENV_PREFIX}{name}".upper() not in os.environ}
    nowhere = dict.fromkeys(("external_base_url", "external_systems", "database_url"))
    isolated = {**nowhere, "auth": "off", "api_host": HOST, "one_process": "off"}
    return settings.model_copy(update=policy | isolated)


async def demo() -> None:
    """Start all parts, settle the orders, print the report, and stop all parts."""
    console = Console(width=None if sys.stdout.isatty() else FILE_WIDTH, highlight=False)
    stack = Stack(with_free_ports(demo_settings(load_settings())))
    console.print("starting a Temporal server with its UI, the simulator, a worker and the API …")
    started = time.monotonic()
    await stack.start()
    console.print(f"up after {time.monotonic() - started:.1f} s; logs are in {stack.log_dir}")
    try:
        async with aiohttp.ClientSession() as session:
            run = Demo(stack, console, session)
            results = await run.run()
            print_report(console, results, await run.balance())
    finally:
        await stack.stop()
    console.print(_next_steps(stack, *(each.settlement["requestUniqueNo"] for each in results if each.needs_operator)))


def _next_steps(stack: Stack, number: str) -> str:
    """Return where to see the orders, and what to do about the one that needs an operator."""
    return (
        "\nEverything is stopped. [bold]make up[/] starts it again with these settlements; the links need it:"
        f"\n  {stack.ui_url}/namespaces/default/workflows"
        f"\n  {stack.api_url}/v1/settlements/{number}"
        f"\n{number} is ABORTED and needs an operator. After [bold]make up[/]:"
        f"\n  .venv/bin/settlement explain {number}"
        f'\n  .venv/bin/settlement retry {number} --reason BROKER_RECOVERED --note "why"'
    )
