"""Which process of pytest-xdist runs which tests: a file is one unit, and a process stays in one folder if it can.

Servers and databases are made once per process and folder. A process that stays in a folder does not make them again.
"""

from collections.abc import Iterator
from typing import Any

from xdist.scheduler import LoadScopeScheduling

from tests.support.proof_parts import folder_of

LONGEST_FIRST = ("e2e", "fuzz", "api", "reconciliation", "simulation", "saga", "ledger", "unit/cli", "unit/simulator")
"""The folders whose tests take longest begin first, so that no process is left alone with one of them at the end."""


class ByFolder(LoadScopeScheduling):
    """Assigns units of the folder a process is in; then of a folder where no other process is; then any."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - xdist's own
        super().__init__(*arguments)
        self.config.option.loadscopereorder = False
        self._folders: dict[Any, str] = {}

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0]

    def _assign_work_unit(self, node: Any) -> None:  # noqa: ANN401 - xdist's own
        chosen = next(self._preferred(node))
        self._folders[node] = folder_of(chosen)
        self.workqueue.move_to_end(chosen, last=False)
        super()._assign_work_unit(node)

    def _preferred(self, node: Any) -> Iterator[str]:  # noqa: ANN401 - pytest's own shape
        taken = {folder for other, folder in self._folders.items() if other is not node}
        yield from (unit for unit in self.workqueue if folder_of(unit) == self._folders.get(node))
        yield from (unit for unit in self.workqueue if folder_of(unit) not in taken)
        yield from self.workqueue


def sort_key(node_id: str) -> int:
    """Return the place of a test's folder in the order in which they begin."""
    folder = folder_of(node_id)
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)
