"""A small fake of the API for operators. It has state, uses the real models and runs in the test process."""

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
    ended_settlement,
    model_response,
    problem,
)

PAGE_MAX = 2
"""Items per page; small, so that tests read several pages."""


class FakeApi:
    """The state of the fake API. A batch and a round make progress with each poll."""

    def __init__(self) -> None:
        self.polls_until_done = 3
        """Number of polls until a batch or a round has ended."""
        self.states: dict[str, State] = dict.fromkeys(ABORTED, State.ABORTED)
        self.batches: list[Batch] = []
        self.rounds = 1
        self._polls = 0

    def poll(self, batch_id: str) -> Batch | None:
        """Return a batch, and let it make progress."""
        found = [each for each in self.batches if each.batch_id == batch_id]
        if found and found[0].state is BatchState.RUNNING:
            self._polls += 1
            if self._polls >= self.polls_until_done:
                self.states = dict.fromkeys(ABORTED, State.CANCELLED)
                self.change(batch_id, state=BatchState.DONE, outcomes={ItemOutcome.RETRIED: 3}, ended_at=at(60))
        return next((self._with_states(each) for each in self.batches if each.batch_id == batch_id), None)

    def change(self, batch_id: str, **fields: Any) -> None:  # noqa: ANN401 - any field of a batch
        """Change fields of a batch."""
        self.batches = [each.model_copy(update=fields) if each.batch_id == batch_id else each for each in self.batches]

    def start(self, request: BatchRetryRequest) -> Batch:
        """Start a batch."""
        self._polls = 0
        batch = Batch(
            batch_id=f"B-{len(self.batches) + 1}",
            state=BatchState.RUNNING,
            operator="ops-1",
            key_id=None,
            reason_code=request.reason_code,
            note=request.note,
            selection=request.selection,
            rate_per_s=request.rate_per_s,
            created_at=at(50),
            ended_at=None,
            count=3,
            totals=TOTALS,
            outcomes={ItemOutcome.PENDING: 3},
            states={},
        )
        self.batches.insert(0, batch)
        return self._with_states(batch)

    def count(self) -> int:
        """Return the number of settlements that a batch would retry."""
        return sum(state is State.ABORTED for state in self.states.values())

    def round(self) -> ReconciliationStatus:
        """Return the last round. A requested round ends after `polls_until_done` polls."""
        self._polls += 1
        if self._polls == self.polls_until_done:
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

    def request_round(self) -> ReconciliationStatus:
        """Request a round."""
        self._polls = 0
        return self.round()

    def _with_states(self, batch: Batch) -> Batch:
        states = {state: sum(each is state for each in self.states.values()) for state in set(self.states.values())}
        return batch.model_copy(update={"states": states})


def fake_api_app(fake_api: FakeApi) -> FastAPI:
    """Return the application of a fake API."""
    app = FastAPI()
    app.add_api_route("/v1/exposure", lambda: model_response(EXPOSURE))
    app.add_api_route("/v1/settlements/{number}", ended_settlement)
    app.add_api_route("/v1/settlements/{number}/explain", explain)
    app.add_api_route("/v1/settlements/{number}/events", events)
    app.add_api_route("/v1/reconciliation/findings", findings)
    app.add_api_route("/v1/reconciliation", lambda: model_response(fake_api.round()))
    app.add_api_route(
        "/v1/reconciliation/rounds", lambda: model_response(fake_api.request_round(), 202), methods=["POST"]
    )
    _add_batches(app, fake_api)
    return app


def explain(number: str) -> Response:
    """Return the explanation of any settlement but one."""
    if number == "ORD-UNKNOWN":
        return problem(404, "not-found")
    timeline = tuple(TimelineEntry(at=event.at, text=f"{event.state}: {event.reason}") for event in EVENTS)
    return model_response(
        Explanation(
            system="default",
            request_unique_no=number,
            state=State.CANCELLED,
            decision=Decision.VOID,
            headline="cancelled: the broker gave the amount back",
            money="as it was before the order",
            timeline=timeline,
            next=NextStep(text="Finished; nothing to do.", who="nobody", commands=(f"settlement show {number}",)),
            temporal_ui_url=None,
        )
    )


def events(request: Request) -> Response:
    """Stream the events after the last one that the client has."""
    first = int(request.headers.get("last-event-id", "-1")) + 1

    async def stream() -> AsyncIterator[str]:
        yield ": comment\n\n"
        for position, event in list(enumerate(EVENTS))[first:]:
            yield f"id: {position}\ndata: {event.model_dump_json()}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


def findings(status: FindingStatus | None = None, before: int = 1_000_000, limit: int = 50) -> Response:
    """Return a page of findings."""
    matching = [each for each in FINDINGS if each.finding_id < before and status in (None, each.status)]
    page = matching[: min(limit, PAGE_MAX)]
    return model_response(
        FindingPage(items=tuple(page), next_before=page[-1].finding_id if len(matching) > len(page) else None)
    )


def preview(fake_api: FakeApi) -> Response:
    """Return the preview of a batch of all aborted settlements."""
    count = fake_api.count()
    empty = BatchPreview(count=0, totals=(), oldest_accepted_at=None, newest_accepted_at=None)
    full = BatchPreview(count=count, totals=TOTALS, oldest_accepted_at=T0, newest_accepted_at=at(9))
    return model_response(full if count else empty)


def batch_items(fake_api: FakeApi, after: int, limit: int) -> Response:
    """Return a page of the items of a batch."""
    all_items = [
        BatchItem(
            position=position,
            system="default",
            request_unique_no=number,
            outcome=ItemOutcome.RETRIED,
            detail="",
            at=at(position),
            state=state,
            cancel_result=CancelResult.REVERSED,
        )
        for position, (number, state) in enumerate(fake_api.states.items(), 1)
    ]
    page = all_items[after : after + min(limit, PAGE_MAX)]
    has_more = len(all_items) > after + len(page)
    return model_response(BatchItems(items=tuple(page), next_after=page[-1].position if has_more else None))


def _add_batches(app: FastAPI, fake_api: FakeApi) -> None:
    async def start(request: Request) -> Response:
        body = BatchRetryRequest.model_validate_json(await request.body())
        if body.expected_count != fake_api.count():
            return problem(409, "selection-changed")
        return model_response(fake_api.start(body), 202)

    def status(batch_id: str) -> Response:
        batch = fake_api.poll(batch_id)
        return problem(404, "not-found") if batch is None else model_response(batch)

    def stop(batch_id: str) -> Response:
        fake_api.change(batch_id, state=BatchState.STOPPED, ended_at=at(55))
        return status(batch_id)

    def items(after: int = 0, limit: int = 50) -> Response:
        return batch_items(fake_api, after, limit)

    def batches(limit: int = 50) -> Response:
        found = [json.loads(batch.model_dump_json()) for batch in fake_api.batches[:limit]]
        return JSONResponse({"items": found})

    app.add_api_route("/v1/batch-retry-preview", lambda: preview(fake_api))
    app.add_api_route("/v1/batch-retries", batches)
    app.add_api_route("/v1/batch-retries", start, methods=["POST"])
    app.add_api_route("/v1/batch-retries/{batch_id}", status)
    app.add_api_route("/v1/batch-retries/{batch_id}/stop", stop, methods=["POST"])
    app.add_api_route("/v1/batch-retries/{batch_id}/items", items)
