"""Finds where code leans on what a library does not document: private names, replaced attributes."""

import ast
import importlib
import importlib.util
import inspect
import io
import sys
import tokenize
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import dedent
from types import ModuleType, UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

OWN: Final = "app"
SCRIPT: Final = "app.asgi"  # makes an app when it is imported
# What a library documents to be set: its class or module, the name, and the place that says so.
DOCUMENTED: Final = {
    ("email_validator", "SPECIAL_USE_DOMAIN_NAMES"): "README: Advanced usage",
    ("FastAPI", "openapi"): "How-to: Extending OpenAPI",
    ("FastAPI", "openapi_schema"): "How-to: Extending OpenAPI",
    ("Response", "background"): "Reference: Response class",
    ("Response", "headers"): "Response Headers",
    ("Request", "scope"): "Starlette, Pure ASGI Middleware: Storing context in scope",
    ("AutogenContext", "imports"): "Alembic: Affecting the Rendering of Types Themselves",
    ("OpContainer", "ops"): "Alembic, Autogenerating Custom Operation Directives",
    ("AsyncSession", "info"): "the attribute's own description",
    ("ConnectionPoolEntry", "info"): "the attribute's own description",
    ("ConnectionPoolEntry", "record_info"): "the attribute's own description",
    ("PoolProxiedConnection", "info"): "the attribute's own description",
    ("PoolProxiedConnection", "record_info"): "the attribute's own description",
    ("SchemaItem", "info"): "the attribute's own description",
    ("LogRecord", "args"): "LogRecord attributes",
    ("LogRecord", "exc_text"): "Formatter.format",
    ("TCPServer", "allow_reuse_port"): "socketserver: Server Objects",
    ("TCPServer", "address_family"): "socketserver: Server Objects",
    ("ExceptionContext", "invalidate_pool_on_disconnect"): "the attribute's own description",
    ("os", "environ"): "the module's own description",
    ("sys", "unraisablehook"): "the function's own description",
    ("threading", "excepthook"): "the function's own description",
}
# Methods that change a list, a set or a dictionary.
MUTATING: Final = frozenset(
    {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"}
    | {"reverse", "setdefault", "sort", "update"}
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def offences(root: Path, *paths: Path) -> list[str]:
    """Return the offences of the modules, as `file:line: what`; files are named from `root`."""
    found = [
        (path.relative_to(root).as_posix(), line, what)
        for path in paths
        for line, what in _Module(path, _import(path, root)).offences()
    ]
    return [f"{file}:{line}: {what}" for file, line, what in sorted(set(found))]


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def _import(path: Path, root: Path) -> ModuleType:
    names = [*path.relative_to(root).with_suffix("").parts]
    if names[-1] == "__init__":
        names.pop()
    name = ".".join(names)
    if name == SCRIPT:
        return ModuleType(name)
    if names[0] == OWN:
        return importlib.import_module(name)
    specification = importlib.util.spec_from_file_location(f"{OWN}.{name}", path)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[module.__name__] = module
    specification.loader.exec_module(module)
    return module


def _is_own(thing: ModuleType | type) -> bool:
    name = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    return name.partition(".")[0] == OWN


def _private_names(kind: type) -> frozenset[str]:
    return frozenset(
        name for name in _names(kind) if is_private(name) and not name.startswith("__")
    )


@cache
def _names(kind: type) -> frozenset[str]:
    """Return the names of a class: those that it has, and those that its source defines."""
    return _written_names(kind) | set(vars(kind))


@cache
def _written_names(kind: type) -> frozenset[str]:
    """Return the names that the source of a class defines, in its body or on `self`."""
    try:
        parts = ast.parse(dedent(inspect.getsource(kind))).body
    except (OSError, TypeError, SyntaxError):  # written in C, or made at run time
        parts = []
    return frozenset(
        name for class_ in parts if isinstance(class_, ast.ClassDef) for name in _defined(class_)
    )


def _is_documented(name: str, kinds: Iterable[ModuleType | type]) -> bool:
    return any((kind.__name__, name) in DOCUMENTED for kind in kinds)


def _is_inherited(name: str, bases: Collection[type]) -> bool:
    """Return whether a name is one of a base class of another package, even if our class overrides it."""
    return not _is_documented(name, bases) and any(
        not _is_own(kind) and name in _names(kind) for kind in bases
    )


def _is_attribute_of_others(name: str, kind: ModuleType | type) -> bool:
    """Return whether an attribute is of another package, which does not document that it may be changed."""
    if _is_own(kind):
        return isinstance(kind, type) and _is_inherited(name, kind.__mro__)
    return not _is_documented(name, getattr(kind, "__mro__", [kind]))


@dataclass
class _Scope:
    """Where a node stands: in which class, and in which functions."""

    class_: ast.ClassDef | None = None
    functions: tuple[Function, ...] = ()


@dataclass
class _Module:
    path: Path
    module: ModuleType
    scopes: dict[ast.AST, _Scope] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)  # of others: module, name

    def offences(self) -> Iterator[tuple[int, str]]:
        source = self.path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        self._place(tree, _Scope())
        for node in self.scopes:
            line = getattr(node, "lineno", 0)
            for what in self._of_node(node):
                yield line, what
        yield from self._ignored_types(source)

    def _place(self, node: ast.AST, scope: _Scope) -> None:
        for child in ast.iter_child_nodes(node):
            self.scopes[child] = scope
            if isinstance(child, ast.ClassDef):
                self._place(child, _Scope(child, scope.functions))
            elif isinstance(child, Function):
                self._place(child, _Scope(scope.class_, (child, *scope.functions)))
            else:
                self._place(child, scope)

    def _of_node(self, node: ast.AST) -> Iterator[str]:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield from self._imports(alias.name)
                    self._note_import(alias, alias.name, "")
            case ast.ImportFrom(module=module, names=names, level=0):
                for alias in names:
                    yield from self._imports(f"{module}.{alias.name}")
                    self._note_import(alias, str(module), alias.name)
            case ast.ClassDef():
                yield from self._overrides(node)
            case ast.Attribute():
                yield from self._uses(node)
            case ast.Call():
                yield from self._calls(node, self.scopes[node])
            case ast.MatchClass(kwd_attrs=names):
                if any(is_private(name) for name in names):
                    yield f"reads {ast.unparse(node)}"
            case (
                ast.Subscript(value=ast.Attribute(attr="__dict__"))
                | ast.Subscript(value=ast.Call(func=ast.Name("vars")))
            ):
                if isinstance(node.ctx, ast.Store | ast.Del):
                    yield f"sets {ast.unparse(node)}"
            case ast.AugAssign(target=ast.Name() as target):
                if self._is_of_others(target, self.scopes[node]):
                    yield f"changes {ast.unparse(target)}"
            case ast.Subscript(value=target, ctx=ast.Store() | ast.Del()):
                if self._is_of_others(target, self.scopes[node]):
                    yield f"sets {ast.unparse(node)}"

    def _calls(self, call: ast.Call, scope: _Scope) -> Iterator[str]:
        function = getattr(call.func, "attr", getattr(call.func, "id", ""))
        match function, call.args:
            case "setattr" | "delattr", [target, name, *_]:
                if self._is_private_text(name) or not self._may_be_set(
                    target, self._text(name), scope
                ):
                    yield f"calls {function} on {ast.unparse(target)}"
            case "getattr" | "hasattr", [_, name, *_]:
                if self._is_private_text(name):
                    yield f"reads {ast.unparse(call)}"
            case "attrgetter" | "methodcaller" | "import_module" | "__import__", names:
                if any(self._is_private_text(name) for name in names):
                    yield f"calls {ast.unparse(call)}"
            case "__setattr__" | "__delattr__", _:
                yield f"calls {ast.unparse(call.func)}"
        match call.func:
            case ast.Attribute(
                value=ast.Attribute(attr="__dict__") | ast.Call(func=ast.Name("vars"))
            ):
                if function in MUTATING:
                    yield f"calls {ast.unparse(call.func)}"
            case ast.Attribute(value=target) if function in MUTATING:
                if self._is_of_others(target, scope):
                    yield f"calls {ast.unparse(call.func)}"

    def _text(self, name: ast.expr) -> str:
        """Return a name that is written as a literal or is a constant of the module, or nothing."""
        has_call = any(isinstance(node, ast.Call) for node in ast.walk(name))
        text = "" if has_call else self._evaluate(name)
        return text if isinstance(text, str) else ""

    def _is_private_text(self, name: ast.expr) -> bool:
        return any(is_private(part) for part in self._text(name).split("."))

    def _note_import(self, alias: ast.alias, module: str, name: str) -> None:
        if module.partition(".")[0] != OWN:
            self.imported[alias.asname or (name or module).partition(".")[0]] = (module, name)

    def _is_of_others(self, target: ast.expr, scope: _Scope) -> bool:
        """Return whether something belongs to another package, which does not document that it may be changed."""
        return self._is_name_of_others(target) or self._is_part_of_others(target, scope)

    def _is_name_of_others(self, target: ast.expr) -> bool:
        """Return whether something is a name of another package, or a part of one."""
        name = ""
        while isinstance(target, ast.Attribute):
            name, target = target.attr, target.value
        if not isinstance(target, ast.Name) or target.id not in self.imported:
            return False
        module, imported = self.imported[target.id]
        return (module, imported or name) not in DOCUMENTED

    def _is_part_of_others(
        self,
        target: ast.expr,
        scope: _Scope,
        *,
        is_nested: bool = False,
        followed: frozenset[str] = frozenset(),
    ) -> bool:
        """Return whether something is an attribute of an object of another package: a list that it keeps."""
        if isinstance(target, ast.Name):  # `middleware = app.user_middleware`
            return target.id not in followed and any(
                self._is_part_of_others(
                    origin, scope, is_nested=is_nested, followed=followed | {target.id}
                )
                for function in scope.functions
                for origin in _origins(function, target.id)
            )
        if not isinstance(target, ast.Attribute) or target.attr == "state":
            return False
        if scope.class_ and ast.unparse(target.value) == "self":
            return self._is_inherited_by(scope.class_, target.attr)
        kinds = self._kinds(target.value, scope) or self._narrowed(target.value, scope)
        if not kinds and not is_nested and target.attr in {name for _, name in DOCUMENTED}:
            return False  # as likely one of those
        if not kinds:  # `post.tags.append(tag)` is ordinary code
            return self._is_part_of_others(target.value, scope, is_nested=True, followed=followed)
        return any(
            (is_nested and not _is_own(kind)) or _is_attribute_of_others(target.attr, kind)
            for kind in kinds
        )

    def _is_inherited_by(self, class_: ast.ClassDef, name: str) -> bool:
        """Return whether a name on `self` is one of a base class of another package."""
        if is_private(name):
            return False  # see _overrides
        return _is_inherited(name, list(self._bases(class_)))

    def _imports(self, name: str) -> Iterator[str]:
        first, *parts = name.split(".")
        is_for_patches = name.startswith("unittest.mock")
        if first != OWN and (is_for_patches or any(map(is_private, [first, *parts]))):
            yield f"imports {name}"

    def _overrides(self, node: ast.ClassDef) -> Iterator[str]:
        """Yield the private names of others that a class overrides, itself or by a mixin of ours."""
        bases = list(self._bases(node))
        others = [kind for kind in bases if not _is_own(kind)]
        found: set[str] = set()
        for kind in others:
            mixins = [base for base in bases if _is_own(base) and kind not in base.__mro__]
            defined = _defined(node).union(*(_written_names(mixin) for mixin in mixins))
            names = (defined & _private_names(kind)) - found
            found |= names
            for name in names:
                yield f"{node.name} overrides {kind.__name__}.{name}"

    def _bases(self, node: ast.ClassDef) -> Iterator[type]:
        """Yield the classes that a class inherits from, the nearest first."""
        for base in (self._evaluate(base) for base in node.bases):
            kind = get_origin(base) or base
            yield from kind.__mro__ if isinstance(kind, type) else ()

    def _uses(self, node: ast.Attribute) -> Iterator[str]:
        text = ast.unparse(node)
        scope = self.scopes[node]
        if is_private(node.attr) and not (
            ast.unparse(node.value) in {"self", "cls", "super()"}
            and self._defines(scope, node.attr)
        ):
            yield f"{'reads' if isinstance(node.ctx, ast.Load) else 'sets'} {text}"
        elif not (isinstance(node.ctx, ast.Load) or self._may_be_set(node.value, node.attr, scope)):
            yield f"{'deletes' if isinstance(node.ctx, ast.Del) else 'sets'} {text}"

    def _defines(self, scope: _Scope, name: str) -> bool:
        """Return whether the class around, or one of its bases that is our own, defines a name."""
        if scope.class_ is None:
            return False
        return name in _defined(scope.class_) or any(
            _is_own(kind) and name in _private_names(kind) for kind in self._bases(scope.class_)
        )

    def _may_be_set(self, target: ast.expr, name: str, scope: _Scope) -> bool:
        """Return whether something is our own object, or a state that FastAPI keeps for us."""
        if isinstance(target, ast.Attribute) and target.attr == "state":
            return True
        if scope.class_ and ast.unparse(target) in {"self", "cls"}:
            return not self._is_inherited_by(scope.class_, name)
        kinds = self._kinds(target, scope)
        return bool(kinds) and not any(_is_attribute_of_others(name, kind) for kind in kinds)

    def _kinds(self, target: ast.expr, scope: _Scope) -> list[ModuleType | type]:
        """Return what an expression may be, as far as annotations and calls of classes tell."""
        if isinstance(target, ast.Name):
            for function in scope.functions:
                for bound in _bindings(function, target.id):
                    return [_Local] if bound is None else _classes(self._evaluate(bound))
        if any(isinstance(node, ast.Call) for node in ast.walk(target)):
            return []
        found = self._evaluate(target)
        if found is None or isinstance(found, ModuleType):
            return [found] if found else []
        return _classes(found) or [type(found)]

    def _narrowed(self, target: ast.expr, scope: _Scope) -> list[ModuleType | type]:
        """Return the classes that a function tests a local name for."""
        return [
            kind
            for function in scope.functions
            for tested in _tests(function, ast.unparse(target))
            for kind in _classes(self._evaluate(tested))
        ]

    def _evaluate(self, expression: ast.expr) -> Any:
        try:
            return eval(ast.unparse(expression), vars(self.module))  # noqa: S307 (our own source)
        except Exception:  # noqa: BLE001 (a name that is local, or for type checkers)
            return None

    def _ignored_types(self, source: str) -> Iterator[tuple[int, str]]:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            is_ignored = token.type == tokenize.COMMENT and "method-assign" in token.string
            if is_ignored and " app.openapi = " not in f" {token.line}":
                yield token.start[0], token.string.removeprefix("# ")


def _defined(class_: ast.ClassDef) -> set[str]:
    """Return the names that a class defines, in its body or on `self`."""
    names = set()
    for node in ast.walk(class_):
        match node:
            case ast.Attribute(value=ast.Name("self" | "cls"), ctx=ast.Store()):
                names.add(node.attr)
    for statement in class_.body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(statement.name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(name)):
                names.add(name)
    return names


class _Local:
    """Stands for a class that a function of the app defines."""

    __module__ = OWN


def _bindings(function: Function, name: str) -> Iterator[ast.expr | None]:
    """Yield the annotations and classes of a local name, and None where the function defines it."""
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg == name and argument.annotation:
            yield argument.annotation
    for node in ast.walk(function):
        match node:
            case ast.AnnAssign(target=ast.Name(target)) if target == name:
                yield node.annotation
            case ast.Assign(targets=[ast.Name(target)], value=ast.Call(func=called)):
                if target == name:
                    yield called
            case ast.ClassDef(name=target) if target == name:
                yield None


def _origins(function: Function, name: str) -> Iterator[ast.expr]:
    """Yield what a local name was taken from: `app = request.app`, `for route in app.routes`."""
    for node in ast.walk(function):
        match node:
            case (
                ast.Assign(targets=[ast.Name(target)], value=origin)
                | ast.AnnAssign(target=ast.Name(target), value=ast.expr() as origin)
                | ast.NamedExpr(target=ast.Name(target), value=origin)
                | ast.For(target=ast.Name(target), iter=origin)
                | ast.comprehension(target=ast.Name(target), iter=origin)
            ) if target == name:
                yield origin


def _tests(function: Function, name: str) -> Iterator[ast.expr]:
    """Yield the classes of `isinstance(name, Class)` and `case Class() as name`."""
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name("isinstance"), args=[ast.Name(target), kind]):
                if target == name:
                    yield kind
            case ast.MatchAs(pattern=ast.MatchClass(cls=kind), name=target) if target == name:
                yield kind


def _classes(annotation: Any) -> list[ModuleType | type]:
    """Return the classes that an annotation, a class or a type variable names."""
    if get_origin(annotation) is Annotated:
        return _classes(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return [kind for part in parts for kind in _classes(part)]
    if isinstance(annotation, TypeVar):
        return _classes(annotation.__bound__)
    annotation = get_origin(annotation) or annotation
    return [annotation] if isinstance(annotation, type) else []
