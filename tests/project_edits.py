"""What a team does to its project after baking: a resource of its own, other settings, another README."""

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from baking import ROOT

NEW_FILES = ROOT / "tests" / "edits"  # laid out as in a project, where they are linted and tested
MIGRATION = "alembic/versions/2026_11_24_a5d2c81f4e60_add_hints_table.py"

# path: what one line begins with, and what the team puts before it.
ADDITIONS = {
    "app/main.py": (
        ("    posts,\n", "    hints,\n"),
        ("        posts,\n", "        hints,\n"),
    ),
    "app/models/__init__.py": (
        ("from app.models.idempotency_key", "from app.models.hint import Hint\n"),
        ('    "IdempotencyKey",\n', '    "Hint",\n'),
    ),
    "app/dependencies/services.py": (
        (
            "from app.services.post_service",
            "from app.services.hint_service import HintService\n",
        ),
        (
            "async def get_user_service(",
            ("async def get_hint_service(session: SessionDep) -> HintService:\n"
            "    return HintService(session)\n\n\n"),
        ),
        (
            "UserServiceDep = ",
            "HintServiceDep = Annotated[HintService, Depends(get_hint_service)]\n",
        ),
    ),
    "README.md": (("## Where things are\n", "There are hints, too: `/hints`.\n\n"),),
    "tests/test_architecture.py": (
        ("    posts,\n", "    hints,\n"),
        ("        posts,\n", "        hints,\n"),
    ),
    "tests/routes/test_statement_counts.py": (
        (
            '    "GET /users": (',
            ('    "POST /hints": (1, {"json": {"text": "Look up"}}),\n'
            '    "GET /hints": (1, {}),\n'),
        ),
    ),
}  # fmt: skip

# With auth, tables of the tests ask who may call a new route.
ADDITIONS_WITH_AUTH = {
    "tests/routes/test_statement_counts.py": (
        ('    "GET /posts",\n', '    "POST /hints",\n    "GET /hints",\n'),
    ),
    "tests/routes/test_authorization.py": (
        (
            '    "GET /posts": (',
            ('    "POST /hints": ((201, 201, 201, 201), {"text": "Look up"}),\n'
            '    "GET /hints": ((200, 200, 200, 200), None),\n'),
        ),
    ),
}  # fmt: skip

# path: what one line begins with, and what the team writes there.
SETTINGS = {
    "app/core/config.py": (
        (
            '        default=10, description="Seconds that a client has to send the body',
            '        default=20, description="Seconds that a client has to send the body',
        ),
    ),
    ".env.example": (("# BODY_TIMEOUT=10\n", "# BODY_TIMEOUT=20\n"),),
}


def edit(project: Path, *, follows: str) -> None:
    """Add a resource of the team's own, whose migration follows that revision, and change what it came with."""
    shutil.copytree(NEW_FILES, project, dirs_exist_ok=True)
    migration = project / MIGRATION
    text = migration.read_text(encoding="utf-8")
    migration.write_text(text.replace("HEAD_OF_THE_PROJECT", follows), encoding="utf-8")
    add(project, ADDITIONS)
    replace(project, SETTINGS)


def edit_with_auth(project: Path) -> None:
    """Say of the new routes that everybody may call them."""
    add(project, ADDITIONS_WITH_AUTH)


Edits = Mapping[str, Iterable[tuple[str, str]]]


def add(project: Path, additions: Edits) -> None:
    replace(
        project,
        {name: [(old, new + old) for old, new in pairs] for name, pairs in additions.items()},
    )


def replace(project: Path, replacements: Edits) -> None:
    for name, pairs in replacements.items():
        path = project / name
        text = path.read_text(encoding="utf-8")
        for old, new in pairs:
            if text.count(f"\n{old}") != 1:
                raise AssertionError(f"{name}: not one line begins with {old!r}")
            text = text.replace(f"\n{old}", f"\n{new}")
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
