"""/v1/statements: import a statement of the broker, compare it with the ledger, read the result.

A statement concerns every company of its external system, so every route requires a key with the scope `all`.

The caller drives the import: it sends the lines, then requests the comparison until it has ended. Each request is
short, and its effect is in the ledger. So an import can be continued after a crash of either side.
"""

import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from api.http.access import InstallationActor, InstallationReader
from api.http.page_cost import count_page
from api.http.problems import BODY_ERRORS, FieldError, ProblemError, documented, validation_problem
from api.http.strict_body import StrictJsonRoute
from api.http.strict_requests import Plain, PlainInt
from api.services import Injected, Services
from ledger import BrokerStatements, StatementComparison, StatementRefusedError
from ledger.broker_statement.statements import STATEMENT_PAGE_MAX
from schemas.broker_statement import LINES_BYTES_MAX
from schemas.problems import ErrorCode
from settlement.broker_statement import (
    BrokerStatement,
    BrokerStatementList,
    StatementLines,
    StatementRequest,
    StatementState,
)

log = structlog.get_logger()


class StatementLinesRoute(StrictJsonRoute):
    """A route whose body contains many lines."""

    body_bytes_max = LINES_BYTES_MAX


router = APIRouter(route_class=StrictJsonRoute)
lines_router = APIRouter(route_class=StatementLinesRoute)

STATEMENTS = "/v1/statements"
STATEMENT = STATEMENTS + "/{statementId}"
STATEMENT_ID_MAX = 2**31 - 1
COMPARISON_BUDGET_S = 1.0
"""Time after which a request for the comparison starts no further page."""
ABANDONED_AFTER = timedelta(days=1)
EXPIRY_BUDGET_S = 1.0
"""Time that one request spends on deleting lines of abandoned imports."""
_ENDED = frozenset({StatementState.DONE, StatementState.REFUSED, StatementState.EXPIRED})

StatementId = Annotated[int, Path(alias="statementId", ge=1, le=STATEMENT_ID_MAX), Plain]


class StatementListQuery(BaseModel):
    """The length of the list."""

    limit: PlainInt = Field(default=20, ge=1, le=STATEMENT_PAGE_MAX)


@router.post(
    STATEMENTS,
    status_code=HTTPStatus.CREATED,
    responses={
        200: {"model": BrokerStatement, "description": "An import of the same lines that has not ended"},
        **documented(ErrorCode.WRONG_STATE, *BODY_ERRORS, ErrorCode.LEDGER_UNAVAILABLE),
    },
)
async def post_statement(
    body: StatementRequest, services: Injected, response: Response, caller: InstallationActor
) -> BrokerStatement:
    """Begin to import a statement of the broker. It moves no money.

    An import of the same lines, period and limits that has not ended is continued: send the lines from `linesReceived`
    on. After its end, the same statement can be imported again; that reports nothing twice.
    """
    if body.ends_at > datetime.now(UTC):
        # The orders of the rest of the period would look missing.
        rule = "must not be in the future: a statement can be compared only after its period"
        raise validation_problem([FieldError(field="endsAt", rule=rule)])
    if body.system not in services.systems.active.entries:
        rule = "must be the name of an external system in the configuration"
        raise validation_problem([FieldError(field="system", rule=rule)])
    await _expire_abandoned(services)
    try:
        created = await _statements(services).create(body, caller.client, datetime.now(UTC), key_id=caller.key_id)
    except StatementRefusedError as error:
        raise ProblemError(ErrorCode.WRONG_STATE, str(error)) from error
    if not created.is_new:
        response.status_code = HTTPStatus.OK
        response.headers["Idempotent-Replayed"] = "true"
    else:
        statement_id = created.statement.statement_id
        log.info("import of a broker statement begun", statement=statement_id, system=body.system, **caller.as_operator)
    return created.statement


@lines_router.post(
    f"{STATEMENT}/lines",
    responses=documented(ErrorCode.NOT_FOUND, ErrorCode.WRONG_STATE, *BODY_ERRORS, ErrorCode.LEDGER_UNAVAILABLE),
)
async def post_statement_lines(
    statement_id: StatementId, body: StatementLines, services: Injected, _: InstallationActor
) -> BrokerStatement:
    """Send the next lines of a statement, at most 1,000 in 256 KiB. Repeating it changes nothing.

    It is refused if lines before these are missing.
    """
    try:
        return _found(await _statements(services).add_lines(statement_id, body, datetime.now(UTC)), statement_id)
    except StatementRefusedError as error:
        raise ProblemError(ErrorCode.WRONG_STATE, str(error)) from error


@router.post(
    f"{STATEMENT}/comparison",
    responses=documented(
        ErrorCode.NOT_FOUND, ErrorCode.WRONG_STATE, ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE
    ),
)
async def post_statement_comparison(
    statement_id: StatementId, services: Injected, caller: InstallationActor
) -> BrokerStatement:
    """Continue the comparison of a statement for about one second. Repeat it until the state is DONE or REFUSED.

    It is refused while lines are missing. After the end it changes nothing. It moves no money: each difference becomes
    a finding, which an operator closes.
    """
    comparison = StatementComparison(services.ledger.readers)
    ends_at = time.monotonic() + COMPARISON_BUDGET_S
    while True:
        statement = _found(await comparison.advance(statement_id), statement_id)
        if statement.state is StatementState.RECEIVING:
            detail = f"only {statement.lines_received} of {statement.line_count} lines have arrived"
            raise ProblemError(ErrorCode.WRONG_STATE, detail)
        if statement.state in _ENDED or time.monotonic() >= ends_at:
            break
    log.info(
        "broker statement compared",
        statement=statement_id,
        state=statement.state.value,
        differences=statement.differences,
        **caller.as_operator,
    )
    return statement


@router.get(
    STATEMENT,
    responses=documented(ErrorCode.NOT_FOUND, ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE),
)
async def get_statement(statement_id: StatementId, services: Injected, _: InstallationReader) -> BrokerStatement:
    """Read the import of a statement: its progress, or its result."""
    return _found(await _statements(services).find(statement_id), statement_id)


@router.get(STATEMENTS, responses=documented(ErrorCode.VALIDATION_FAILED, ErrorCode.LEDGER_UNAVAILABLE))
async def list_statements(
    services: Injected, query: Annotated[StatementListQuery, Query()], caller: InstallationReader
) -> BrokerStatementList:
    """List the newest imports of statements."""
    await count_page(services, caller, query.limit)
    return BrokerStatementList(items=tuple(await _statements(services).newest(query.limit)))


def _statements(services: Services) -> BrokerStatements:
    # Not the engine of `accept`: an import must not use up the connections that accept orders.
    return BrokerStatements(services.ledger.readers)


def _found(statement: BrokerStatement | None, statement_id: int) -> BrokerStatement:
    if statement is None:
        raise ProblemError(ErrorCode.NOT_FOUND, f"no statement has the id {statement_id}")
    return statement


async def _expire_abandoned(services: Services) -> None:
    """Delete lines of imports that nobody has continued for a day. What is left is deleted by later requests."""
    ends_at = time.monotonic() + EXPIRY_BUDGET_S
    now = datetime.now(UTC)
    while time.monotonic() < ends_at and await _statements(services).expire_one(now - ABANDONED_AFTER, now):
        continue
