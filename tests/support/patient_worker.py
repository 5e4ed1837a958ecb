"""A worker whose workflow tasks may take long, because the machine that runs the tests may be busy."""

from typing import Any

from temporalio.worker import Worker

TASK_LIMIT_S = 60


class PatientWorker(Worker):
    """A worker that does not interrupt a workflow task after 2 s.

    The SDK takes a longer task for a deadlock and raises an exception in its thread, at any instruction. On a busy
    machine a task can take that long, and the exception can reach a garbage collection or pytest instead of the task.
    The SDK has no option for this limit, except one that also changes the sandbox.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - the SDK's own
        super().__init__(*arguments, **options)
        if self._workflow_worker is not None:
            self._workflow_worker._deadlock_timeout_seconds = TASK_LIMIT_S  # noqa: SLF001 - see above
