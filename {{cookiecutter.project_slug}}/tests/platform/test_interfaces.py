"""The app uses documented interfaces of its libraries only (0008 in docs/decisions)."""

from pathlib import Path

import pytest

from tests.platform.interfaces import offences

PROJECT = Path(__file__).parents[2]


def test_app_uses_documented_interfaces_only() -> None:
    """Reads the source of app/, its annotations and its classes.

    It does not see a name that is computed while the code runs (`getattr(x, name)`), what a function
    returns (`routes_of(app).append(route)`) unless an annotation tells, a name that is unpacked
    (`a, b = ...`) or bound at the top of a module, what a class inherits that a function defines or
    `type(name, bases, body)` makes, the public attributes that a mixin sets on `self`, and a name that
    gets a value of another type than its annotation, which mypy refuses.
    """
    found = offences(PROJECT, *sorted((PROJECT / "app").rglob("*.py")))

    print("\n".join(found) or "no offences")  # noqa: T201 (the list is what one looks for)
    assert found == []


PRELUDE = """
import logging, os, sys
from typing import Any, NamedTuple
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.ext.asyncio import AsyncSession

class Own:
    shared = 1
    _hidden = 1
    def __init__(self) -> None:
        self.public = 1
        self._private = 1

class Point(NamedTuple):
    x: int
"""


