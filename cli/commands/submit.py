"""`settlement submit`: have an order settled, and learn whether it may proceed."""

import json
import re
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.api import ApiResponse
from cli.commands.settlement_views import PREFIX, summary
from cli.exits import Exit, NoAnswerError, RefusedError, UsageError
from cli.options import Company, choice
from cli.session import Session, session_of
from cli.text import clean
from contract.fields import OperationType, decimal_places
from schemas.explanation import command_on
from schemas.settlement import Settlement
from settlement.states import Decision

WAIT_MAX_S = 60
FILE_BYTES_MAX = 1024 * 1024

_NEEDED = (
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


def _printable(value: str | None) -> str | None:
    if value is not None and not re.fullmatch("[\x21-\x2b\x2d-\x7e]+", value):
        message = "must be printable ASCII without blanks and commas"
        raise typer.BadParameter(message)
    return value


def submit(
    context: typer.Context,
    *,
    file: Annotated[
        Path | None, typer.Option(help="The order as JSON, sent exactly as it is; - for stdin.", allow_dash=True)
    ] = None,
    request_unique_no: Annotated[str | None, typer.Option(help="A number of its own for each order.")] = None,
    order_id: Annotated[int | None, typer.Option()] = None,
    third_server_code: Annotated[str | None, typer.Option(help="The customer at the broker.")] = None,
    user_name: Annotated[str | None, typer.Option(help="The customer on the platform.")] = None,
    currency: Annotated[str | None, typer.Option(help="ISO 4217, such as USD.")] = None,
    biz_type: Annotated[int | None, typer.Option(help="1, 2, 10, 11 or 12.")] = None,
    operation_type: Annotated[OperationType | None, choice(OperationType, "WORD")] = None,
    amount: Annotated[str | None, typer.Option(help="Plain decimal, such as 12.50; sent as it is.")] = None,
    amount_digits: Annotated[int | None, typer.Option(help="Default: the decimals of the amount.")] = None,
    request_time: Annotated[int | None, typer.Option(help="Milliseconds since 1970; default: now.")] = None,
    ip: Annotated[str | None, typer.Option(help="The customer's address.")] = None,
    metadata: Annotated[str | None, typer.Option(help="JSON text.")] = None,
    company: Company = None,
    trace: Annotated[
        str | None, typer.Option(callback=_printable, help="Sent with every call; default: one made by the API.")
    ] = None,
    wait: Annotated[
        int, typer.Option(min=0, max=WAIT_MAX_S, metavar="SECONDS", help="How long to wait for the decision.")
    ] = 10,
) -> None:
    """Have an order settled.

    Exit code 0 means PROCEED and nothing else. VOID: 4. Not decided within the wait: 5; the order must not
    proceed until it is. After 3 it is in doubt: the order must not proceed; the same order again is safe and tells.
    """
    session = session_of(context)
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
    given = {name: value for name, value in fields.items() if value is not None}
    content = _from_fields(given) if file is None else _from_file(file, given)
    headers = {"companyId": None if company is None else str(company), "trace": trace}
    answer = _post(session, content, {name: value for name, value in headers.items() if value is not None}, wait)
    raise typer.Exit(_tell(session, answer, wait))


def _from_file(file: Path, given: dict[str, Any]) -> bytes:
    if given:
        message = f"--file holds the whole order: it goes without {', '.join(map(_option, given))}"
        raise UsageError(message)
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        message = f"--file: {file}: {error.strerror}"
        raise UsageError(message) from error
    if len(content) > FILE_BYTES_MAX:
        message = f"--file: {file}: larger than any order"
        raise UsageError(message)
    return content


def _from_fields(given: dict[str, Any]) -> bytes:
    missing = [name for name in _NEEDED if name not in given]
    if missing:
        message = f"an order needs {', '.join(map(_option, missing))}; or --file"
        raise UsageError(message)
    order = {"amountDigits": decimal_places(given["amount"]), "requestTime": time.time_ns() // 1_000_000, **given}
    return json.dumps(order).encode()


def _option(name: str) -> str:
    return "--" + "".join(f"-{each.lower()}" if each.isupper() else each for each in name)


def _post(session: Session, content: bytes, headers: dict[str, str], wait: int) -> ApiResponse:
    """Post the order. Repeating it is safe, for it carries its number; so a 503 has it repeated."""
    if wait:
        headers["Prefer"] = f"wait={wait}"
    try:
        return session.api.post(PREFIX, content, headers=headers, wait_s=wait, repeatable=True)
    except RefusedError:
        session.screen.say("the order must not proceed")
        raise
    except NoAnswerError as error:
        if error.never_sent:
            session.screen.say("this attempt sent nothing; the order must not proceed")
        else:
            session.screen.say(f"in doubt: the order must not proceed; {_how_to_tell(content)}")
        raise


def _how_to_tell(content: bytes) -> str:
    """Say how to find out: the same order again, or its state."""
    try:
        order = json.loads(content)
        show = command_on(order["requestUniqueNo"], "show")
    except (ValueError, TypeError, KeyError, RecursionError):
        return "the same order again is safe and tells"
    return clean(f"the same order again is safe and tells; or {show}")


def _tell(session: Session, answer: ApiResponse, wait: int) -> Exit:
    settlement = answer.read(Settlement)
    screen = session.screen
    screen.answer(answer, lambda: [summary(settlement)])
    if answer.headers.get("idempotent-replayed") == "true":
        screen.say("this order was accepted before; this is where it stands")
    if settlement.decision is Decision.PROCEED:
        screen.say("PROCEED: the order may proceed")
        return Exit.OK
    if settlement.decision is Decision.VOID:
        screen.say("VOID: the order must not proceed")
        return Exit.BAD
    after = f" after {wait} s" if wait else ""
    show = command_on(settlement.request_unique_no, "show")
    screen.say(f"undecided{after}: the order must not proceed yet; {show}")
    return Exit.UNDECIDED
