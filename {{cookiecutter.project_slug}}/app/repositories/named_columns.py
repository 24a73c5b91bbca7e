"""Rows of several tables as dataclasses, whose fields are matched with columns by name."""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Result, RowMapping, Select, SQLColumnExpression, select

RowT = TypeVar("RowT")


class NamedColumns(Generic[RowT]):
    """The columns of a statement that become the fields of a dataclass.

    `NamedColumns(Headline, id=Article.id, author=User.display_name)` names the column of each field;
    instead of a column there may be a model. A row of a statement is a tuple, in which two
    columns of one type can change places without mypy or the database noticing. Raises `TypeError` if
    a field has no column, or a column no field.
    """

    def __init__(self, row_type: type[RowT], **columns: Any) -> None:
        names = _fields(row_type)
        if unlike := sorted(set(names) ^ columns.keys()):
            raise TypeError(
                f"{row_type.__name__} needs one column for each field, unlike {', '.join(unlike)}"
            )
        self._make: Callable[..., RowT] = row_type
        self._columns = tuple(_labelled(columns[name], name) for name in names)
        # The names of the columns in results: that of a model is the name of its class.
        self._keys = tuple(one["name"] for one in self.select().column_descriptions)

    def select(self) -> Select[Any]:
        """Return a SELECT of the columns, to which others may be added."""
        return select(*self._columns)

    def rows(self, result: Result[Any]) -> Sequence[RowT]:
        """Return the rows of a result. Raises `KeyError` if it lacks a column."""
        return [self._make(*values) for values in self._own(result)]

    def one(self, result: Result[Any]) -> RowT | None:
        """Return the only row of a result, or None if it has none. Raises as `rows` does."""
        values = self._own(result).one_or_none()
        return None if values is None else self._make(*values)

    def of(self, mapping: RowMapping) -> RowT:
        """Return a row of `result.mappings()`, for a result of more columns than these."""
        return self._make(*(mapping[key] for key in self._keys))

    def _own(self, result: Result[Any]) -> Result[Any]:
        """Return a result with these columns only, in the order of the fields."""
        # Choosing columns costs as much as reading a row (see docs/decisions/0006).
        return result if tuple(result.keys()) == self._keys else result.columns(*self._keys)


def _fields(row_type: Any) -> list[str]:
    if not is_dataclass(row_type):
        raise TypeError(f"{row_type.__name__} is not a dataclass")
    return [field.name for field in fields(row_type)]


def _labelled(column: Any, name: str) -> Any:
    return column.label(name) if isinstance(column, SQLColumnExpression) else column
