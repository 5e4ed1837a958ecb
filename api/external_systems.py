"""/v1/external-systems: the external systems of the configuration in use; pausing and resuming one.

A system serves several companies, so every route requires a key with the scope `all`.
"""

from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Response

from api.http.access import InstallationActor, InstallationReader
from api.http.problems import BODY_ERRORS, ProblemError, documented
from api.http.strict_body import StrictJsonRoute
from api.services import Injected, Services
from config.system_entry import SystemEntry
from config.watched_file import FileState
from schemas.external_systems import ExternalSystem, ExternalSystemList, ExternalSystemSummary, FileStatus
from schemas.problems import ErrorCode
from settlement.external_systems import SystemActionRequest, SystemPause
from settlement.policy import SettlementPolicy

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
async def list_external_systems(services: Injected, _: InstallationReader) -> ExternalSystemList:
    """List all external systems, and whether the newest content of their file is in use in this API process."""
    pauses = await services.pauses.listed()
    entries, file = services.systems.active.entries, services.systems.file
    policy = services.settings.policy
    return ExternalSystemList(
        items=tuple(_summary(name, entry, policy, pauses.get(name)) for name, entry in entries.items()),
        file=file_status(file),
        loaded_at=file.loaded_at,
        problem=file.rejected,
    )


@router.get(f"{EXTERNAL_SYSTEMS}/{{name}}", responses=documented(ErrorCode.NOT_FOUND, ErrorCode.LEDGER_UNAVAILABLE))
async def get_external_system(name: NameInPath, services: Injected, _: InstallationReader) -> ExternalSystem:
    """Read one external system, with the last operator actions on it."""
    return await _system(services, name)


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


async def _system(services: Services, name: str) -> ExternalSystem:
    # Read once: a changed file replaces it at any time.
    entry = _entry_or_404(services, name)
    summary = _summary(name, entry, services.settings.policy, await services.pauses.find(name))
    return ExternalSystem(**dict(summary), actions=await services.pauses.actions(name))


def _entry_or_404(services: Services, name: str) -> SystemEntry:
    entry = services.systems.active.entries.get(name)
    if entry is None:
        raise ProblemError(ErrorCode.NOT_FOUND, f"no external system has the name {name[:64]!r}")
    return entry


def _summary(
    name: str, entry: SystemEntry, policy: SettlementPolicy, paused: SystemPause | None
) -> ExternalSystemSummary:
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
        paused=paused,
    )
