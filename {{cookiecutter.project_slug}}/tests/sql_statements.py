"""The statements in the SQL of a migration, and the tables that they name."""

import re
from collections.abc import Iterator
from typing import Final

# Comments, literals, names in quotes, bodies of functions, the ends of statements, and all between.
_LEXEME: Final = re.compile(
    r"""--[^\n]*|/\*(?s:.*?)\*/|'(?:[^']|'')*'|"[^"]*"|(?P<quote>\$\w*\$)(?s:.*?)(?P=quote)"""
    r"""|;|[^;'"$/-]+|."""
)
_BODY_OF_DO: Final = re.compile(r"(?is)DO\b.*?(?P<quote>\$\w*\$)(?P<body>.*)(?P=quote)")
_BEFORE_STATEMENT: Final = re.compile(r"(?i)\b(?:BEGIN|THEN|ELSE|LOOP)\b")
_CREATED: Final = re.compile(
    r"(?i)CREATE\s+(?:UNLOGGED\s+)?(?:TABLE|MATERIALIZED\s+VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?([^\s(]+)"
)
_NAMES: Final = re.compile(
    r"(?i)(?:(?:ALTER|REFRESH|TRUNCATE|LOCK|CLUSTER|VACUUM|FULL|VERBOSE|ANALYZE|TABLE|INDEX|MATERIALIZED"
    r"|VIEW|IF|EXISTS|ONLY)\b\s*|\([^)]*\)\s*)*(?P<names>[^\s,]+(?:\s*,\s*[^\s,]+)*)"
)


def statements_of(sql: str) -> Iterator[tuple[list[str], str]]:
    """Yield the rules that each statement ignores (`-- lock-ignore`), and its text without comments.

    A body of DO is executed at once, and counts as statements. One of a function is a part of it.
    """
    ignored: list[str] = []
    text = ""
    for lexeme in (match[0] for match in _LEXEME.finditer(f"{sql}\n;")):
        if lexeme.startswith("-- lock-ignore"):
            ignored += lexeme.split()
        elif lexeme != ";":
            text += " " if lexeme.startswith(("--", "/*")) else lexeme
        else:
            text = "\n".join(line.rstrip() for line in text.strip().splitlines() if line.strip())
            if body := _BODY_OF_DO.match(text):
                for part in _BEFORE_STATEMENT.split(body["body"]):
                    yield from ((ignored + own, inner) for own, inner in statements_of(part))
            elif text:
                yield ignored, text
            ignored, text = [], ""


def created_by(statement: str) -> str | None:
    """Return the name of the table or the view that a statement creates."""
    found = _CREATED.match(statement)
    return found[1] if found else None


def tables_of(statement: str) -> set[str]:
    """Return the names of the tables that a statement locks, or of a view or an index."""
    found = _NAMES.match(statement)
    return {name.strip() for name in found["names"].split(",")} if found else {statement}
