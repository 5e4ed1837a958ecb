"""Every metric and label of alert rules, panels and the document exists in a real scrape, and all are documented."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client

from settlement.states import State
from tests.e2e.conftest import System, faulty, restarted
from tests.support.monitoring import ROOT, Question, questions
from tests.support.orders import new_number, order
from tests.support.polling import until
from tests.support.promql import FROM_PROMETHEUS, selected
from workflows.runtime import SETTLEMENT_TASK_QUEUE

PROMETHEUS_OWN = {"up": {"job", "instance"}}
SDKS_LABELS = {"namespace", "task_queue", "workflow_type", "activity_type"}
LIMITED_COMPANY = 31
ORDER_LIMITS = f'[limits.one-company]\ncompany = {LIMITED_COMPANY}\nper_order = "1"\n'
"""A limit for the one order that it refuses."""
RETRY = {"reasonCode": "BROKER_RECOVERED", "note": "broker is back"}


@dataclass
class Scrape:
    """The series of API and worker: labels by name, and type, labels and source of our own metrics."""

    labels: dict[str, set[str]] = field(default_factory=lambda: {k: set(v) for k, v in PROMETHEUS_OWN.items()})
    ours: dict[str, tuple[str, frozenset[str], str]] = field(default_factory=dict)

    def add(self, text: str, source: str) -> None:
        """Add one exposition."""
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self.labels.setdefault(sample.name, set()).update(sample.labels, FROM_PROMETHEUS)
            name = f"{family.name}_total" if family.type == "counter" else family.name
            if name.startswith("settlement_") and not name.endswith("_created"):
                labels = {label for sample in family.samples for label in sample.labels} - SDKS_LABELS - {"le"}
                # One metric is in both processes.
                sources = f"{self.ours[name][2]}, {source}" if name in self.ours else source
                self.ours[name] = (family.type, frozenset(labels), sources)


async def scraped(system: System) -> Scrape:
    """Scrape both processes."""
    scrape = Scrape()
    worker = f"http://127.0.0.1:{system.stack.settings.worker_metrics_port}"
    for url, source in ((system.stack.api_url, "api"), (worker, "worker")):
        async with system.http.get(f"{url}/metrics") as answer:
            assert answer.status == 200
            scrape.add(await answer.text(), source)
    return scrape


def documented() -> dict[str, tuple[str, frozenset[str], str]]:
    """Return type, labels and source of every metric in the document."""
    lines = (ROOT / "docs/metrics.md").read_text().splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `settlement_")
    ]
    return {
        name.strip("`"): (kind, frozenset(filter(None, labels.split(", "))), source)
        for name, kind, labels, source, _ in rows
    }


async def break_a_workflow_task(system: System) -> Client:
    """Start a workflow with an unreadable input: its task fails repeatedly, as after a wrong release."""
    client = await Client.connect(system.stack.temporal_address)
    await client.start_workflow("OrderSettlement", "no order", id="unreadable", task_queue=SETTLEMENT_TASK_QUEUE)
    return client


@pytest_asyncio.fixture(scope="module")
async def limited(system: System, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Return the shared stack with a limit of orders."""
    file = tmp_path_factory.mktemp("limits") / "limits.toml"
    file.write_text(ORDER_LIMITS)
    async with restarted(system.stack.api, order_limits=file):
        yield system


@pytest_asyncio.fixture(scope="module")
async def scrape(limited: System) -> AsyncIterator[Scrape]:
    """Settle one order of each kind, have one refused, and scrape until all metrics are there."""
    system = limited
    assert (await system.post(order(), company_id=LIMITED_COMPANY)).body["code"] == "amount-limit"
    client = await break_a_workflow_task(system)
    doomed = faulty("hang_applied", cancel="fail", times=system.stack.settings.cancel_max_attempts)
    for body in (order(), faulty("reject"), faulty("html_page"), faulty("never_received"), doomed):
        await system.post(body)
        await system.ends(body["requestUniqueNo"])
    assert (await system.get(doomed["requestUniqueNo"])).body["state"] == State.ABORTED
    await system.get(new_number())
    named = {name for question in questions() for name in selected(question.expression).metrics}

    async def complete() -> bool:
        found = await scraped(system)
        return named <= found.labels.keys() and documented().keys() <= found.ours.keys()

    try:
        with suppress(TimeoutError):  # the tests then report what is missing
            await until(complete)
        yield await scraped(system)
    finally:
        await client.get_workflow_handle("unreadable").terminate()
        await system.act(doomed["requestUniqueNo"], "cancel-adjust-retries", RETRY)
        assert (await system.ends(doomed["requestUniqueNo"]))["state"] == State.CANCELLED


@pytest.mark.parametrize("question", list(questions()), ids=lambda question: question.asked_by)
async def test_every_metric_of_a_rule_or_panel_is_exposed(scrape: Scrape, question: Question) -> None:
    asked = selected(question.expression)
    assert asked.metrics, "the expression uses a metric"
    known = set().union(*(scrape.labels.get(name, set()) for name in asked.metrics))
    assert asked.metrics <= scrape.labels.keys()
    assert asked.labels <= known


async def test_the_document_lists_all_our_metrics_correctly(scrape: Scrape) -> None:
    assert documented() == scrape.ours


async def test_no_series_names_an_order_or_a_person(system: System, scrape: Scrape) -> None:
    assert scrape.ours
    body = order()
    await system.post(body)
    worker = f"http://127.0.0.1:{system.stack.settings.worker_metrics_port}"
    for url in (system.stack.api_url, worker):
        async with system.http.get(f"{url}/metrics") as answer:
            served = await answer.text()
        for private in (body["requestUniqueNo"], body["userName"], body["thirdServerCode"], body["ip"]):
            assert private not in served
