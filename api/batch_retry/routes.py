"""/v1/batch-retries: have cancel adjust tried again for many aborted settlements; and look before, during and after."""

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import BaseModel, BeforeValidator, Field
from sqlalchemy.exc import SQLAlchemyError
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from api.http.access import Actor, Reader
from api.http.parameters import PlainInt, PlainInt64
from api.http.problems import ProblemError, documented
from api.http.strict_body import StrictJsonRoute
from api.services import Injected, Services
from api.settlements.resource import temporal_ui_url
from ledger.batch_retry.batches import BATCH_PAGE_MAX, ITEM_PAGE_MAX, KeyReusedError, SelectionChangedError
from schemas.batch_retry import BatchList
from schemas.problems import ErrorCode
from settlement.batch_retry import (
    BATCH_ITEMS_MAX,
    Batch,
    BatchItems,
    BatchPreview,
    BatchRetryRequest,
    BatchSelection,
    BatchState,
)
from settlement.ids import batch_workflow_id, is_batch_id
from workflows.batch_retry.start import start_batch

log = structlog.get_logger()
router = APIRouter(route_class=StrictJsonRoute)

PREVIEW = "/v1/batch-retry-preview"
BATCHES = "/v1/batch-retries"
BATCH = BATCHES + "/{batchId}"
START_LIMIT_S = 3.0
"""For Temporal to confirm the start of a batch's workflow."""


def _true(value: object) -> object:
    return True if value == "true" else value


class SelectionQuery(BatchSelection):
    """A selection as it stands in a query, where a number arrives as text."""

    company_id: PlainInt64 | None = None
    all_: Annotated[Literal[True], BeforeValidator(_true)] | None = Field(default=None, alias="all")


class BatchListQuery(BaseModel):
    """How many batches to list."""

    limit: PlainInt = Field(default=20, ge=1, le=BATCH_PAGE_MAX)


class ItemsQuery(BaseModel):
    """Which page of a batch's report."""

    after: PlainInt = Field(default=0, ge=0, le=BATCH_ITEMS_MAX, description="The last position seen.")
    limit: PlainInt = Field(default=100, ge=1, le=ITEM_PAGE_MAX)


IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=128,
        pattern=r"^[\x21-\x2b\x2d-\x7e]+$",
        description="Makes the request repeatable: key, caller and body name one batch; another body is refused (409).",
    ),
]


def _known_form(batch: Annotated[str, Path(alias="batchId")]) -> str:
    if not is_batch_id(batch):
        raise _not_found()
    return batch


BatchInPath = Annotated[str, Depends(_known_form)]


@router.get(PREVIEW, responses=documented(ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE))
async def preview_batch_retry(
    selection: Annotated[SelectionQuery, Query()], services: Injected, _: Reader
) -> BatchPreview:
    """Tell which aborted settlements a batch would touch at this moment: how many, how much, how old."""
    return await services.batches.preview(selection)


@router.post(
    BATCHES,
    status_code=HTTPStatus.ACCEPTED,
    responses={
        200: {"model": Batch, "description": "The same request again: its batch as it stands"},
        **documented(
            ErrorCode.SELECTION_CHANGED,
            ErrorCode.IDEMPOTENCY_KEY_REUSED,
            ErrorCode.VALIDATION_FAILED,
            ErrorCode.MALFORMED_REQUEST,
            ErrorCode.BODY_TOO_LARGE,
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            ErrorCode.LEDGER_UNAVAILABLE,
        ),
    },
)
async def post_batch_retry(
    body: BatchRetryRequest,
    services: Injected,
    response: Response,
    caller: Actor,
    idempotency_key: IdempotencyKey = None,
) -> Batch:
    """Begin a batch over exactly the settlements that were previewed; it goes on server-side, whoever goes away.

    With `Idempotency-Key` a repeated request of the same caller is the same batch, for as long as the ledger keeps
    it; another body under that key is refused. Without one each request begins another batch, which is harmless: it
    has its own item for each settlement, and a settlement that is not ABORTED refuses. An answer of 202 stands even
    while Temporal is away; the next round of reconciliation then starts the batch.
    """
    try:
        begun = await services.batches.create(body, caller.owner, datetime.now(UTC), key=idempotency_key)
    except SelectionChangedError as changed:
        raise ProblemError(ErrorCode.SELECTION_CHANGED, _changed(changed, body)) from changed
    except KeyReusedError as reused:
        raise _key_reused(reused) from reused
    batch = begun.batch_id
    response.headers["Location"] = f"{BATCHES}/{batch}"
    if not begun.is_new:
        response.status_code = HTTPStatus.OK
        response.headers["Idempotent-Replayed"] = "true"
    log.info("batch retry begun", batch=batch, count=body.expected_count, operator=caller.owner, is_new=begun.is_new)
    found = await _find_or_404(services, batch)
    if found.state is BatchState.RUNNING:
        await _start(services, found)
    return found


