"""A double of the API's operator side, made of the contract's models: small, stateful, in this process."""

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from schemas.explanation import Explanation, NextStep, TimelineEntry
from schemas.reconciliation import ReconciliationStatus
from settlement.batch_retry import (
    Batch,
    BatchItem,
    BatchItems,
    BatchPreview,
    BatchRetryRequest,
    BatchState,
    ItemOutcome,
)
from settlement.reconciliation import FindingPage, FindingStatus, ReconciliationRound
from settlement.states import CancelResult, Decision, State
from tests.unit.cli.api_answers import (
    ABORTED,
    EVENTS,
    EXPOSURE,
    FINDINGS,
    T0,
    TOTALS,
    at,
    problem,
    sent,
    settlement_at_its_end,
)

PAGE_MAX = 2
"""Pages are short, so that following them is seen."""


class World:
    """What the double knows. Time passes with the requests that look for it."""

    def __init__(self) -> None:
        self.looks_needed = 3
        """How often a batch or a round is looked at until it has ended."""
        self.states: dict[str, State] = dict.fromkeys(ABORTED, State.ABORTED)
        self.batches: list[Batch] = []
        self.rounds = 1
        self._looks = 0

    def look(self, batch_id: str) -> Batch | None:
        """Return a batch, a little further than it was."""
        found = [each for each in self.batches if each.batch_id == batch_id]
        if found and found[0].state is BatchState.RUNNING:
            self._looks += 1
            if self._looks >= self.looks_needed:
                self.states = dict.fromkeys(ABORTED, State.CANCELLED)
                self.change(batch_id, state=BatchState.DONE, outcomes={ItemOutcome.RETRIED: 3}, ended_at=at(60))
        return next((self._now(each) for each in self.batches if each.batch_id == batch_id), None)

    def change(self, batch_id: str, **fields: Any) -> None:  # noqa: ANN401 - any field of a batch
        """Change a batch."""
        self.batches = [each.model_copy(update=fields) if each.batch_id == batch_id else each for each in self.batches]

    def begin(self, order: BatchRetryRequest) -> Batch:
        """Begin a batch."""
        self._looks = 0
        batch = Batch(
            batch_id=f"B-{len(self.batches) + 1}",
            state=BatchState.RUNNING,
            operator="ops-1",
            reason_code=order.reason_code,
            note=order.note,
            selection=order.selection,
            rate_per_s=order.rate_per_s,
            created_at=at(50),
            ended_at=None,
            count=3,
            totals=TOTALS,
            outcomes={ItemOutcome.PENDING: 3},
            states={},
        )
        self.batches.insert(0, batch)
        return self._now(batch)

    def count(self) -> int:
        """Count what a batch would touch."""
        return sum(state is State.ABORTED for state in self.states.values())

    def round(self) -> ReconciliationStatus:
        """Return the last round; one that was asked for ends after a few looks."""
        self._looks += 1
        if self._looks == self.looks_needed:
            self.rounds += 1
        last = ReconciliationRound(
            round_id=f"R-{self.rounds}",
            started_at=at(100),
            ended_at=at(101),
            ledger_checked=4,
            temporal_checked=4,
            found=1,
            repaired=0,
            open_findings=1,
            complete=True,
        )
        return ReconciliationStatus(last_round=last, open_findings=1, schedule="every 60 s")

    def ask_for_round(self) -> ReconciliationStatus:
        """Have a round begun."""
        self._looks = 0
        return self.round()

    def _now(self, batch: Batch) -> Batch:
        states = {state: sum(each is state for each in self.states.values()) for state in set(self.states.values())}
        return batch.model_copy(update={"states": states})


