"""Runs a check without sending anything, and returns its curl commands."""

from typing import TYPE_CHECKING

from conformance.connection import Connection
from conformance.imagined import ImaginedSystem
from conformance.kit import Kit
from conformance.orders import Orders
from conformance.requirement import BrokenRequirement, Check, NotChecked
from conformance.target import Target

if TYPE_CHECKING:
    from conformance.exchange import Exchange


async def curl_commands(target: Target, check: Check) -> list[str]:
    """Return the curl commands of all requests of a check, each after a comment that says what it is for.

    A check that needs a separate connection ends before that request; the last line then says why.
    """
    need = target.missing(check.requirement.needs)
    if need is not None:
        return [f"# {check.requirement.id} needs {need}"]
    exchanges: list[Exchange] = []
    orders = Orders(check.requirement.id, target.seed, target.account)
    kit = _DryKit(target, orders, ImaginedSystem(target).transport, exchanges.append, _no_pause)
    end = []
    try:
        await check.function(kit)
    except (NotChecked, BrokenRequirement) as ended:
        end = [f"# {ended}"]
    return [line for each in exchanges for line in (f"# {each.label}", each.curl)] + end


class _DryKit(Kit):
    async def connect(self) -> Connection:
        message = "the next requests need a connection of their own, which curl commands cannot share"
        raise NotChecked(message)


async def _no_pause(_seconds: float) -> None:
    """Do not wait: nothing was sent."""
