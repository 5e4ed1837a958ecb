#!/usr/bin/env python3
"""Exit 0 if the worker of this container polls every task queue; otherwise exit 1 and name those without a poll."""

import asyncio
import os
import socket
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest as Describe
from temporalio.client import Client

from config.temporal import connect
from workflows.runtime import (
    BATCH_TASK_QUEUE,
    CANCEL_TASK_QUEUE,
    DATA_CONVERTER,
    LEDGER_TASK_QUEUE,
    RECONCILIATION_TASK_QUEUE,
    SETTLEMENT_TASK_QUEUE,
)

POLLED_WITHIN = timedelta(minutes=2)  # a worker polls at least once per minute; Temporal remembers polls for 5 minutes
WORKFLOWS, ACTIVITIES = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
QUEUES = (SETTLEMENT_TASK_QUEUE, CANCEL_TASK_QUEUE, LEDGER_TASK_QUEUE, BATCH_TASK_QUEUE, RECONCILIATION_TASK_QUEUE)
POLLED = (
    *((queue, WORKFLOWS) for queue in (SETTLEMENT_TASK_QUEUE, RECONCILIATION_TASK_QUEUE)),
    *((queue, ACTIVITIES) for queue in QUEUES),
)


async def is_polled(client: Client, queue: str, kind: TaskQueueType.ValueType) -> bool:
    """Tell whether a worker on this host polled a queue recently; the SDK identifies a worker as pid@host."""
    request = Describe(namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind)
    answer = await client.workflow_service.describe_task_queue(request, timeout=timedelta(seconds=5))
    here, since = f"@{socket.gethostname()}", datetime.now(UTC) - POLLED_WITHIN
    return any(
        each.identity.endswith(here) and each.last_access_time.ToDatetime(UTC) > since for each in answer.pollers
    )


async def main() -> str | None:
    """Return the problem as text; None if there is none."""
    client = await connect(DATA_CONVERTER, "127.0.0.1:7233")
    idle = [f"{queue} {TaskQueueType.Name(kind)}" for queue, kind in POLLED if not await is_polled(client, queue, kind)]
    return f"no poll for {', '.join(idle)}" if idle else None


if __name__ == "__main__":
    problem = asyncio.run(main())
    os.write(1, (problem or "polls every task queue").encode())
    os._exit(1 if problem else 0)  # a normal exit can abort in the SDK's threads (temporalio/sdk-python#300)