@router.get(BATCHES, responses=documented(ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE))
async def list_batch_retries(services: Injected, query: Annotated[BatchListQuery, Query()], _: Reader) -> BatchList:
    """List batches, newest first."""
    found = await services.batches.newest(query.limit)
    return BatchList(items=tuple(_with_link(services, batch) for batch in found))


@router.get(BATCH, responses=documented(ErrorCode.NOT_FOUND, ErrorCode.LEDGER_UNAVAILABLE))
async def get_batch_retry(batch: BatchInPath, services: Injected, _: Reader) -> Batch:
    """Read a batch and how far it has come. Needs neither a worker nor Temporal."""
    return await _find_or_404(services, batch)


@router.get(
    BATCH + "/items",
    responses=documented(ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE),
)
async def list_batch_items(
    batch: BatchInPath, services: Injected, query: Annotated[ItemsQuery, Query()], _: Reader
) -> BatchItems:
    """Read a batch's report by settlement: what its retry came to, and where it stands now."""
    await _find_or_404(services, batch)
    return await services.batches.items(batch, query.after, query.limit)


@router.post(BATCH + "/stop", responses=documented(ErrorCode.NOT_FOUND, ErrorCode.LEDGER_UNAVAILABLE))
async def stop_batch_retry(batch: BatchInPath, services: Injected, caller: Actor) -> Batch:
    """Stop a batch; repeating it, or stopping one that has ended, changes nothing and answers for the batch.

    Needs neither a worker nor Temporal. What is under way, at most a second's worth, still gets its outcome; what
    is pending afterwards was left as it was.
    """
    await services.batches.end(batch, BatchState.STOPPED, datetime.now(UTC))
    log.info("batch retry stopped", batch=batch, operator=caller.owner)
    return await _find_or_404(services, batch)


async def _find_or_404(services: Services, batch: str) -> Batch:
    found = await services.batches.find(batch)
    if found is None:
        raise _not_found()
    return _with_link(services, found)


async def _start(services: Services, batch: Batch) -> None:
    """Start a batch's workflow unless it runs. If that fails, the next round of reconciliation starts it."""
    try:
        async with asyncio.timeout(START_LIMIT_S):
            await start_batch(await services.temporal.client(), batch)
    except WorkflowAlreadyStartedError:
        # It has come to its end since the ledger was read.
        return
    except (RPCError, RuntimeError, SQLAlchemyError, OSError) as error:
        log.warning("batch not started yet", batch=batch.batch_id, error=str(error) or type(error).__name__)


def _with_link(services: Services, batch: Batch) -> Batch:
    link = temporal_ui_url(services, batch_workflow_id(batch.batch_id))
    return batch.model_copy(update={"temporal_ui_url": link})


def _changed(changed: SelectionChangedError, body: BatchRetryRequest) -> str:
    """Say how many there are; above the limit they were not counted."""
    many = f"more than {BATCH_ITEMS_MAX}" if changed.count > BATCH_ITEMS_MAX else str(changed.count)
    return f"the selection has {many} aborted settlements now, not {body.expected_count}; preview again"


def _key_reused(reused: KeyReusedError) -> ProblemError:
    fields = ", ".join(reused.fields)
    detail = f"this Idempotency-Key belongs to a batch that was begun with other {fields}; that batch is untouched"
    return ProblemError(ErrorCode.IDEMPOTENCY_KEY_REUSED, detail, headers={"Location": f"{BATCHES}/{reused.batch_id}"})


def _not_found() -> ProblemError:
    return ProblemError(ErrorCode.NOT_FOUND, "no batch has this id")
