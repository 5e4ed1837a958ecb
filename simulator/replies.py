"""The results of a request, their codes, and the complete reply of table 4."""

import time
from typing import Any, NamedTuple

from contract.operations import CODE_NEVER_RECEIVED, CODE_NOT_APPLIED, CODE_SUCCESS

MSG_LENGTH_MAX = 500
BIZ_CODE = "SIMULATOR"
_NS_PER_MS = 1_000_000

CODE_BROKEN_RULE = "US_0000400"
"""The request breaks a rule of the contract; the books did not change."""
CODE_REFUSED = "US_0000402"
"""The adjust was received and was not applied, because its metadata asked for that."""
CODE_DANGLING = "US_0000403"
"""The adjust arrived after its cancel: its number is burnt, and the adjust is not applied."""
CODE_NUMBER_REUSED = "US_0000409"
"""The number was used before in another request, which is not affected."""
CODE_MISMATCH = "US_0000422"
"""The cancel contradicts the adjust that it names; the books did not change."""
CODE_OWN_REVERSED = "US_0000200"
"""This and the next two: results of a cancel under codes that the contract does not have."""
CODE_OWN_NOT_APPLIED = "US_0000201"
CODE_OWN_NEVER_RECEIVED = "US_0000202"
CODE_IN_PROCESS = "US_0000102"
"""The cancel is still in process, as the adjust's metadata asked."""
CODE_REFUSED_FOR_GOOD = "US_0000410"
"""The cancel is refused for good, as the adjust's metadata asked."""
CODE_FAILED = "US_0000503"
"""The cancel was not carried out because the adjust's metadata asked for that."""


class Result(NamedTuple):
    """The code and msg of a reply. A repeated request gets the same result."""

    code: str
    msg: str


APPLIED = Result(CODE_SUCCESS, "the adjust is applied")
REVERSED = Result(CODE_SUCCESS, "the amount is given back")
NOT_APPLIED = Result(CODE_NOT_APPLIED, "the adjust was received, but not applied")
NEVER_RECEIVED = Result(CODE_NEVER_RECEIVED, "the adjust was never received; its number is burnt")
REFUSED = Result(CODE_REFUSED, "the adjust is not applied, as its {0} asked")
REFUSED_PARAMS = "metadata"
"""The value for the placeholder in REFUSED (docs/contract.md#table-4, msgParams)."""
DANGLING = Result(CODE_DANGLING, "the adjust arrived after its cancel and stays without effect")
NUMBER_REUSED = Result(CODE_NUMBER_REUSED, "the number was used before in another request")
IN_PROCESS = Result(CODE_IN_PROCESS, "the cancel is still in process, as the metadata asked")
REFUSED_FOR_GOOD = Result(CODE_REFUSED_FOR_GOOD, "the cancel is refused for good, as the metadata asked")
OWN_CODES = {
    CODE_SUCCESS: CODE_OWN_REVERSED,
    CODE_NOT_APPLIED: CODE_OWN_NOT_APPLIED,
    CODE_NEVER_RECEIVED: CODE_OWN_NEVER_RECEIVED,
}
"""The codes of the contract for the results of a cancel, and those used instead under the fault `own_code`."""
FAILED = Result(CODE_FAILED, "the cancel is not carried out, as the metadata asked")


def mismatch(fields: list[str]) -> Result:
    """Return the refusal of a cancel that contradicts its adjust in these fields."""
    return Result(CODE_MISMATCH, f"the cancel contradicts its adjust in {', '.join(fields)}")


def broken_rule(problems: list[str]) -> Result:
    """Return the refusal of a request that breaks rules; its msg lists the problems, up to 500 characters."""
    return Result(CODE_BROKEN_RULE, "; ".join(problems)[:MSG_LENGTH_MAX])


def reply_body(result: Result, *, trace: str, received_ns: int) -> dict[str, Any]:
    """Return a result as a complete reply (docs/contract.md#table-4); `tm` is the time since receipt, in ms."""
    success = result.code == CODE_SUCCESS
    params = REFUSED_PARAMS if result.code == CODE_REFUSED else ""
    return {
        "bizCode": BIZ_CODE,
        "code": result.code,
        "msg": result.msg,
        "tm": max(0, time.time_ns() - received_ns) // _NS_PER_MS,
        "trace": trace,
        "msgParams": params,
        "data": {},
        "ok": success,
        "fail": not success,
    }
