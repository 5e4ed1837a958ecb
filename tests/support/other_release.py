"""A release of the code that cannot replay the histories of this one."""

from datetime import timedelta

from temporalio import workflow

from settlement.start import SettlementStart
from settlement.states import State
from workflows.order_settlement import OrderSettlement


@workflow.defn(name="OrderSettlement")
class OtherRelease(OrderSettlement):
    """The workflow with one more timer before the adjust. Run it without the sandbox."""

    @workflow.run
    async def run(self, settlement: SettlementStart) -> State:
        """Sleep, then continue as before."""
        await workflow.sleep(timedelta(hours=1))
        return await super().run(settlement)