@pytest.mark.parametrize(
    ("code", "found"),
    [
        # Imports of private names.
        ("import email._policybase", "imports email._policybase"),
        ("from email._policybase import Policy", "imports email._policybase.Policy"),
        ("from sqlalchemy.pool.base import _ConnectionRecord", "imports sqlalchemy.pool.base._ConnectionRecord"),
        ("from importlib import import_module\nimport_module('email._policybase')", "calls import_module('email._policybase')"),
        ("import importlib\nimportlib.import_module('._policybase', 'email')", "calls importlib.import_module('._policybase', 'email')"),
        ("from unittest.mock import patch", "imports unittest.mock.patch"),
        # Private attributes.
        ("def f(app: FastAPI) -> Any: return app.router._x", "reads app.router._x"),
        ("def f(own: Own) -> Any: return own._private", "reads own._private"),
        ("def f(own: Own) -> None: own._private = 2", "sets own._private"),
        ("def f(own: Own) -> None: del own._private", "sets own._private"),
        ("def f(row: Any) -> Point: return Point._make(row)", "reads Point._make"),
        ("def f(x: Any) -> Any: return getattr(x, '_private', None)", "reads getattr(x, '_private', None)"),
        ("NAME = '_private'\ndef f(x: Any) -> Any: return getattr(x, NAME)", "reads getattr(x, NAME)"),
        ("from operator import attrgetter\ndef f(x: Any) -> Any: return attrgetter('a._b')(x)", "calls attrgetter('a._b')"),
        ("from operator import methodcaller\ndef f(x: Any) -> Any: return methodcaller('_a')(x)", "calls methodcaller('_a')"),
        ("def f(x: Any) -> Any:\n    match x:\n        case AsyncAdaptedQueuePool(_pool=q): return q", "reads AsyncAdaptedQueuePool(_pool=q)"),
        ("def f() -> Any: return sys._getframe()", "reads sys._getframe"),
        ("class S(AsyncSession):\n    def f(self) -> Any: return self._proxied", "reads self._proxied"),
        ("class S(AsyncSession):\n    def f(self) -> None: self._proxied = None", "S overrides AsyncSession._proxied"),
        (
            "class P(AsyncAdaptedQueuePool):\n    def f(self) -> Any: return super()._do_get()",
            "reads super()._do_get",
        ),
        # Private names of a base.
        ("class P(AsyncAdaptedQueuePool):\n    def _do_get(self) -> Any: ...", "P overrides QueuePool._do_get"),
        ("class P(AsyncAdaptedQueuePool):\n    _queue_class = None", "P overrides AsyncAdaptedQueuePool._queue_class"),
        ("class P(AsyncAdaptedQueuePool):\n    def f(self) -> None: self._timeout = 1", "P overrides QueuePool._timeout"),
        ("class A(AsyncAdaptedQueuePool): ...\nclass B(A):\n    def _do_get(self) -> Any: ...", "B overrides QueuePool._do_get"),
        ("class M:\n    def _do_get(self) -> Any: ...\nclass P(M, AsyncAdaptedQueuePool): ...", "P overrides QueuePool._do_get"),
        ("class M:\n    def f(self) -> None: self._timeout = 1\nclass P(AsyncAdaptedQueuePool, M): ...", "P overrides QueuePool._timeout"),
        ("class P(AsyncAdaptedQueuePool): ...\nsetattr(P, '_do_get', None)", "calls setattr on P"),
        # Attributes that our own classes inherit.
        ("class R(APIRoute): ...\ndef f(route: R) -> None: route.dependant = None", "sets route.dependant"),
        ("class R(APIRoute): ...\ndef f(route: R) -> None: del route.dependant", "deletes route.dependant"),
        ("class R(APIRoute): ...\ndef f(route: R) -> None: setattr(route, 'dependant', None)", "calls setattr on route"),
        ("class R(APIRoute): ...\ndef f(route: R) -> None: route.dependencies.append(1)", "calls route.dependencies.append"),
        ("class R(APIRoute): ...\ndef f() -> None: R.matches = None", "sets R.matches"),
        ("class P(AsyncAdaptedQueuePool): ...\ndef f(p: P) -> None: p.checkedout = None", "sets p.checkedout"),
        ("class P(AsyncAdaptedQueuePool):\n    def connect(self) -> Any: ...\ndef f(p: P) -> None: p.connect = None", "sets p.connect"),
        # Objects that are not ours.
        ("def f(route: APIRoute) -> None: route.dependant = None", "sets route.dependant"),
        ("def f(app: FastAPI) -> None: app.build_middleware_stack = None", "sets app.build_middleware_stack"),
        ("def f(app: FastAPI) -> None: del app.router", "deletes app.router"),
        ("def f(response: Response) -> None: response.raw_headers = []", "sets response.raw_headers"),
        ("def f() -> None:\n    response = Response()\n    response.body = b''", "sets response.body"),
        ("def f(x: Any) -> None: x.public = 1", "sets x.public"),
        ("def f(own: Own | Response) -> None: own.public = 1", "sets own.public"),
        ("def f(request: Request) -> None: request.app.public = 1", "sets request.app.public"),
        ("def f(x: Own) -> None: type(x).shared = 1", "sets type(x).shared"),
        ("def f() -> None: Response.media_type = 'x'", "sets Response.media_type"),
        ("def f() -> None: os.getcwd = None", "sets os.getcwd"),
        ("def f(x: Response) -> None: x.status_code += 1", "sets x.status_code"),
        ("def f(x: Response) -> None:\n    for x.status_code in (1, 2): ...", "sets x.status_code"),
        ("def f(x: Response) -> None: setattr(x, 'body', b'')", "calls setattr on x"),
        ("def f(x: Response) -> None: delattr(x, 'body')", "calls delattr on x"),
        ("def f(x: Any) -> None: object.__setattr__(x, 'body', b'')", "calls object.__setattr__"),
        ("def f(x: Any) -> None: x.__dict__['body'] = b''", "sets x.__dict__['body']"),
        ("def f(x: Any) -> None: vars(x)['body'] = b''", "sets vars(x)['body']"),
        ("def f(x: Own) -> None: vars(x).update(public=2)", "calls vars(x).update"),
        ("def f(x: Own) -> None: x.__dict__.update(public=2)", "calls x.__dict__.update"),
        ("def f() -> None: sys.modules['x'] = sys", "sets sys.modules['x']"),
        ("def f() -> None: sys.path[:] = []", "sets sys.path[:]"),
        ("def f() -> None: del sys.modules['x']", "sets sys.modules['x']"),
        ("from sys import path\ndef f() -> None: path.append('x')", "calls path.append"),
        ("def f(app: FastAPI) -> None: app.user_middleware.append(1)", "calls app.user_middleware.append"),
        ("def f(app: FastAPI) -> None: app.exception_handlers[500] = f", "sets app.exception_handlers[500]"),
        ("def f(request: Request) -> None:\n    app = request.app\n    app.user_middleware.append(1)", "calls app.user_middleware.append"),
        ("def f(request: Request) -> None:\n    if found := request.app.user_middleware: found.clear()", "calls found.clear"),
        ("def f(app: FastAPI) -> None:\n    for route in app.routes: route.tags.append('x')", "calls route.tags.append"),
        ("def f(app: FastAPI) -> Any: return [route.tags.pop() for route in app.routes]", "calls route.tags.pop"),
        ("def f(x, /) -> None:\n    if isinstance(x, APIRoute): x.tags.append('x')", "calls x.tags.append"),
        ("def f(x, /) -> None:\n    match x:\n        case APIRoute() as y: y.tags.append('x')", "calls y.tags.append"),
        ("app = FastAPI()\napp.user_middleware.append(1)", "calls app.user_middleware.append"),
        ("def f(app: FastAPI) -> None:\n    found: list[Any] = app.user_middleware\n    found.clear()", "calls found.clear"),
        ("def f(app: FastAPI) -> None:\n    found = app.user_middleware\n    found += [1]", "changes found"),
        ("class R(APIRoute):\n    def f(self) -> None: self.tags.append('x')", "calls self.tags.append"),
        ("def f(x: Response) -> None: x.background.tasks.clear()", "calls x.background.tasks.clear"),
        ("class R(APIRoute):\n    def f(self) -> None: self.tags = []", "sets self.tags"),
        ("def f(x: Own) -> None:\n    x.public = 1  # type: ignore[method-assign]", "type: ignore[method-assign]"),
    ],
)  # fmt: skip
def test_offence_is_found(tmp_path: Path, code: str, found: str) -> None:
    path = tmp_path / "planted.py"
    path.write_text(f"{PRELUDE}\n{code}\n")
    last_line = f"{PRELUDE}\n{code}\n".count("\n")

    told = offences(tmp_path, path)

    assert [what.partition(": ")[2] for what in told] == [found]
    assert told[0].startswith("planted.py:")
    assert last_line - 1 <= int(told[0].split(":")[1]) <= last_line


