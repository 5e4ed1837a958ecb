#!/usr/bin/env python3
"""Exit 0 if the worker of this container asks Temporal for work of every kind; else say which it does not."""

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

ASKED_WITHIN = timedelta(minutes=2)  # who lives asks anew at least once a minute; Temporal remembers five
WORKFLOWS, ACTIVITIES = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
QUEUES = (SETTLEMENT_TASK_QUEUE, CANCEL_TASK_QUEUE, LEDGER_TASK_QUEUE, BATCH_TASK_QUEUE, RECONCILIATION_TASK_QUEUE)
WORK = (
    *((queue, WORKFLOWS) for queue in (SETTLEMENT_TASK_QUEUE, RECONCILIATION_TASK_QUEUE)),
    *((queue, ACTIVITIES) for queue in QUEUES),
)


async def asks(client: Client, queue: str, kind: TaskQueueType.ValueType) -> bool:
    """Tell whether a worker on this host asked lately; the SDK names a worker pid@host."""
    request = Describe(namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind)
    answer = await client.workflow_service.describe_task_queue(request, timeout=timedelta(seconds=5))
    here, since = f"@{socket.gethostname()}", datetime.now(UTC) - ASKED_WITHIN
    return any(it.identity.endswith(here) and it.last_access_time.ToDatetime(UTC) > since for it in answer.pollers)


async def main() -> str | None:
    """Return what is wrong; None: nothing."""
    client = await connect(DATA_CONVERTER, "127.0.0.1:7233")
    idle = [f"{queue} {TaskQueueType.Name(kind)}" for queue, kind in WORK if not await asks(client, queue, kind)]
    return f"no poll for {', '.join(idle)}" if idle else None


if __name__ == "__main__":
    problem = asyncio.run(main())
    os.write(1, (problem or "polls for everything").encode())
    os._exit(1 if problem else 0)  # no orderly end: the SDK's threads can abort it (temporalio/sdk-python#300)
