"""All mutants by name. Together they break each requirement at least once (tests/conformance/test_mutants.py)."""

from tests.conformance.mutants.books import BOOKS
from tests.conformance.mutants.cancel_operation import CANCEL_OPERATION
from tests.conformance.mutants.cancels import CANCELS
from tests.conformance.mutants.connections import CONNECTIONS
from tests.conformance.mutants.mutant import Mutant
from tests.conformance.mutants.races import RACES
from tests.conformance.mutants.repeats import REPEATS
from tests.conformance.mutants.replies import REPLIES
from tests.conformance.mutants.validation import VALIDATION

MUTANTS: dict[str, Mutant] = {
    **REPLIES,
    **REPEATS,
    **VALIDATION,
    **CANCELS,
    **RACES,
    **CONNECTIONS,
    **CANCEL_OPERATION,
    **BOOKS,
}
