"""What a team does to its project after baking: a resource of its own, other settings, another README."""

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from baking import ROOT

NEW_FILES = ROOT / "tests" / "edits"  # laid out as in a project, where they are linted and tested
MIGRATION = "alembic/versions/2026_11_24_a5d2c81f4e60_add_notes_table.py"

# path: what is replaced by what. Each text has to be there once.
CHANGES = {
    "app/main.py": (
        ("    health,\n    posts,\n", "    health,\n    notes,\n    posts,\n"),
        ("    for module in (\n", "    for module in (\n        notes,\n"),
    ),
    "app/models/__init__.py": (
        (
            "from app.models.post import Post\n",
            "from app.models.note import Note\nfrom app.models.post import Post\n",
        ),
        ('"IdempotencyKey", "Post"', '"IdempotencyKey", "Note", "Post"'),
    ),
    "app/dependencies/services.py": (
        (
            "from app.services.post_service import PostService\n",
            ("from app.services.note_service import NoteService\n"
            "from app.services.post_service import PostService\n"),
        ),
        (
            "async def get_user_service(",
            ("async def get_note_service(session: SessionDep) -> NoteService:\n"
            "    return NoteService(session)\n\n\n"
            "async def get_user_service("),
        ),
        (
            "UserServiceDep = ",
            "NoteServiceDep = Annotated[NoteService, Depends(get_note_service)]\nUserServiceDep = ",
        ),
    ),
    "app/core/config.py": (
        (
            'default=10, description="Seconds that a client has to send the body',
            'default=20, description="Seconds that a client has to send the body',
        ),
    ),
    ".env.example": (("# BODY_TIMEOUT=10\n", "# BODY_TIMEOUT=20\n"),),
    "README.md": (
        ("## Where things are\n", "We keep notes, too: `/notes`.\n\n## Where things are\n"),
    ),
    "tests/test_architecture.py": (
        ("    health,\n    posts,\n    users,\n)\n", "    health,\n    notes,\n    posts,\n    users,\n)\n"),
        ("        health,\n        posts,\n", "        health,\n        notes,\n        posts,\n"),
    ),
    "tests/routes/test_statement_counts.py": (
        (
            'COSTS: dict[str, tuple[int, dict[str, Any]]] = {\n',
            ('COSTS: dict[str, tuple[int, dict[str, Any]]] = {\n'
            '    "POST /notes": (1, {"json": {"text": "Buy bread"}}),\n'
            '    "GET /notes": (1, {}),\n'),
        ),
    ),
}  # fmt: skip

# With auth, tables of the tests ask who may call a new route.
CHANGES_WITH_AUTH = {
    "tests/routes/test_statement_counts.py": (
        ("OPEN = {\n", 'OPEN = {\n    "POST /notes",\n    "GET /notes",\n'),
    ),
    "tests/routes/test_authorization.py": (
        (
            "dict[str, Any] | None]] = {\n",
            (
                "dict[str, Any] | None]] = {\n"
                '    "POST /notes": ((201, 201, 201, 201), {"text": "Buy bread"}),\n'
                '    "GET /notes": ((200, 200, 200, 200), None),\n'
            ),
        ),
    ),
}


def edit(project: Path, *, follows: str) -> None:
    """Add a resource of the team's own, whose migration follows that revision, and change what it came with."""
    shutil.copytree(NEW_FILES, project, dirs_exist_ok=True)
    migration = project / MIGRATION
    text = migration.read_text(encoding="utf-8")
    migration.write_text(text.replace("HEAD_OF_THE_PROJECT", follows), encoding="utf-8")
    change(project, CHANGES)


def edit_with_auth(project: Path) -> None:
    """Say of the new routes that everybody may call them."""
    change(project, CHANGES_WITH_AUTH)


def change(project: Path, changes: Mapping[str, Iterable[tuple[str, str]]]) -> None:
    for name, replacements in changes.items():
        path = project / name
        text = path.read_text(encoding="utf-8")
        for old, new in replacements:
            if text.count(old) != 1:
                raise AssertionError(f"{name} holds {old!r} {text.count(old)} times, not once")
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")


def heads(project: Path) -> list[str]:
    """Return the revisions that no other follows."""
    texts = [
        path.read_text(encoding="utf-8") for path in (project / "alembic/versions").glob("*.py")
    ]
    revisions = {
        match[1] for text in texts if (match := re.search(r'^revision.* = "(\w+)"', text, re.M))
    }
    followed = {
        revision
        for text in texts
        if (match := re.search(r"^down_revision.* = (.+)", text, re.M))
        for revision in re.findall(r'"(\w+)"', match[1])
    }
    return sorted(revisions - followed)