@pytest.mark.parametrize(
    "code",
    [
        "from __future__ import annotations",
        "class S(Own):\n    def f(self) -> Any: return self._private",
        "class S(Own):\n    @classmethod\n    def f(cls) -> Any: return cls._hidden",
        "class S:\n    def f(self) -> None:\n        self._x = 1\n        del self._x",
        "class S(AsyncSession):\n    budget = None\n    def __aenter__(self) -> Any: ...",
        "class S(Own):\n    def f(self) -> Any: return super()._hidden",
        "def f() -> None:\n    class Local(AsyncSession): ...\n    Local.x = 1",
        "def f(own: Own) -> None: own.public = 2",
        "def f(own: Own | None) -> None: own.public = 2",
        "def f() -> None:\n    own = Own()\n    own.public = 2",
        "def f() -> None: Own.shared = 2",
        "def f(own: Own, name: str) -> None: setattr(own, name, 2)",
        "def f(request: Request) -> None: request.state.caller = 1",
        "def f(request: Request) -> None: request.app.state.database = 1",
        "def f(app: FastAPI) -> None: app.openapi = dict  # type: ignore[method-assign]",
        "def f(app: FastAPI) -> None: app.openapi_schema = None",
        "class R(APIRoute):\n    def f(self) -> None:\n        self.found = []\n        self.found.append('x')",
        "def f(response: Response) -> None: response.headers['ETag'] = 'x'",
        "def f(own: Own) -> None: own.public.append('x')",
        "def f(app: FastAPI) -> None: app.state.found.append('x')",
        "def f(request: Request) -> None:\n    found = request.state.found\n    found.append('x')",
        "def f(response: Response) -> None:\n    headers = response.headers\n    headers['x'] = 'y'",
        "def f(response: JSONResponse) -> None: response.headers['x'] = 'y'",
        "def f(found: list[Own]) -> None:\n    for own in found: own.public.append('x')",
        "def f(node) -> None:\n    while node := node.parent: node.names.append('x')",
        "class R(APIRoute): own = 1\ndef f(route: R) -> None: route.own = 2",
        "class R(APIRoute):\n    def f(self) -> None: self.own = []\ndef g(route: R) -> None: route.own.append(1)",
        "class M:\n    def f(self) -> None: self._own = 1\nclass P(M, AsyncAdaptedQueuePool): ...",
        "class R(FastAPI): ...\ndef f(app: R) -> None: app.openapi_schema = None",
        "from sqlalchemy import Column\ncolumn = Column()\ncolumn.info['x'] = 1",
        "from sqlalchemy import Table\ndef f(table: Table) -> None:\n    for column in table.columns: column.info['x'] = 1",
        "found = {}\ndef f() -> None: found.update(x=1)",
        "own = Own()\ndef f() -> None: own.public.append('x')",
        "def f() -> None: os.environ['X'] = 'y'",
        "def f(headers: dict[str, str]) -> None: headers['x'] = 'y'",
        "from email_validator import SPECIAL_USE_DOMAIN_NAMES as names\nnames[:] = []",
        "logging.getLogger('x').setLevel(10)",
        "def f(x: Any) -> Any: return x.__class__.__name__",
    ],
)
def test_other_code_is_not_an_offence(tmp_path: Path, code: str) -> None:
    path = tmp_path / "planted.py"
    prelude = "" if "__future__" in code else PRELUDE
    path.write_text(f"{prelude}\n{code}\n")

    assert offences(tmp_path, path) == []