def world_app(world: World) -> FastAPI:
    """Return the double over a world."""
    app = FastAPI()
    app.add_api_route("/v1/exposure", lambda: sent(EXPOSURE))
    app.add_api_route("/v1/settlements/{number}", settlement_at_its_end)
    app.add_api_route("/v1/settlements/{number}/explain", explain)
    app.add_api_route("/v1/settlements/{number}/events", events)
    app.add_api_route("/v1/reconciliation/findings", findings)
    app.add_api_route("/v1/reconciliation", lambda: sent(world.round()))
    app.add_api_route("/v1/reconciliation/rounds", lambda: sent(world.ask_for_round(), 202), methods=["POST"])
    _add_batches(app, world)
    return app


def explain(number: str) -> Response:
    """Answer the story of any settlement but one."""
    if number == "ORD-NOBODY":
        return problem(404, "not-found")
    timeline = tuple(TimelineEntry(at=event.at, text=f"{event.state}: {event.reason}") for event in EVENTS)
    return sent(
        Explanation(
            request_unique_no=number,
            state=State.CANCELLED,
            decision=Decision.VOID,
            headline="cancelled: the broker gave the amount back",
            money="as it was before the order",
            timeline=timeline,
            next=NextStep(text="nothing", who="nobody", commands=(f"settlement show {number}",)),
            temporal_ui_url=None,
        )
    )


def events(request: Request) -> Response:
    """Stream what came after the last event that the client has."""
    first = int(request.headers.get("last-event-id", "-1")) + 1

    async def stream() -> AsyncIterator[str]:
        yield ": hello\n\n"
        for position, event in list(enumerate(EVENTS))[first:]:
            yield f"id: {position}\ndata: {event.model_dump_json()}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


def findings(status: FindingStatus | None = None, before: int = 1_000_000, limit: int = 50) -> Response:
    """Answer a page of findings."""
    fit = [each for each in FINDINGS if each.finding_id < before and status in (None, each.status)]
    page = fit[: min(limit, PAGE_MAX)]
    return sent(FindingPage(items=tuple(page), next_before=page[-1].finding_id if len(fit) > len(page) else None))


def _add_batches(app: FastAPI, world: World) -> None:
    def preview() -> Response:
        count = world.count()
        empty = BatchPreview(count=0, totals=(), oldest_accepted_at=None, newest_accepted_at=None)
        full = BatchPreview(count=count, totals=TOTALS, oldest_accepted_at=T0, newest_accepted_at=at(9))
        return sent(full if count else empty)

    async def begin(request: Request) -> Response:
        order = BatchRetryRequest.model_validate_json(await request.body())
        if order.expected_count != world.count():
            return problem(409, "selection-changed")
        return sent(world.begin(order), 202)

    def look(batch_id: str) -> Response:
        batch = world.look(batch_id)
        return problem(404, "not-found") if batch is None else sent(batch)

    def stop(batch_id: str) -> Response:
        world.change(batch_id, state=BatchState.STOPPED, ended_at=at(55))
        return look(batch_id)

    def items(after: int = 0, limit: int = 50) -> Response:
        whole = [
            BatchItem(
                position=position,
                request_unique_no=number,
                outcome=ItemOutcome.RETRIED,
                detail="",
                at=at(position),
                state=state,
                cancel_result=CancelResult.REVERSED,
            )
            for position, (number, state) in enumerate(world.states.items(), 1)
        ]
        page = whole[after : after + min(limit, PAGE_MAX)]
        more = len(whole) > after + len(page)
        return sent(BatchItems(items=tuple(page), next_after=page[-1].position if more else None))

    def batches(limit: int = 50) -> Response:
        found = [json.loads(batch.model_dump_json()) for batch in world.batches[:limit]]
        return JSONResponse({"items": found})

    app.add_api_route("/v1/batch-retry-preview", preview)
    app.add_api_route("/v1/batch-retries", batches)
    app.add_api_route("/v1/batch-retries", begin, methods=["POST"])
    app.add_api_route("/v1/batch-retries/{batch_id}", look)
    app.add_api_route("/v1/batch-retries/{batch_id}/stop", stop, methods=["POST"])
    app.add_api_route("/v1/batch-retries/{batch_id}/items", items)
