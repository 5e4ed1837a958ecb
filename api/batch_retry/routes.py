"""/v1/batch-retries: preview, start, read and stop retries of cancel adjust for many aborted settlements."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import BaseModel, BeforeValidator, Field
from sqlalchemy.exc import SQLAlchemyError
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.temporal_calls import TemporalCallError, calling_temporal
from api.http.access import Actor, Caller, Reader
from api.http.page_cost import count_page
from api.http.problems import BODY_ERRORS, ProblemError, documented
from api.http.strict_body import StrictJsonRoute
from api.http.strict_requests import PlainInt, PlainInt64
from api.services import Injected, Services
from api.settlements.resource import temporal_ui_url
from ledger.batch_retry.batches import (
    BATCH_PAGE_MAX,
    ITEM_PAGE_MAX,
    BatchSumError,
    KeyReusedError,
    SelectionChangedError,
)
from schemas.problems import ErrorCode
from settlement.batch_retry import (
    BATCH_ITEMS_MAX,
    Batch,
    BatchItems,
    BatchList,
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
"""How long Temporal may take to confirm the start of the workflow of a batch."""


def _true(value: object) -> object:
    return True if value == "true" else value


class SelectionQuery(BatchSelection):
    """A selection in a query, where numbers arrive as text."""

    company_id: PlainInt64 | None = None
    all_: Annotated[Literal[True], BeforeValidator(_true)] | None = Field(default=None, alias="all")


class BatchListQuery(BaseModel):
    """The length of the list."""

    limit: PlainInt = Field(default=20, ge=1, le=BATCH_PAGE_MAX)


class ItemsQuery(BaseModel):
    """The page of the report of a batch."""

    after: PlainInt = Field(default=0, ge=0, le=BATCH_ITEMS_MAX, description="The last position of the previous page.")
    limit: PlainInt = Field(default=100, ge=1, le=ITEM_PAGE_MAX)


IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=128,
        pattern=r"^[\x21-\x2b\x2d-\x7e]+$",
        description="Makes the request idempotent: the same caller, key and body mean the same batch. The same key "
        "with another body is rejected (409).",
    ),
]


async def _batch_id(batch: Annotated[str, Path(alias="batchId")]) -> str:
    if not is_batch_id(batch):
        raise _not_found()
    return batch


BatchInPath = Annotated[str, Depends(_batch_id)]


@router.get(PREVIEW, responses=documented(ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE))
async def preview_batch_retry(
    selection: Annotated[SelectionQuery, Query()], services: Injected, caller: Reader
) -> BatchPreview:
    """Preview a batch: number, amounts and ages of the aborted settlements that the selection contains now.

    It counts only settlements in the scope of the key.
    """
    return await services.batches.preview(selection, caller.scope)


@router.post(
    BATCHES,
    status_code=HTTPStatus.ACCEPTED,
    responses={
        200: {"model": Batch, "description": "A repeated request: the current state of its batch"},
        **documented(
            ErrorCode.COMPANY_FORBIDDEN,
            ErrorCode.SELECTION_CHANGED,
            ErrorCode.BATCH_SUM_LIMIT,
            ErrorCode.IDEMPOTENCY_KEY_REUSED,
            *BODY_ERRORS,
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
    """Start a batch over exactly the settlements that were previewed. It runs on the server, without the caller.

    With `Idempotency-Key`, a repeated request of the same caller returns the same batch, as long as the ledger keeps
    it; another body with that key is rejected. Without the header, each request starts another batch. That is harmless:
    a settlement that is no longer ABORTED refuses the retry. If Temporal is unreachable, the response is also 202, and
    the next round of reconciliation starts the batch.

    With a key whose scope is not `all`, the selection must name a `companyId` of the scope.
    """
    caller.check_company(body.selection.company_id, "a selection")
    try:
        begun = await services.batches.create(
            body,
            caller.client,
            datetime.now(UTC),
            key=idempotency_key,
            key_id=caller.key_id,
            sums_max=services.settings.batch_sums(),
        )
    except BatchSumError as above:
        raise ProblemError(ErrorCode.BATCH_SUM_LIMIT, _above(above)) from above
    except SelectionChangedError as changed:
        raise ProblemError(ErrorCode.SELECTION_CHANGED, _changed(changed, body)) from changed
    except KeyReusedError as reused:
        raise _key_reused(reused) from reused
    batch = begun.batch_id
    response.headers["Location"] = f"{BATCHES}/{batch}"
    if not begun.is_new:
        response.status_code = HTTPStatus.OK
        response.headers["Idempotent-Replayed"] = "true"
    log.info("batch retry started", batch=batch, count=body.expected_count, is_new=begun.is_new, **caller.as_operator)
    found = await _find_or_404(services, batch, caller)
    if found.state is BatchState.RUNNING:
        await _start(services, found)
    return found


@router.get(BATCHES, responses=documented(ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE))
async def list_batch_retries(
    services: Injected, query: Annotated[BatchListQuery, Query()], caller: Reader
) -> BatchList:
    """List batches whose selection is in the scope of the key, newest first."""
    await count_page(services, caller, query.limit)
    found = await services.batches.newest(query.limit, caller.scope)
    return BatchList(items=tuple(_with_link(services, batch) for batch in found))


@router.get(BATCH, responses=documented(ErrorCode.NOT_FOUND, ErrorCode.LEDGER_UNAVAILABLE))
async def get_batch_retry(batch: BatchInPath, services: Injected, caller: Reader) -> Batch:
    """Read a batch and its progress. Needs neither a worker nor Temporal."""
    return await _find_or_404(services, batch, caller)


@router.get(
    BATCH + "/items",
    responses=documented(ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE),
)
async def list_batch_items(
    batch: BatchInPath, services: Injected, query: Annotated[ItemsQuery, Query()], caller: Reader
) -> BatchItems:
    """Read the report of a batch: for each settlement, the outcome of its retry and its current state."""
    await count_page(services, caller, query.limit)
    await _find_or_404(services, batch, caller)
    return await services.batches.items(batch, query.after, query.limit)


@router.post(BATCH + "/stop", responses=documented(ErrorCode.NOT_FOUND, ErrorCode.LEDGER_UNAVAILABLE))
async def stop_batch_retry(batch: BatchInPath, services: Injected, caller: Actor) -> Batch:
    """Stop a batch. Stopping it again, or stopping a batch that has ended, changes nothing and returns the batch.

    Needs neither a worker nor Temporal. Retries in progress, at most those of one second, still get their outcome.
    Items that stay PENDING were not touched.
    """
    await _find_or_404(services, batch, caller)
    who = {"operator": caller.client, "key_id": caller.key_id}
    await services.batches.end(batch, BatchState.STOPPED, datetime.now(UTC), **who)
    log.info("batch retry stopped", batch=batch, **caller.as_operator)
    return await _find_or_404(services, batch, caller)


async def _find_or_404(services: Services, batch: str, caller: Caller) -> Batch:
    found = await services.batches.find(batch, caller.scope)
    if found is None:
        raise _not_found()
    return _with_link(services, found)


async def _start(services: Services, batch: Batch) -> None:
    """Start the workflow of a batch unless it is running. If that fails, the next round of reconciliation starts it."""
    try:
        async with calling_temporal(START_LIMIT_S):
            await start_batch(await services.temporal.client(), batch)
    except WorkflowAlreadyStartedError:
        # The workflow has completed since the ledger was read.
        return
    except (TemporalCallError, SQLAlchemyError, OSError) as error:
        log.warning("batch not started yet", batch=batch.batch_id, error=str(error) or type(error).__name__)


def _with_link(services: Services, batch: Batch) -> Batch:
    link = temporal_ui_url(services, batch_workflow_id(batch.batch_id))
    return batch.model_copy(update={"temporal_ui_url": link})


def _changed(changed: SelectionChangedError, body: BatchRetryRequest) -> str:
    """Return the text with the current count. Above the limit the settlements are not counted."""
    many = f"more than {BATCH_ITEMS_MAX}" if changed.count > BATCH_ITEMS_MAX else str(changed.count)
    return f"the selection has {many} aborted settlements now, not {body.expected_count}; preview again"


def _above(above: BatchSumError) -> str:
    total = above.above
    batch = f"the batch has {above.count} settlements, and {total.count} of them have {total.amount} {total.currency}"
    return f"{batch}; at most {above.sum_max} {total.currency} are allowed; narrow the selection"


def _key_reused(reused: KeyReusedError) -> ProblemError:
    fields = ", ".join(reused.fields)
    detail = f"this Idempotency-Key belongs to a batch with other {fields}; that batch is unchanged"
    return ProblemError(ErrorCode.IDEMPOTENCY_KEY_REUSED, detail, headers={"Location": f"{BATCHES}/{reused.batch_id}"})


def _not_found() -> ProblemError:
    return ProblemError(ErrorCode.NOT_FOUND, "no batch has this id")
