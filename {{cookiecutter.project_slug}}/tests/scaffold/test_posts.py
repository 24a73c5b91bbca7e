"""What `app new` writes is what was written by hand for the demo, where posts are like other resources.

Only the template has this file, for a project may change its posts.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import URL

from app.core.env_file import PROJECT
from scaffold.definition import define
from scaffold.project import Project
from scaffold.renaming import Names, Renaming
from scaffold.writing import render
from tests.separate_run import run_pytest

FIELDS: Final = ("title:str:200^", "body:text", "author:user")
# What posts have instead, and why. All else that is generated is the same.
DIFFERENCES: Final[dict[str, dict[str, str]]] = {
    "alembic/versions/*_add_posts_table.py": {
        "module": "the revisions",
        "revision": "the revision",
        "down_revision": "the revision before it",
        "upgrade": "has the version in a revision of its own, as other features that can be taken out",
    },
    "app/models/post.py": {
        "Post.docstring": "says what a post is",
        "Post.__table_args__": "has an index for searching",
    },
    "app/schemas/post.py": {
        "Title": "has another example",
        "Body": "has another example",
        "PostCreate": "shares its texts with the import of users",
        "PostResponse": "is a summary in some lists, and has the time that it takes to read",
        "PostQuery": "are parameters of the route, which chooses the response by two of them",
    },
    "app/repositories/post_repo.py": {
        "_FILTERS": "is in `_page`",
        "_page": "searches, and chooses what it loads",
        "PostRepository.docstring": "bulk inserts may run no statement",
        "PostRepository.get_by_id": "has its likes",
        "PostRepository.list_page": "searches, and chooses what it loads",
    },
    "app/services/post_service.py": {
        "PostService.__init__": "has a queue of jobs",
        "PostService.create_post": "has the post announced",
        "PostService.get_post": "has its likes",
        "PostService.list_posts": "searches, and chooses what it loads",
    },
    "app/routes/posts.py": {
        "router": "describes its tag",
        "PublicPostServiceDep": "knows the viewer",
        "create_post": "describes what it does",
        "read_post": "has its likes",
        "list_posts": "searches, and chooses what it loads",
    },
    "tests/post_factory.py": {"make_post": "has values of one type"},
}
# The tests that posts fail, and why.
FAILING: Final = {
    "test_created_post_is_returned_with_its_location": "what is read has its likes",
    "test_list_is_filtered": "what is listed has its likes",
}


def generated() -> dict[str, str]:
    project = Project(PROJECT)
    project.models.pop("post")  # as if it were not there yet
    vars(project).update(
        tables=project.tables - {"posts"},
        prefixes=frozenset(),
        routes=frozenset(one for one in project.routes if "post" not in one),
    )
    return render(project, define(project, "post", FIELDS))


def definitions(source: str) -> dict[str, str]:
    """Return the definitions of a module by their names, regardless of how they are formatted."""
    found: dict[str, str] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Import | ast.ImportFrom | ast.If):
            found |= dict(_described(node))
    return found


def _described(node: ast.stmt, prefix: str = "") -> Iterator[tuple[str, str]]:
    match node:
        case ast.ClassDef(name=name, bases=bases, body=body):
            yield name, ", ".join(map(ast.unparse, bases))
            for member in body:
                yield from _described(member, f"{name}.")
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield prefix + name, ast.unparse(node)
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            yield prefix + ast.unparse(target), ast.unparse(node)
        case ast.Expr():
            yield f"{prefix}docstring" if prefix else "module", ast.unparse(node)


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return generated()


@pytest.mark.parametrize("pattern", DIFFERENCES)
def test_generated_code_is_that_of_the_demo(files: dict[str, str], pattern: str) -> None:
    ((name, text),) = [(name, text) for name, text in files.items() if Path(name).match(pattern)]
    (by_hand,) = PROJECT.glob(pattern)

    ours, theirs = definitions(text), definitions(by_hand.read_text(encoding="utf-8"))

    differing = {one for one in ours if ours[one] != theirs.get(one)}
    # A class that differs may have other members.
    explained = {
        one
        for one in differing
        for reason in DIFFERENCES[pattern]
        if one == reason or one.startswith(f"{reason}.")
    }
    assert differing - explained == set(), "\n\n".join(
        f"{ours[one]}\n{theirs.get(one)}" for one in sorted(differing - explained)
    )
    assert DIFFERENCES[pattern].keys() <= differing, f"{name}: no such difference any more"


def test_every_file_of_the_app_is_compared(files: dict[str, str]) -> None:
    compared = {name for name in files for pattern in DIFFERENCES if Path(name).match(pattern)}

    # Of the tests, those of posts are about much else. The next test runs the written ones.
    assert {name for name in files.keys() - compared if "test_posts" not in name} == set()


def test_demo_passes_the_tests_that_are_written_but_for_its_likes(
    files: dict[str, str], tmp_path: Path, template_url: URL
) -> None:
    output = run_pytest(tmp_path, template_url, files["tests/routes/test_posts.py"], "-q")

    assert set(re.findall(r"^FAILED .*::(\w+)", output, re.MULTILINE)) == FAILING.keys(), output
    assert re.search(r"^\d+ failed, \d+ passed in ", output, re.MULTILINE), output


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("a post of posts", "an order of orders"),
        ("A post. Posts:", "An order. Orders:"),
        ("Post {value} not found", "Order {value} not found"),
        ("POST /posts/{post_id:id}", "POST /orders/{order_id:id}"),
        ("await client.post(url)", "await client.post(url)"),
        ('paths["/posts"]["post"]', 'paths["/orders"]["post"]'),
        ("MAX_POST_BYTES, NEW_POST, _POSTS, POSTS", "MAX_ORDER_BYTES, NEW_ORDER, _ORDERS, ORDERS"),
        ("PublicPostServiceDep, PostCreate", "PublicOrderServiceDep, OrderCreate"),
        ("payload.post_id, posts.router", "payload.order_id, orders.router"),
        ("ix_posts_title_id", "ix_orders_title_id"),
        ("posted, poster, postgresql", "posted, poster, postgresql"),
    ],
)
def test_name_of_posts_is_replaced_in_all_its_forms_but_not_the_http_method(
    text: str, renamed: str
) -> None:
    assert Renaming(Names("post", "posts"), Names("order", "orders"))(text) == renamed
