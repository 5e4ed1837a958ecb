"""A column in a statement that must not choose the index."""

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class residual(FunctionElement[Any]):  # noqa: N801 - used like a function of SQL
    """A column by which the rows that another condition has found are narrowed down or grouped.

    SQLite keeps no statistics, so it cannot know which of several indexes leads to fewer rows. The unary plus is its
    documented way to rule one out. PostgreSQL has statistics and is left to choose.
    """

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(residual)
def _plain(element: residual, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - the compiler's own
    return compiler.process(element.clauses, **options)


@compiles(residual, "sqlite")
def _without_index(element: residual, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - likewise
    return f"+{compiler.process(element.clauses, **options)}"
