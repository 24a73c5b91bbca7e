"""What a team does to its project after baking: two resources of its own, other settings, another README."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from baking import ROOT, run
from documented_edits import blocks_of
from repositories import git

# Both are laid out as in a project, where they are linted and tested.
ARTICLES = ROOT / "tests" / "own_resource"
MIGRATIONS = ROOT / "tests" / "edits"
MIGRATION = "alembic/versions/2026_11_24_a5d2c81f4e60_add_articles_table.py"

# path: a text there, and what takes its place.
Edits = Mapping[str, tuple[tuple[str, str], ...]]

METADATA = "from app.core.database.metadata import metadata as metadata\n"
LISTING: Edits = {
    "app/models/__init__.py": (
        (METADATA, METADATA + "from app.models.article import Article as Article\n"),
    ),
    "app/routes/__init__.py": (
        ("import accounts, ", "import accounts, articles, "),
        ("    posts.router,\n", "    articles.router,\n    posts.router,\n"),
    ),
}

# A resource by `app new`. Its how-to calls it an article, as the one that was written by hand.
STORY = "story"
STORY_LISTING: Edits = {
    "app/models/__init__.py": (
        (
            "from app.models.user import User as User\n",
            "from app.models.story import Story as Story\nfrom app.models.user import User as User\n",
        ),
    ),
    "app/routes/__init__.py": (
        ("posts, user_import, ", "posts, stories, user_import, "),
        ("    posts.router,\n", "    stories.router,\n    posts.router,\n"),
    ),
}

CHANGES: Edits = {
    "README.md": (
        (
            "\n## Where things are\n",
            "\nThere are articles, too: `/articles`.\n\n## Where things are\n",
        ),
    ),
    "app/core/config.py": (
        (
            'default=10, description="Maximum time for receiving a request body',
            'default=20, description="Maximum time for receiving a request body',
        ),
    ),
    ".env.example": (("\n# BODY_TIMEOUT=10\n", "\n# BODY_TIMEOUT=20\n"),),
    "app/routes/posts.py": (("Change a post. Omitted fields", "Edit a post. Omitted fields"),),
}

# What a team had changed in a project of release 0.1.0, which had another structure.
CHANGES_OF_0_1: Edits = {
    "README.md": CHANGES["README.md"],
    "app/main.py": (("\n    posts,\n", "\n    articles,\n    posts,\n"),),
    "app/models/__init__.py": (
        (
            "from app.models.idempotency_key",
            "from app.models.article import Article  # of articles\nfrom app.models.idempotency_key",
        ),
    ),
    "app/routes/posts.py": (
        ('"""Publish a post."""', '"""Publish a post; articles are at `/articles`."""'),
    ),
    # Moved since.
    "app/core/etags.py": (("strong entity tag.", "strong entity tag, as in articles."),),
}
# In files that are gone since.
CHANGES_OF_WHAT_WENT: Edits = {
    "app/core/constraints.py": (
        (
            '    "fk_posts_author_id_users"',
            '    "uq_articles_slug": (ConflictError, "Slug {value} is taken"),\n    "fk_posts_author_id_users"',
        ),
    ),
    "tests/routes/test_statement_counts.py": (
        ('    "GET /users": (', '    "GET /articles": (1, {}),\n    "GET /users": ('),
    ),
}


def write_story(project: Path) -> dict[str, bytes]:
    """Add a resource by the first command of the project's own how-to, and return its files."""
    commands = [
        command
        for block in blocks_of(project / "docs/howto/resources.md")
        for command in block.commands()
        if command[:2] == ["app", "new"] and "--dry-run" not in command
    ]
    run(project, *(STORY if word == "article" else word for word in commands[0]))
    names = git(project, "ls-files", "-z", "--others", "--exclude-standard").split("\0")
    return {name: (project / name).read_bytes() for name in names if name not in {"", "uv.lock"}}


def copy_story(project: Path, story: Mapping[str, bytes]) -> None:
    """Add what the command has written in another project, with the lines where it lists a resource."""
    for name, content in story.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    change(project, STORY_LISTING)


def edit(project: Path, *, follows: str) -> None:
    """Add a resource of the team's own, whose migration follows that revision, and change what it came with."""
    shutil.copytree(ARTICLES, project, dirs_exist_ok=True)
    shutil.copytree(MIGRATIONS, project, dirs_exist_ok=True)
    migration = project / MIGRATION
    text = migration.read_text(encoding="utf-8")
    migration.write_text(text.replace("HEAD_OF_THE_PROJECT", follows), encoding="utf-8")
    change(project, LISTING)
    change(project, CHANGES)


def change(project: Path, edits: Edits) -> None:
    for name, replacements in edits.items():
        text = (project / name).read_text(encoding="utf-8")
        for old, new in replacements:
            assert text.count(old) == 1, f"{name}: not once {old!r}"
            text = text.replace(old, new)
        (project / name).write_text(text, encoding="utf-8")


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
