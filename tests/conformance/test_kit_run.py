"""One run: its verdict, its exit code, its limits, and what its reports never contain."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from conformance.kit import Kit
from conformance.requirement import BrokenRequirement, Check, NotChecked, Outcome, Requirement, Result
from conformance.run import Limits, Runner
from conformance.target import Target
from conformance.verdict import RunReport, Verdict
from stack.ports import free_port
from tests.support.cli import Ran
from tests.support.conformance_program import conformance
from tests.support.documents import ROOT
from tests.unit.connector.raw_broker import FAILURE, Peer, broker, reply, resetting_after, sending, silence

SECRET = "s3cr3t-t0ken"  # noqa: S105 - it is one of a test
QUICK = ("--only", "C-008", "--only", "C-012", "--only", "C-040")


async def run(url: str, *arguments: str, **variables: str) -> Ran:
    """Run the command against an endpoint."""
    return await conformance("run", "--base-url", url, *arguments, **variables)


async def test_endpoint_that_conforms(simulator: str) -> None:
    ran = await run(simulator, *QUICK)
    assert (ran.code, ran.err) == (0, "")
    assert sorted(ran.out.splitlines())[:3] == [
        "C-008  passed       A reply carries the trace of its request",
        "C-012  passed       The same adjust again gets the same answer and is applied once",
        "C-040  passed       A cancel reverses an applied adjust",
    ]
    assert ran.out.endswith("\nCONFORMS: all 3 checked requirements passed\n")


async def test_endpoint_that_refuses_everything() -> None:
    async with broker(sending(reply(FAILURE))) as there:
        ran = await run(there.url, "--only", "C-008", "--only", "c-010", "--only", "C-012", "--exchange-limit-s", "5")
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "C-008  FAILED       A reply carries the trace of its request",
        ran.out.splitlines()[1],
        "C-010  FAILED       A plain adjust of every operationType is answered correctly",
        "       OPEN_POSITION: expected code '0'; came: code 'E1'",
        "C-012  not checked  The same adjust again gets the same answer and is applied once",
        "       an adjust to begin with is not applied: code 'E1'. C-010 must pass first",
        "DOES NOT CONFORM: 2 of 2 checked requirements failed (C-008, C-010); 1 not checked (C-012)",
    ]
    assert re.fullmatch(r" {7}an adjust: trace: expected 'C008-\w+-trace\d+'; came: None", ran.out.splitlines()[1])


async def test_quiet_prints_failures_and_the_verdict(simulator: str) -> None:
    assert (await run(simulator, *QUICK, "--quiet")).out == "CONFORMS: all 3 checked requirements passed\n"


async def test_endpoint_that_is_not_there(tmp_path: Path) -> None:
    ran = await run(f"http://127.0.0.1:{free_port()}", *QUICK, "--report", str(tmp_path), "--quiet")
    sentence = "NOT DECIDED: the endpoint was not reached: connection refused"
    assert (ran.code, ran.out) == (3, f"{sentence}; 0 requirements passed; 3 not checked (C-008, C-012, C-040)\n")
    assert set(_files(tmp_path)) == {"report.json", "report.xml", "report.html"}


async def test_endpoint_that_is_lost() -> None:
    """Five dropped connections in a row end the run; a failure that only says so is none."""
    async with broker(resetting_after()) as there:
        ran = await run(there.url, "--load-s", "1", "--load-per-s", "1", "--quiet")
    assert ran.code == 3
    assert "FAILED" not in ran.out
    assert ran.out.startswith("NOT DECIDED: the endpoint was lost: connection reset by the endpoint; 0 requirements")


async def test_time_limit_ends_the_run() -> None:
    async with broker(silence) as there:
        ran = await run(there.url, "--only", "C-010", "--time-limit-s", "1")
    assert ran.code == 3
    assert "       the time limit of 1 s came first\n" in ran.out
    assert ran.out.endswith(
        "NOT DECIDED: the time limit of 1 s came first; 0 requirements passed; 1 not checked (C-010)\n"
    )


async def test_requirement_that_needs_an_option_is_not_checked(simulator: str) -> None:
    ran = await run(simulator, "--only", "C-080")
    assert ran.code == 3
    assert ran.out.splitlines()[1:] == [
        "       --balance-url is missing",
        "NOT DECIDED: no requirement was checked; 1 not checked (C-080)",
    ]


async def test_secrets_are_in_no_output_and_in_no_report(tmp_path: Path) -> None:
    """Not even if the endpoint repeats them."""

    async def telltale(peer: Peer) -> None:
        told = f"{peer.request.headers['Authorization']} {peer.request.headers['X-Key']}"
        await peer.send(reply(json.dumps({"code": "E1", "msg": told, "trace": told}).encode(), f"X-Told: {told}"))

    headers = ("--header", f"Authorization: Bearer {SECRET}1", "--header", "X-Key: env:API_KEY")
    async with broker(telltale) as there:
        ran = await run(there.url, *QUICK, *headers, "--report", str(tmp_path), API_KEY=f"{SECRET}2")
        assert {each.headers["X-Key"] for each in there.requests} == {f"{SECRET}2"}
        curl = await run(there.url, "--curl", "C-012", *headers, API_KEY=f"{SECRET}2")
    assert ran.code == 1
    assert curl.code == 0
    written = list(_files(tmp_path).values())
    assert len(written) == 3
    for text in (ran.out, ran.err, curl.out, *written):
        assert SECRET not in text
    assert "X-Key: ***" in written[0] + written[1] + written[2]


async def test_reader_that_ends_ends_the_run(simulator: str) -> None:
    command = f"{sys.executable} -m conformance run --base-url {simulator} --only C-010 --only C-014 --repeat-after-s 1"
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"{command} | head -n 1; echo ${{PIPESTATUS[0]}}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    out, err = await process.communicate()
    assert out.decode().splitlines()[1:] == ["141"]
    assert err == b""


async def test_list_and_requirements_send_nothing() -> None:
    listed, requirements = await conformance("run", "--list"), await conformance("requirements")
    assert (listed.code, listed.out) == (0, requirements.out)
    assert "C-012  The same adjust again gets the same answer and is applied once\n" in listed.out
    some = await conformance("run", "--list", "--only", "C-012")
    assert len(some.out.splitlines()) == 1


def _files(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


async def test_unfinished_check_keeps_its_exchanges() -> None:
    async def endless(kit: Kit) -> None:
        while True:
            await kit.adjust(kit.order())

    async with broker(sending(reply())) as there:
        report, _ = await run_checks(there.url, Check(named("A"), endless, alone=False), limits=Limits(time_limit_s=1))
    (result,) = report.results
    assert (report.verdict, result.outcome) == (Verdict.NOT_DECIDED, Outcome.NOT_CHECKED)
    assert result.reason == "the time limit of 1 s came first"
    assert len(result.exchanges) == len(report.latencies_s) > 0


class _Ended:
    """Collects what a run tells."""

    def __init__(self) -> None:
        self.started_ids: list[str] = []
        self.ended_ids: list[str] = []

    def started(self, requirement: Requirement) -> None:
        self.started_ids.append(requirement.id)

    def ended(self, result: Result) -> None:
        self.ended_ids.append(result.requirement.id)


def named(check_id: str) -> Requirement:
    """Return a requirement with an id."""
    return Requirement(check_id, "title", "rule", "why", "docs/contract.md#trace", "check")


async def run_checks(url: str, *checks: Check, limits: Limits | None = None) -> tuple[RunReport, _Ended]:
    """Run checks of a test."""
    told = _Ended()
    return await Runner(Target(url), checks, told, limits).run({}), told


async def test_fault_of_the_kit_costs_no_other_result(simulator: str) -> None:
    async def broken(_: Kit) -> None:
        raise KeyError(SECRET)

    async def fine(kit: Kit) -> None:
        await kit.applied(kit.order())

    report, _ = await run_checks(
        simulator, Check(named("A"), broken, alone=False), Check(named("B"), fine, alone=False)
    )
    assert [each.outcome for each in report.results] == [Outcome.NOT_CHECKED, Outcome.PASSED]
    assert report.results[0].reason.startswith("internal error of the kit: KeyError at broken:")
    assert report.verdict is Verdict.NOT_DECIDED


async def test_requirement_that_cannot_be_checked_leaves_the_verdict_open(simulator: str) -> None:
    """Nothing failed, but a system that does not let a requirement be checked has not shown that it keeps it."""

    async def unsettled(_: Kit) -> None:
        message = "the trace of a single adjust is not in its reply. C-008 must pass first"
        raise NotChecked(message)

    async def fine(kit: Kit) -> None:
        await kit.applied(kit.order())

    report, _ = await run_checks(
        simulator, Check(named("A"), unsettled, alone=False), Check(named("B"), fine, alone=False)
    )
    assert report.verdict is Verdict.NOT_DECIDED
    assert report.sentence == "NOT DECIDED: nothing failed, but A could not be checked; 1 not checked (A)"


async def test_check_that_waits_lets_others_run(simulator: str) -> None:
    """One slot is enough for a check that waits and one that does not."""
    order: list[str] = []

    async def waiting(kit: Kit) -> None:
        await kit.pause(0.05)
        order.append("waited")

    async def quick(_: Kit) -> None:
        order.append("quick")

    checks = (Check(named("A"), waiting, alone=False), Check(named("B"), quick, alone=False))
    report, told = await run_checks(simulator, *checks, limits=Limits(parallel=1))
    assert order == ["quick", "waited"]
    assert (told.started_ids, told.ended_ids) == (["A", "B"], ["B", "A"])
    assert [each.requirement.id for each in report.results] == ["A", "B"]


async def test_outcome_of_a_check_with_several_tasks_is_that_of_its_broken_requirement(simulator: str) -> None:
    async def several(kit: Kit) -> None:
        unchecked, broken = NotChecked("another reason"), None
        try:
            kit.expect(holds=False, expected="expected this", came="that")
        except BrokenRequirement as error:
            broken = error
        assert broken is not None
        raise ExceptionGroup("tasks", [unchecked, ExceptionGroup("more", [broken])])

    report, _ = await run_checks(simulator, Check(named("A"), several, alone=False))
    assert (report.results[0].outcome, report.results[0].reason) == (Outcome.FAILED, "expected this; came: that")


async def test_report_has_the_latency_of_every_reply(simulator: str) -> None:
    async def fine(kit: Kit) -> None:
        order = kit.order()
        await kit.applied(order)
        await kit.reversed(order)

    report, _ = await run_checks(simulator, Check(named("A"), fine, alone=False))
    (result,) = report.results
    assert [latency for _, latency in report.latencies_s] == [each.elapsed_s for each in result.exchanges]
    assert all(0 <= since <= report.elapsed_s for since, _ in report.latencies_s)


@pytest.mark.parametrize("seed", [1, 2])
async def test_seed_makes_the_same_numbers(simulator: str, seed: int) -> None:
    first, second, other = [
        await run(simulator, "--seed", str(each), "--curl", "C-012") for each in (seed, seed, seed + 1)
    ]

    def numbers(ran: Ran) -> list[str]:
        return re.findall(r'"requestUniqueNo":"([^"]+)"', ran.out)

    assert numbers(first) == numbers(second) != numbers(other)
