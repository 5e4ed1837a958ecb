"""The options of `settlement-conformance run`, with their help."""

from pathlib import Path
from typing import Annotated

import typer

from conformance.target import Protocol

BaseUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Where the endpoint is, such as https://broker.example.")
]
AdjustPath = Annotated[str, typer.Option(metavar="PATH", help="Path of adjust.")]
CancelAdjustPath = Annotated[str, typer.Option(metavar="PATH", help="Path of cancel adjust.")]
CancelOperationPath = Annotated[str, typer.Option(metavar="PATH", help="Path of cancel operation.")]
ProtocolOption = Annotated[Protocol, typer.Option(help="The operations that cancel an adjust at this external system.")]
Company = Annotated[int | None, typer.Option(metavar="N", help="The header companyId of every request.")]
HeaderOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="'NAME: VALUE'",
        help="A header of every request; repeatable. VALUE may be env:VARIABLE or file:PATH. Reports hide the value.",
    ),
]
CaFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="PEM file to verify the certificate. Default: the system's.")
]
Code = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CODE=MEANING",
        help="A code of a reply to a cancel that the contract does not define; repeatable. "
        "Meanings: reversed, not-applied, never-received, in-process.",
    ),
]
BusinessStatus = Annotated[
    list[int] | None,
    typer.Option(metavar="STATUS", help="An HTTP status besides 200 that carries business answers; repeatable."),
]
Customer = Annotated[
    str | None,
    typer.Option(metavar="CODE", help="The thirdServerCode of all orders. Default: a new one for each order."),
]
User = Annotated[
    str | None, typer.Option(metavar="NAME", help="The userName of all orders. Default: a new one for each order.")
]
CurrencyOption = Annotated[str, typer.Option(metavar="CODE", help="The currency of all orders.")]
RefusedMetadata = Annotated[
    str | None, typer.Option(metavar="JSON", help="Metadata of an adjust that the endpoint receives and refuses.")
]
RefusedCustomer = Annotated[
    str | None, typer.Option(metavar="CODE", help="Customer whose adjusts the endpoint receives and refuses.")
]
SlowMetadata = Annotated[
    str | None, typer.Option(metavar="JSON", help="Metadata of an adjust that the endpoint applies slowly.")
]
SlowCustomer = Annotated[
    str | None, typer.Option(metavar="CODE", help="Customer whose adjusts the endpoint applies slowly.")
]
BalanceUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where a balance is read: GET, with the headers of --header. "
        "{thirdServerCode} and {currency} are replaced.",
    ),
]
BalancePointer = Annotated[
    str | None,
    typer.Option(metavar="POINTER", help="JSON pointer to the balance in that reply; the same placeholders."),
]
RepeatAfterS = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="Wait of C-014 before it repeats an adjust.")
]
LoadPerS = Annotated[float, typer.Option(min=0.1, max=200, metavar="N", help="Adjusts per second of C-001.")]
LoadS = Annotated[float, typer.Option(min=1, max=600, metavar="SECONDS", help="Duration of C-001.")]
IdleS = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long C-061 keeps connections idle.")]
Races = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Repetitions of a race.")]
Seed = Annotated[
    int | None,
    typer.Option(min=0, help="Makes the numbers of an earlier run again; the endpoint knows them. Default: random."),
]
TimeLimitS = Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Limit of the run.")]
ExchangeLimitS = Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Limit of one request with its reply.")]
Parallel = Annotated[int, typer.Option(min=1, max=32, metavar="N", help="Checks at the same time.")]
ReportFolder = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Writes report.json, report.xml and report.html here.")
]
Only = Annotated[list[str] | None, typer.Option(metavar="ID", help="Check only this requirement; repeatable.")]
List = Annotated[bool, typer.Option("--list", help="List the requirements and end.")]
CurlOf = Annotated[
    str | None, typer.Option(metavar="ID", help="Print the curl commands of a requirement, send nothing, and end.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print failures and the verdict only.")]
