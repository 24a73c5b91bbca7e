"""What clients and operators know a project by, read from its source: routes, error codes, variables."""

import ast
import re
from collections.abc import Iterator, Mapping

METHODS = {"GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"}

Sources = Mapping[str, str]  # text by path


def promised_names(sources: Sources) -> set[str]:
    """Return the names, of all variants together: `GET /users/{}`, `NOT_FOUND`, `DATABASE_URL`."""
    modules = {path: ast.parse(text) for path, text in sources.items() if path.endswith(".py")}
    return {
        *routes(modules),
        *(code for tree in modules.values() for code in _codes(tree)),
        *re.findall(r"^[^\w\n]*([A-Z][A-Z0-9_]*)=", sources.get(".env.example", ""), re.MULTILINE),
    }


def without_names(path: str) -> str:
    """Return a path, or a route, without the names of its parameters, which no URL has."""
    return re.sub(r"{[^}]*}", "{}", path)


def routes(modules: Mapping[str, ast.Module]) -> set[str]:
    """Return the routes below `API_PREFIX`, each with its method, of all routers in `app/routes/`."""
    prefixes: dict[str, str] = {}
    outer: dict[str, str] = {}
    own: list[tuple[str, str, str]] = []  # router, method, path
    for path, tree in modules.items():
        if not path.startswith("app/routes/"):
            continue
        module = path.rpartition("/")[2].removesuffix(".py")
        for node in ast.walk(tree):
            match node:
                case ast.Assign(
                    targets=[ast.Name(name)],
                    value=ast.Call(func=ast.Name("APIRouter"), keywords=keywords),
                ):
                    prefixes[f"{module}.{name}"] = _prefix(keywords)
                case ast.Call(
                    func=ast.Attribute(ast.Name(name), "include_router"),
                    args=[ast.Attribute() as included],
                ):
                    outer[ast.unparse(included)] = f"{module}.{name}"
                case ast.Call(
                    func=ast.Attribute(ast.Name(name), method), args=[ast.Constant(str(below)), *_]
                ) if method.upper() in METHODS:
                    own.append((f"{module}.{name}", method.upper(), below))

    def prefix(router: str) -> str:
        return (prefix(outer[router]) if router in outer else "") + prefixes[router]

    return {
        f"{method} {without_names(prefix(router) + below)}"
        for router, method, below in own
        if router in prefixes
    }


def _prefix(keywords: list[ast.keyword]) -> str:
    for keyword in keywords:
        match keyword:
            case ast.keyword("prefix", ast.Constant(str(text))):
                return text
    return ""


def _codes(tree: ast.Module) -> Iterator[str]:
    """Yield the codes of errors: attributes of classes, and arguments of that name."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.Assign([ast.Name("code")], ast.Constant(str(code)))
                | ast.AnnAssign(target=ast.Name("code"), value=ast.Constant(str(code)))
                | ast.keyword("code", ast.Constant(str(code)))
            ):
                yield code
