"""Statements that are already complete."""

from sqlalchemy import TextClause, text


def escape_colons(sql: str) -> str:
    """Escape SQL for `text()`, in which a colon would begin a parameter."""
    return sql.replace(":", r"\:")


def verbatim(sql: str) -> TextClause:
    """Return a statement that is run as it is, whatever names and literals it has.

    The driver's own cursor would not do, because drivers differ on percent signs.
    """
    return text(escape_colons(sql))
