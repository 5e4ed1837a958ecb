"""`settlement submit`: send an order and wait for its decision."""

import json
import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.api import ApiResponse
from cli.commands.settlement_views import PREFIX, summary
from cli.exits import Exit, NoAnswerError, RefusedError, UsageError
from cli.files import read_file
from cli.options import Company, choice
from cli.rendering import clean
from cli.session import Session, session_of
from contract.fields import OperationType, decimal_places
from schemas.explanation import command_on
from schemas.settlement import Settlement
from settlement.states import Decision

WAIT_MAX_S = 60
FILE_BYTES_MAX = 1024 * 1024

_REQUIRED_FIELDS = (
    "requestUniqueNo",
    "orderId",
    "thirdServerCode",
    "userName",
    "currency",
    "bizType",
    "operationType",
    "amount",
    "ip",
)


def _valid_trace(value: str | None) -> str | None:
    if value is not None and not re.fullmatch("[\x21-\x2b\x2d-\x7e]+", value):
        message = "must be printable ASCII without spaces and commas"
        raise typer.BadParameter(message)
    return value


OrderFile = Annotated[
    Path | None, typer.Option(help="The order as JSON, sent unchanged; - reads stdin.", allow_dash=True)
]
Trace = Annotated[
    str | None,
    typer.Option(callback=_valid_trace, help="Sent with every external call. Default: chosen by the API."),
]
Wait = Annotated[int, typer.Option(min=0, max=WAIT_MAX_S, metavar="SECONDS", help="Maximum wait for the decision.")]


def submit(
    context: typer.Context,
    *,
    file: OrderFile = None,
    request_unique_no: Annotated[str | None, typer.Option(help="Unique number of the order.")] = None,
    order_id: Annotated[int | None, typer.Option(help="The orderId of the order.")] = None,
    third_server_code: Annotated[str | None, typer.Option(help="Identifies the customer at the broker.")] = None,
    user_name: Annotated[str | None, typer.Option(help="Identifies the customer on the platform.")] = None,
    currency: Annotated[str | None, typer.Option(help="ISO 4217, such as USD.")] = None,
    biz_type: Annotated[int | None, typer.Option(help="1, 2, 10, 11 or 12.")] = None,
    operation_type: Annotated[OperationType | None, choice(OperationType, "TYPE")] = None,
    amount: Annotated[str | None, typer.Option(help="Decimal number, such as 12.50; sent unchanged.")] = None,
    amount_digits: Annotated[int | None, typer.Option(help="Decimal places. Default: those of --amount.")] = None,
    request_time: Annotated[int | None, typer.Option(help="Milliseconds since 1970. Default: now.")] = None,
    ip: Annotated[str | None, typer.Option(help="The customer's IP address.")] = None,
    metadata: Annotated[str | None, typer.Option(help="JSON text.")] = None,
    company: Company = None,
    trace: Trace = None,
    wait: Wait = 10,
) -> None:
    """Send an order, wait for its decision and show it. The order may proceed only after exit code 0 (PROCEED).

    Exit code 4: VOID. 5: no decision within the wait. 3: in doubt. After 5 or 3 the same order may be sent again.
    """
    fields = {
        "requestUniqueNo": request_unique_no,
        "orderId": order_id,
        "thirdServerCode": third_server_code,
        "userName": user_name,
        "currency": currency,
        "bizType": biz_type,
        "operationType": operation_type,
        "amount": amount,
        "amountDigits": amount_digits,
        "requestTime": request_time,
        "ip": ip,
        "metadata": metadata,
    }
    content = _content(file, {name: value for name, value in fields.items() if value is not None})
    raise typer.Exit(_submit(session_of(context), content, company, trace, wait))


def _submit(session: Session, content: bytes, company: int | None, trace: str | None, wait_s: int) -> Exit:
    headers = {"companyId": None if company is None else str(company), "trace": trace}
    response = _post(session, content, {name: value for name, value in headers.items() if value is not None}, wait_s)
    return _show_result(session, response, wait_s)


def _content(file: Path | None, given: dict[str, Any]) -> bytes:
    return _from_fields(given) if file is None else _from_file(file, given)


def _from_file(file: Path, given: dict[str, Any]) -> bytes:
    if given:
        message = f"--file contains the complete order; remove {', '.join(map(_option, given))}"
        raise UsageError(message)
    return read_file("--file", file, FILE_BYTES_MAX, or_stdin=True)


def _from_fields(given: dict[str, Any]) -> bytes:
    missing = [name for name in _REQUIRED_FIELDS if name not in given]
    if missing:
        message = f"missing {', '.join(map(_option, missing))}; or use --file"
        raise UsageError(message)
    order = {"amountDigits": decimal_places(given["amount"]), "requestTime": time.time_ns() // 1_000_000, **given}
    return json.dumps(order).encode()


def _option(name: str) -> str:
    return "--" + "".join(f"-{each.lower()}" if each.isupper() else each for each in name)


def _post(session: Session, content: bytes, headers: dict[str, str], wait_s: int) -> ApiResponse:
    """Post the order. It is repeated after a 503, which is safe because its number is an idempotency key."""
    if wait_s:
        headers["Prefer"] = f"wait={wait_s}"
    try:
        return session.api.post(PREFIX, content, headers=headers, wait_s=wait_s, idempotent=True)
    except RefusedError:
        session.screen.notify("the order must not proceed")
        raise
    except NoAnswerError as error:
        if error.never_sent:
            session.screen.notify("nothing was sent; the order must not proceed")
        else:
            session.screen.notify(f"in doubt: the order must not proceed; {_how_to_check(content)}")
        raise


def _how_to_check(content: bytes) -> str:
    """Return how to find out the state of an order that is in doubt."""
    try:
        order = json.loads(content)
        show = command_on(order["requestUniqueNo"], "show", system=None)
    except (ValueError, TypeError, KeyError, RecursionError):
        return "send the same order again, which is safe"
    return clean(f"send the same order again, which is safe, or check with: {show}")


def _show_result(session: Session, response: ApiResponse, wait_s: int) -> Exit:
    settlement = response.read(Settlement)
    screen = session.screen
    screen.show_response(response, lambda: [summary(settlement)])
    if response.headers.get("idempotent-replayed") == "true":
        screen.notify("this order was accepted before; this is its current state")
    if settlement.decision is Decision.PROCEED:
        screen.notify("PROCEED: the order may proceed")
        return Exit.OK
    if settlement.decision is Decision.VOID:
        screen.notify("VOID: the order must not proceed")
        return Exit.BAD_RESULT
    after = f" after {wait_s} s" if wait_s else ""
    show = command_on(settlement.request_unique_no, "show", system=settlement.system)
    screen.notify(f"no decision yet{after}: the order must not proceed; check with: {show}")
    return Exit.NO_RESULT
