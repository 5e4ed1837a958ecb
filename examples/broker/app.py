"""The HTTP side: HTTP 200 with a code for every request that was read, and only after the commit.

Anything unexpected is HTTP 500. Then the platform does not know what happened, and sends a cancel.
"""

import os
import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from pydantic import ValidationError

from .books import SUCCESS, Books, RefusedError
from .requests import Adjust, CancelAdjust, CancelOperation, Model, read

DATABASE = "sqlite:///broker.sqlite"


async def whole_body(request: Request) -> bytes:
    """Read the body to its end before anything is done: a request that is cut off has no effect."""
    return await request.body()


Body = Annotated[bytes, Depends(whole_body)]


def answer(request: Request, body: bytes, model: type[Model], act: Callable[[Model], str]) -> dict[str, Any]:
    """Read a request, act on it, and return table 4."""
    started, msg = time.monotonic(), ""
    try:
        code = act(read(model, request.headers, body))
    except RefusedError as refused:
        code = str(refused)
    except (ValueError, RecursionError) as broken:
        problems = broken.errors() if isinstance(broken, ValidationError) else [{"loc": (), "msg": "must be JSON"}]
        code, msg = "US_0000400", "; ".join(" ".join(map(str, (*each["loc"], each["msg"]))) for each in problems)
    fixed = {"bizCode": "BROKER", "msgParams": "", "data": {}, "ok": code == SUCCESS, "fail": code != SUCCESS}
    elapsed_ms = int((time.monotonic() - started) * 1000)
    return {**fixed, "code": code, "msg": msg, "tm": elapsed_ms, "trace": request.headers.get("trace", "")}


def create_app(database: str | None = None) -> FastAPI:
    """Return the application; `BROKER_DATABASE=… uvicorn --factory examples.broker.app:create_app` runs it, too."""
    books = Books(database or os.environ.get("BROKER_DATABASE", DATABASE))
    app = FastAPI(openapi_url=None)

    @app.post("/")
    def adjust(request: Request, body: Body) -> dict[str, Any]:
        return answer(request, body, Adjust, books.adjust)

    @app.post("/get-user-amount")
    def cancel_adjust(request: Request, body: Body) -> dict[str, Any]:
        return answer(request, body, CancelAdjust, books.cancel)

    @app.post("/global/tradeapi.app.OrderApiService.queryPBOOrderPage")
    def cancel_operation(request: Request, body: Body) -> dict[str, Any]:
        return answer(request, body, CancelOperation, books.cancel)

    @app.get("/balances/{customer:path}/{currency}")
    def balance(customer: str, currency: str) -> dict[str, str]:
        return {"balance": books.balance(customer, currency)}

    return app
