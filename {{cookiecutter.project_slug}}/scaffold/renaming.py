"""`app rename`: a resource under another name, in all that belongs to it."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from app.cli.commands import CommandError
from scaffold import wiring
from scaffold.changes import Changes
from scaffold.definition import new_names
from scaffold.formatting import formatted
from scaffold.project import Project
from scaffold.records import Record, digest, files_of, read_record, record_name
from scaffold.removing import removal_of
from scaffold.words import MAX_IDENTIFIER, class_case, with_article
from scaffold.writing import TEMPLATES

# What a template computes: the words of the generator, which are not in what it writes.
_EXPRESSION = re.compile(r"(?s:<%.*?%>)|\$\{.*?\}|^ *(%|##).*$", re.MULTILINE)
# A field, as it was typed, that names what it holds: the values of an enum, or a default.
_VALUES = re.compile(r"(?:\w+:enum:|[^=]*=)(?P<values>.+)")


@dataclass(frozen=True)
class Names:
    """The names of a resource."""

    singular: str
    plural: str

    def forms(self) -> Iterator[str]:
        """Yield the plural and the singular in each way of writing, plurals first."""
        for name in (self.plural, self.singular):
            human = name.replace("_", " ")
            yield from (name, class_case(name), human, human.capitalize(), name.replace("_", "-"))
            yield name.upper()


class Renaming:
    """Replaces the names of a resource in texts, and leaves the HTTP method POST alone."""

    def __init__(self, old: Names, new: Names) -> None:
        self._forms = dict(zip(old.forms(), new.forms(), strict=True))
        human = old.singular.replace("_", " ")
        either = f"{human}|{human.capitalize()}"  # not that of a POST
        self._article = re.compile(rf"\b(?P<article>[Aa]n?) (?=({either})(?![a-z]))")
        self._a = with_article(new.singular.replace("_", " ")).partition(" ")[0]
        self._name = re.compile("|".join(map(_pattern, self._forms)))

    def __call__(self, text: str) -> str:
        def article(match: re.Match[str]) -> str:
            is_capital = match["article"][0].isupper()
            return f"{self._a.capitalize() if is_capital else self._a} "

        text = self._article.sub(article, text)
        return self._name.sub(lambda match: self._forms[match[0]], text)


def _pattern(form: str) -> str:
    """Return a regular expression of a name, also as a part of another one."""
    word = re.escape(form)
    if form == "POST":  # an identifier's part, not the method
        return r"(?<=_)POST(?![A-Z])|(?<![A-Z])POST(?=_)"
    if form == "post":  # neither `client.post(...)` nor `paths["/"]["post"]`
        return r"(?<![A-Za-z])(?!(?<=\.)post\()(?!(?<=\[\")post\"\])post(?![a-z])"
    before = "[A-Z]" if form[0].isupper() else "[A-Za-z]"  # as in PublicPost
    return rf"(?<!{before}){word}(?![a-z])"


def renaming_of(
    project: Project, old: str, new: str, plural: str | None
) -> tuple[Record, Changes, Renaming]:
    """Return the record of a resource, what renaming it changes, and the replacements.

    Raises `CommandError` if the new name cannot be one, is taken, others use the resource, or its lines in
    other files have changed.
    """
    record = read_record(project, old)
    names = Names(*new_names(project, new, plural))
    if "_" in names.singular + names.plural and "_" not in old:
        raise CommandError(
            f"{old} is one word and {names.singular} several: which of them is meant by {old} in a text "
            f"could only be guessed. Choose one word, or write {names.singular} by `app new`"
        )
    removal = removal_of(project, old)
    if removal.missing:
        raise CommandError(
            f"{old} is not all there:{_listed(removal.missing)}\n"
            f"Put that back, or take out the rest by `uv run app remove {old}`"
        )
    if removal.other_problems:
        raise CommandError(
            f"Lines of {old} have changed, so that `app rename` cannot find them:"
            f"{_listed(removal.other_problems)}\nUndo that, or rename by hand"
        )
    if removal.uses:
        raise CommandError(
            f"Others use {old}, and `app rename` does not change them:{_listed(removal.uses)}\n"
            "Rename a resource before others refer to it, or take these out first"
        )
    rename = Renaming(Names(old, record.tables[0]), names)
    _require_own_words(project, record, rename, old)
    return record, Changes(project.root, _files(project, record, old, rename)), rename


def _listed(problems: Iterable[str]) -> str:
    return "".join(f"\n  {problem}" for problem in problems)


def _require_own_words(project: Project, record: Record, rename: Renaming, old: str) -> None:
    """Raise `CommandError` if a name of the resource means something else in its files, too."""
    templates = [path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.rglob("*.mako"))]
    written = _EXPRESSION.sub("", "\n".join(templates))
    own = "\n".join(project.read(name) or "" for _, name in files_of(project, old, record))
    names = {
        model.class_name for model in project.models.values() if model.module not in record.models
    }
    meanings = [
        (name, f"the model {name}")
        for name in sorted(names)
        if rename(name) != name and re.search(rf"\b{name}\b", own)
    ]
    meanings += [
        (line, f"other code that `app new` writes: {line.strip()}")
        for line in written.splitlines()
        if rename(line) != line
    ]
    meanings += [
        (field, f"the values of {field}")
        for field in shlex.split(record.command)
        if (found := _VALUES.fullmatch(field)) and rename(found["values"]) != found["values"]
    ]
    if meanings:
        raise CommandError(
            f"{old} cannot be renamed, because the word is also in {meanings[0][1]}. Write the resource by "
            "its new name with `app new`, and remove this one"
        )


def _files(project: Project, record: Record, old: str, rename: Renaming) -> dict[str, str | None]:
    gone: dict[str, str | None] = {record_name(old): None}
    texts: dict[str, str] = {}
    for _, name in files_of(project, old, record):
        gone[name] = None
        texts[rename(name)] = rename(project.read(name) or "")
    if existing := [name for name in texts if name not in gone and project.has(name)]:
        raise CommandError(f"{existing[0]} is there already")
    for name, before, _ in record.edits:
        text = texts.get(name, project.read(name) or "")
        texts[name] = text.replace(before, rename(before))
    models, routes = project.read(wiring.MODELS) or "", project.read(wiring.ROUTES) or ""
    for module, class_name in record.models.items():
        models = wiring.without_model(models, module, class_name)
        models = wiring.with_model(models, rename(module), rename(class_name))
    for router in record.routers:
        if rename(router) != router:
            routes = wiring.with_router(wiring.without_router(routes, router), rename(router))
    texts |= {wiring.MODELS: models, wiring.ROUTES: routes}
    _refuse_long_names(project, {**gone, **texts})
    jobs = project.read(wiring.JOBS) or ""
    for module, kinds in record.kinds.items():
        jobs = wiring.without_kinds(jobs, module, kinds)
        texts[wiring.JOBS] = jobs = wiring.with_kinds(jobs, rename(module), kinds)
    modules = {name: text for name, text in texts.items() if name.endswith(".py")}
    # In code written by hand, lists stay on several lines where somebody put them there.
    texts |= formatted(project.root, modules, keep_commas=not any(record.files.values()))
    renamed = _renamed_record(project, record, rename, texts)
    return gone | texts | {record_name(rename(old)): renamed.text()}


def _refuse_long_names(project: Project, texts: dict[str, str | None]) -> None:
    """Raise `CommandError` if a new name in a migration would be too long for PostgreSQL."""
    names = [name for name in texts if name.startswith("alembic/")]
    before, after = _words(map(project.read, names)), _words(map(texts.get, names))
    longest = max(after - before, key=len, default="")
    if len(longest) > MAX_IDENTIFIER:
        raise CommandError(
            f"PostgreSQL allows {MAX_IDENTIFIER} characters for a name, and {longest} would have "
            f"{len(longest)}: choose a shorter one"
        )


def _words(texts: Iterable[str | None]) -> set[str]:
    return {*re.findall(r"\w+", "\n".join(filter(None, texts)))}


def _renamed_record(
    project: Project, record: Record, rename: Renaming, texts: dict[str, str]
) -> Record:
    """Return the record by the new name, in which files that somebody has edited stay edited."""
    values = json.loads(rename(json.dumps(asdict(record))))
    values["files"] = {
        rename(name): digest(texts[rename(name)])
        if expected and expected == digest(project.read(name) or "")
        else expected
        for name, expected in record.files.items()
    }
    return Record(**values)
