"""Runs the checks of one run: several at a time, within a time limit, until the endpoint is lost."""

import asyncio
import time
import traceback
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from conformance.client import Transport
from conformance.connection import Connection, ConnectionFailed
from conformance.exchange import Exchange, send
from conformance.kit import Kit
from conformance.orders import Orders
from conformance.requirement import BrokenRequirement, Check, NotChecked, Outcome, Requirement, Result
from conformance.target import Target
from conformance.verdict import KIT_ERROR, RunReport, judge

LOST_AFTER = 5
"""Connections in a row, of more than one requirement, that the endpoint refuses or drops before it counts as lost."""


@dataclass(frozen=True)
class Limits:
    """The limits of a run."""

    time_limit_s: float = 900.0
    parallel: int = 4
    """Checks at the same time."""


class Progress(Protocol):
    """Hears what happens in a run."""

    def started(self, requirement: Requirement) -> None:
        """A check starts."""

    def ended(self, result: Result) -> None:
        """A check has ended."""


class _Watch:
    """All exchanges of a run: their latencies, and whether the endpoint is lost."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.started_at = datetime.now(UTC)
        self.latencies_s: list[tuple[float, float]] = []
        self.streak: list[str] = []
        """The requirements of the exchanges since the last complete reply; each was refused or dropped."""
        self.lost = asyncio.Event()
        self.loss = ""

    def see(self, requirement_id: str, exchange: Exchange) -> None:
        if exchange.failure is None:
            since_s = (exchange.started_at - self.started_at).total_seconds()
            self.latencies_s.append((since_s, exchange.elapsed_s))
        if not exchange.is_lost:
            self.streak.clear()
            return
        self.streak.append(requirement_id)
        if len(self.streak) >= LOST_AFTER and len(set(self.streak)) > 1 and not self.lost.is_set():
            self.loss = f"the endpoint was lost: {exchange.failure}"
            self.lost.set()


class Runner:
    """One run over some checks."""

    def __init__(
        self,
        target: Target,
        checks: Iterable[Check],
        progress: Progress,
        limits: Limits | None = None,
        transport: Transport = send,
    ) -> None:
        self._target = target
        self._checks = list(checks)
        self._progress = progress
        self._limits = limits or Limits()
        self._transport = transport
        self._slots = asyncio.Semaphore(self._limits.parallel)
        self._watch = _Watch()
        self._results: dict[str, Result] = {}
        self._exchanges: dict[str, list[Exchange]] = defaultdict(list)
        """By requirement, so that an unfinished check shows its exchanges, too."""
        self._held: list[str] = []
        """Requirements whose results are not told yet."""

    async def run(self, settings: Mapping[str, str]) -> RunReport:
        """Run all checks and return the report. `settings` are the options as the report shows them."""
        ended_early = await self._unreached() or await self._run_in_time()
        for check in self._checks:
            if check.requirement.id not in self._results:
                exchanges = tuple(self._exchanges[check.requirement.id])
                self._end(Result(check.requirement, Outcome.NOT_CHECKED, ended_early or "", exchanges, 0.0))
        if self._watch.lost.is_set():
            self._excuse_lost()
        self._tell(is_final=True)
        results = tuple(self._results[check.requirement.id] for check in self._checks)
        verdict, sentence = judge(results, ended_early)
        return RunReport(
            verdict=verdict,
            sentence=sentence,
            base_url=self._target.base_url,
            started_at=self._watch.started_at,
            elapsed_s=time.monotonic() - self._watch.started,
            kit_version=kit_version(),
            seed=self._target.seed,
            settings=settings,
            results=results,
            latencies_s=tuple(self._watch.latencies_s),
        )

    async def _unreached(self) -> str | None:
        """Connect once; return why the endpoint cannot be reached, or None if it can."""
        try:
            async with asyncio.timeout(self._target.exchange_limit_s):
                connection = await Connection.open(self._target.endpoint)
        except ConnectionFailed as error:
            return f"the endpoint was not reached: {error}"
        except TimeoutError:
            return f"the endpoint was not reached: cannot connect within {self._target.exchange_limit_s:g} s"
        await connection.close()
        return None

    async def _run_in_time(self) -> str | None:
        """Run the checks until all have ended, the time is over or the endpoint is lost; return why it ended early."""
        running = asyncio.create_task(self._run_all())
        lost = asyncio.create_task(self._watch.lost.wait())
        tasks = {running, lost}
        done, _ = await asyncio.wait(tasks, timeout=self._limits.time_limit_s, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if running in done:
            running.result()
        if self._watch.lost.is_set():
            return self._watch.loss
        return None if running in done else f"the time limit of {self._limits.time_limit_s:g} s came first"

    async def _run_all(self) -> None:
        for check in self._checks:
            if check.alone:
                await self._run(check)
        async with asyncio.TaskGroup() as group:
            for check in self._checks:
                if not check.alone:
                    group.create_task(self._run(check))

    async def _run(self, check: Check) -> None:
        need = self._target.missing(check.requirement.needs)
        if need is not None:
            self._end(Result(check.requirement, Outcome.NOT_CHECKED, f"{need} is missing", (), 0.0))
            return
        async with self._slots:
            self._progress.started(check.requirement)
            started = time.monotonic()
            outcome, reason = await self._outcome(check)
            reason = self._target.redact_text(reason)
            elapsed_s = time.monotonic() - started
            exchanges = tuple(self._exchanges[check.requirement.id])
            self._end(Result(check.requirement, outcome, reason, exchanges, elapsed_s))

    async def _outcome(self, check: Check) -> tuple[Outcome, str]:
        def record(exchange: Exchange) -> None:
            self._watch.see(check.requirement.id, exchange)
            self._exchanges[check.requirement.id].append(self._without_secrets(exchange))

        orders = Orders(check.requirement.id, self._target.seed, self._target.account)
        kit = Kit(self._target, orders, self._transport, record, self._pause)
        try:
            await check.function(kit)
        except BrokenRequirement as broken:
            return Outcome.FAILED, str(broken)
        except NotChecked as unchecked:
            return Outcome.NOT_CHECKED, str(unchecked)
        except BaseExceptionGroup as several:  # of checks with a TaskGroup
            return _first_of(several)
        except Exception as error:  # noqa: BLE001 - a fault of one check must not cost the results of the others
            return Outcome.NOT_CHECKED, _internal_error(error)
        return Outcome.PASSED, ""

    async def _pause(self, seconds: float) -> None:
        """Let another check run while this one waits."""
        self._slots.release()
        try:
            await asyncio.sleep(seconds)
        finally:
            # Taken even when the check is cancelled: its own `async with` releases it again.
            await self._slots.acquire()

    def _without_secrets(self, exchange: Exchange) -> Exchange:
        redact = self._target.redact
        return replace(exchange, sent=redact(exchange.sent), received=redact(exchange.received))

    def _end(self, result: Result) -> None:
        self._results[result.requirement.id] = result
        self._held.append(result.requirement.id)
        self._tell(is_final=False)

    def _tell(self, *, is_final: bool) -> None:
        """Tell the results, but hold back failures that may only be signs of a lost endpoint."""
        for each in list(self._held):
            result = self._results[each]
            if is_final or result.outcome is not Outcome.FAILED or each not in self._watch.streak:
                self._held.remove(each)
                self._progress.ended(result)

    def _excuse_lost(self) -> None:
        """Mark what failed only because the endpoint was lost as not checked."""
        for requirement_id in set(self._watch.streak):
            result = self._results[requirement_id]
            if result.outcome is Outcome.FAILED and requirement_id in self._held:
                excused = replace(result, outcome=Outcome.NOT_CHECKED, reason=self._watch.loss)
                self._results[requirement_id] = excused


def _first_of(several: BaseExceptionGroup[BaseException]) -> tuple[Outcome, str]:
    """Return the outcome of a check with several tasks: a broken requirement counts more than one not checked."""
    for kind, outcome in ((BrokenRequirement, Outcome.FAILED), (NotChecked, Outcome.NOT_CHECKED)):
        found = several.subgroup(kind)
        if found is not None:
            each: BaseException = found
            while isinstance(each, BaseExceptionGroup):
                each = each.exceptions[0]
            return outcome, str(each)
    return Outcome.NOT_CHECKED, _internal_error(several)


def _internal_error(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{KIT_ERROR}: {type(error).__name__} at {where.name}:{where.lineno}"


def kit_version() -> str:
    """Return the version of the installed package; "0" where it is not installed."""
    try:
        return version("order-settlement")
    except PackageNotFoundError:
        return "0"
