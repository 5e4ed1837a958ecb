"""/v1/external-systems: the external systems of the configuration in use; pausing and resuming one.

A system serves several companies, so pausing one requires a key with the scope `all`. A key with a narrower scope reads
the systems that serve its companies, and of them only what concerns these companies.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import structlog
from fastapi import APIRouter, Path, Response

from api.http.access import InstallationActor, Reader
from api.http.problems import BODY_ERRORS, ProblemError, documented
from api.http.strict_body import StrictJsonRoute
from api.services import Injected, Services
from config.external_systems import ExternalSystems
from config.system_entry import SystemEntry
from config.watched_file import FileState
from schemas.external_systems import (
    CallLimits,
    ExternalSystem,
    ExternalSystemList,
    ExternalSystemSummary,
    FileStatus,
    ShownPause,
)
from schemas.problems import ErrorCode
from settlement.circuit_breaker import BreakerStatus
from settlement.external_systems import SystemActionRequest, SystemPause
from settlement.policy import SettlementPolicy
from settlement.scope import Scope

log = structlog.get_logger()
router = APIRouter(route_class=StrictJsonRoute)

EXTERNAL_SYSTEMS = "/v1/external-systems"

NameInPath = Annotated[str, Path(description="Name of the external system in the configuration.")]


def file_status(file: FileState) -> FileStatus | None:
    """Return which content of the file is in use; None if there is no file."""
    if file.path is None:
        return None
    return FileStatus.CURRENT if file.is_current else FileStatus.REJECTED


@router.get(EXTERNAL_SYSTEMS, responses=documented(ErrorCode.LEDGER_UNAVAILABLE))
async def list_external_systems(services: Injected, caller: Reader) -> ExternalSystemList:
    """List the external systems that serve the companies of the key.

    A key with the scope `all` also reads whether the newest content of their file is in use in this API process.
    """
    pauses = await services.pauses.listed()
    breakers = await services.breakers.statuses(datetime.now(UTC))
    file, policy = services.systems.file, services.settings.policy
    items = tuple(
        _visible(_summary(name, entry, policy, (pauses.get(name), breakers.get(name))), companies)
        for name, entry, companies in _served(services.systems.active, caller.scope)
    )
    if not caller.scope.is_everything:
        return ExternalSystemList(items=items, file=None, loaded_at=file.loaded_at, problem=None)
    return ExternalSystemList(items=items, file=file_status(file), loaded_at=file.loaded_at, problem=file.rejected)


@router.get(f"{EXTERNAL_SYSTEMS}/{{name}}", responses=documented(ErrorCode.NOT_FOUND, ErrorCode.LEDGER_UNAVAILABLE))
async def get_external_system(name: NameInPath, services: Injected, caller: Reader) -> ExternalSystem:
    """Read one external system. A key with the scope `all` also reads the last operator actions on it."""
    served = {name: companies for name, _, companies in _served(services.systems.active, caller.scope)}
    if name not in served:
        raise _not_found(name)
    return _visible(await _system(services, name), served[name])


@router.post(
    f"{EXTERNAL_SYSTEMS}/{{name}}/pause",
    responses=documented(ErrorCode.NOT_FOUND, *BODY_ERRORS, ErrorCode.LEDGER_UNAVAILABLE),
)
async def pause_external_system(
    name: NameInPath, body: SystemActionRequest, services: Injected, response: Response, caller: InstallationActor
) -> ExternalSystem:
    """Refuse new orders of an external system from now on (503). Its open settlements continue.

    Repeating it changes nothing: the first operator and note stay.
    """
    _entry_or_404(services, name)
    acted = await services.pauses.pause(name, caller.client, body.note, datetime.now(UTC), key_id=caller.key_id)
    if acted:
        log.warning("external system paused", system=name, **caller.as_operator)
    return await _answer(services, response, name, acted=acted)


@router.post(
    f"{EXTERNAL_SYSTEMS}/{{name}}/resume",
    responses=documented(ErrorCode.NOT_FOUND, *BODY_ERRORS, ErrorCode.LEDGER_UNAVAILABLE),
)
async def resume_external_system(
    name: NameInPath, body: SystemActionRequest, services: Injected, response: Response, caller: InstallationActor
) -> ExternalSystem:
    """Accept new orders of a paused external system again. Repeating it changes nothing."""
    _entry_or_404(services, name)
    acted = await services.pauses.resume(name, caller.client, body.note, datetime.now(UTC), key_id=caller.key_id)
    if acted:
        log.warning("external system resumed", system=name, **caller.as_operator)
    return await _answer(services, response, name, acted=acted)


async def _answer(services: Services, response: Response, name: str, *, acted: bool) -> ExternalSystem:
    if not acted:
        response.headers["Idempotent-Replayed"] = "true"
    return await _system(services, name)


async def breaker_status(services: Services, name: str) -> BreakerStatus | None:
    """Return the circuit breaker of an external system, as its workers report it; None if it has none."""
    entry = services.systems.active.entries.get(name)
    if entry is None or entry.breaker is None:
        return None
    return await services.breakers.status(name, datetime.now(UTC))


async def _system(services: Services, name: str) -> ExternalSystem:
    # Read once: a changed file replaces it at any time.
    entry = _entry_or_404(services, name)
    state = await services.pauses.find(name), await breaker_status(services, name)
    summary = _summary(name, entry, services.settings.policy, state)
    actions = await services.pauses.actions(name)
    return ExternalSystem(**dict(summary), statement=entry.statement, actions=actions)


def _entry_or_404(services: Services, name: str) -> SystemEntry:
    entry = services.systems.active.entries.get(name)
    if entry is None:
        raise _not_found(name)
    return entry


def _not_found(name: str) -> ProblemError:
    return ProblemError(ErrorCode.NOT_FOUND, f"no external system has the name {name[:64]!r}")


def _served(systems: ExternalSystems, scope: Scope) -> Iterator[tuple[str, SystemEntry, tuple[int, ...] | None]]:
    """Yield each system of which a scope may know, with the companies of the scope that it serves; None: all."""
    if scope.companies is None:
        yield from ((name, entry, None) for name, entry in systems.entries.items())
        return
    for name, entry in systems.entries.items():
        companies = tuple(company for company in scope.companies if systems.serving(company) == name)
        if companies:
            yield name, entry, companies


AnySystem = TypeVar("AnySystem", bound=ExternalSystemSummary)


def _visible(system: AnySystem, companies: tuple[int, ...] | None) -> AnySystem:
    """Return what a key may read of a system that serves these companies of its scope; None: everything."""
    if companies is None:
        return system
    hidden = dict.fromkeys(
        ("default", "address", "cancel_operation", "trace", "codes", "business_statuses", "policy", "limits")
    )
    paused = system.paused and system.paused.model_copy(update={"operator": None, "key_id": None})
    own = {"statement": None, "actions": ()} if isinstance(system, ExternalSystem) else {}
    return system.model_copy(update={**hidden, **own, "companies": companies, "paused": paused})


def _summary(
    name: str, entry: SystemEntry, policy: SettlementPolicy, state: tuple[SystemPause | None, BreakerStatus | None]
) -> ExternalSystemSummary:
    paused, breaker = state
    return ExternalSystemSummary(
        name=name,
        companies=entry.companies or (),
        default=entry.default,
        address=entry.address,
        cancel_operation=entry.cancel_protocol,
        trace=entry.trace,
        codes=entry.codes,
        business_statuses=entry.business_statuses,
        policy=entry.retry.policy(policy),
        limits=CallLimits(**entry.limits.model_dump()),
        breaker=(breaker or BreakerStatus.of(())) if entry.breaker is not None else None,
        paused=ShownPause(**paused.model_dump()) if paused is not None else None,
    )
