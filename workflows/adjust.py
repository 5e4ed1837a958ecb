"""The adjust of a settlement: whether it may still be sent, and the activity that sends it."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from activities.adjust import Adjust
from settlement.calls import CallRecord
from settlement.limits import ADJUST_START_TO_CLOSE
from settlement.start import SettlementInput
from settlement.tasks import AdjustTask
from workflows.lost_calls import lost_adjust
from workflows.runtime import fairness

ONE_ATTEMPT = RetryPolicy(maximum_attempts=1)
"""A second attempt would send a second adjust, and its answer would hide the first one's."""


def has_expired(settlement: SettlementInput) -> bool:
    """Return whether the order is too old for its adjust to be sent."""
    # The workflow's start counts where the API's clock is ahead of the server's.
    accepted_at = min(settlement.accepted_at, workflow.info().workflow_start_time)
    return workflow.now() - accepted_at >= timedelta(seconds=settlement.policy.expire_after_s)


async def send_adjust(settlement: SettlementInput) -> CallRecord:
    """Send the adjust in one attempt, and return its record. If its worker was lost, the outcome is UNKNOWN."""
    scheduled_at = workflow.now()
    try:
        return await workflow.execute_activity_method(
            Adjust.adjust,
            AdjustTask.of(settlement),
            schedule_to_start_timeout=timedelta(seconds=settlement.policy.expire_after_s),
            start_to_close_timeout=ADJUST_START_TO_CLOSE,
            retry_policy=ONE_ATTEMPT,
            priority=fairness(settlement.company_id),
        )
    except ActivityError as error:
        # Nobody knows whether a lost worker sent the adjust. It counts as UNKNOWN and is compensated.
        return lost_adjust(settlement, error, scheduled_at)
