"""What the kit is run against: the simulator, the reference broker on both databases, and the mutants."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.conformance.kit_runs import simulator_options
from tests.conformance.mutants import processes
from tests.conformance.mutants.table import MUTANTS
from tests.support.postgres import running_postgres
from tests.support.reference_broker import running

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Endpoint:
    """A running endpoint, and the options with which the kit can check every requirement on it."""

    url: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """A system, and what is wrong with it."""

    name: str
    serving: Callable[[], AbstractContextManager[Endpoint]]
    breaks: frozenset[str] = NOTHING
    """The requirements that must fail: these, and no others."""


@contextmanager
def _simulator(name: str | None) -> Iterator[Endpoint]:
    with processes.serving(name) as url:
        yield Endpoint(url, simulator_options(url))


@contextmanager
def _broker(database_url: str | None) -> Iterator[Endpoint]:
    """Run the reference broker on a database; None: an SQLite file of its own."""
    with tempfile.TemporaryDirectory(prefix="broker-") as folder, asyncio.Runner() as runner:
        started = running(database_url or f"sqlite:///{folder}/broker.sqlite", Path(folder))
        broker = runner.run(started.__aenter__())
        url = str(broker.http.base_url).rstrip("/")
        try:
            yield Endpoint(url, broker_options(url))
        finally:
            runner.run(started.__aexit__(None, None, None))


@contextmanager
def _broker_on_postgres() -> Iterator[Endpoint]:
    with running_postgres() as server, _broker(server.create_database("broker")) as endpoint:
        yield endpoint


def broker_options(url: str) -> tuple[str, ...]:
    """Return the options with which every requirement can be checked on the reference broker."""
    return (
        *("--balance-url", f"{url}/balances/{{thirdServerCode}}/{{currency}}", "--balance-pointer", "/balance"),
        *("--refused-customer", "closed-1", "--slow-customer", "slow-1"),
    )


SIMULATOR = Subject("the simulator", partial(_simulator, None))
CORRECT = (
    SIMULATOR,
    Subject("the reference broker on SQLite", partial(_broker, None)),
    Subject("the reference broker on PostgreSQL", _broker_on_postgres),
)
"""The systems that keep the contract."""


def mutant_subject(name: str) -> Subject:
    """Return a mutant as a subject."""
    return Subject(name, partial(_simulator, name), MUTANTS[name].breaks)
