"""A resource, in the words of the templates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from textwrap import wrap
from typing import Final

from scaffold.fields import Field
from scaffold.project import Model
from scaffold.words import class_case, path_of, with_article

USER: Final = "user"
LINE_LENGTH: Final = 100  # as in pyproject.toml
# The default of MAX_BODY_BYTES.
DEFAULT_BODY_BYTES: Final = 64 * 2**10


@dataclass(frozen=True)
class Resource:
    """A resource to write."""

    singular: str
    plural: str
    fields: tuple[Field, ...]
    factories: tuple[tuple[str, str], ...]  # modules in tests, with the names of what they make
    command: str  # as it was typed

    @property
    def class_name(self) -> str:
        return class_case(self.singular)

    @property
    def human(self) -> str:
        return self.singular.replace("_", " ")

    @property
    def humans(self) -> str:
        return self.plural.replace("_", " ")

    @cached_property
    def a(self) -> str:
        return with_article(self.human)

    @staticmethod
    def either(names: Sequence[str]) -> str:
        """Return `author, editor or tag`."""
        *others, last = names
        return f"{', '.join(others)} or {last}" if others else last

    @staticmethod
    def docstring(first: str, more: str) -> str:
        """Return the docstring of a method: in one line if that is short enough."""
        indent = " " * 8
        if len(line := f'{indent}"""{first} {more}'.rstrip() + '"""') <= LINE_LENGTH:
            return line
        wrapped = wrap(more, LINE_LENGTH - 2, initial_indent=indent, subsequent_indent=indent)
        return "\n".join([f'{indent}"""{first}', "", *wrapped, f'{indent}"""'])

    @property
    def path(self) -> str:
        return path_of(self.plural)

    @property
    def references(self) -> tuple[Field, ...]:
        return tuple(one for one in self.fields if one.target and not one.is_many)

    @property
    def links(self) -> tuple[Field, ...]:
        return tuple(one for one in self.fields if one.is_many)

    @property
    def values(self) -> tuple[Field, ...]:
        return tuple(one for one in self.fields if not one.target)

    @property
    def unversioned(self) -> tuple[Field, ...]:
        """The fields that a row loses without a new version, when what they refer to is deleted."""
        return tuple(one for one in self.references if one.ondelete == "SET NULL") + self.links

    @property
    def columns(self) -> tuple[Field, ...]:
        """References and values, in the order of the table."""
        return self.references + self.values

    @property
    def owner(self) -> Field | None:
        """The first reference to a user that every row has."""
        wanted = (one for one in self.references if self.is_to_user(one) and not one.is_optional)
        return next(wanted, None)

    def is_personal(self, reference: Field) -> bool:
        """Return whether a row is data of whom a reference leads to: its owner, or else users that it names."""
        if self.owner:
            return reference is self.owner
        names_users = any(map(self.is_to_user, self.references))
        return self.is_to_user(reference) or not names_users

    def is_to_user(self, field: Field) -> bool:
        """Return whether a reference or a link leads to users."""
        return field.target_name == USER

    @property
    def changeable(self) -> tuple[Field, ...]:
        """The fields of a PATCH."""
        return tuple(one for one in self.values + self.references if one is not self.owner)

    @property
    def targets(self) -> tuple[Model, ...]:
        """The other models that it refers to, each once."""
        found = {one.target: one for one in self.fields if one.target and not one.is_self}
        return tuple(sorted(found, key=lambda model: model.module))

    def is_ambiguous(self, reference: Field) -> bool:
        """Return whether another reference leads to the same table."""
        return [one.target for one in self.references].count(reference.target) > 1

    @property
    def filters(self) -> tuple[Field, ...]:
        return tuple(one for one in self.columns + self.links if one.is_filter)

    @property
    def sorted_by(self) -> tuple[Field, ...]:
        return tuple(one for one in self.values if one.sorts)

    @property
    def filtered_in_order(self) -> tuple[Field, ...]:
        """The columns with an index for lists that are filtered by them, newest first.

        Columns by which lists are sorted, and unique ones, have other indexes.
        """
        wanted = (one for one in self.columns if one.is_filter and not one.sorts)
        return tuple(one for one in wanted if not one.is_unique)

    @property
    def body_lengths(self) -> str:
        """The lengths of all texts as a sum, if a body with them exceeds the default limit."""
        texts = [one for one in self.values if one.kind_name in {"str", "text"}]
        lengths = [one.arguments["length"] for one in texts]
        if 4 * sum(int(length.replace("_", "")) for length in lengths) + 1000 <= DEFAULT_BODY_BYTES:
            return ""
        return lengths[0] if len(lengths) == 1 else f"({' + '.join(lengths)})"

    @property
    def module(self) -> str:
        return f"app.models.{self.singular}"

    @property
    def required(self) -> tuple[Field, ...]:
        """The references that every row has, the owner first."""
        needed = [one for one in self.references if not one.is_optional]
        return tuple(sorted(needed, key=lambda one: one is not self.owner))

    @property
    def linked_models(self) -> tuple[Model, ...]:
        """The other models that it links to."""
        wanted = {one.target: one for one in self.links if one.target and not one.is_self}
        return tuple(wanted)

    @property
    def made_models(self) -> tuple[Model, ...]:
        """The models that its factory takes."""
        wanted = {one.target: one for one in self.required if one.target}
        return tuple(wanted)

    @property
    def patch(self) -> tuple[str, int]:
        """The body of a PATCH as source code, and how many statements run for it."""
        read = 1 + len(self.links)
        if self.values:
            one = self.values[0]
            return f'{{"{one.column}": {one.other}}}', read + 1
        if others := [one for one in self.changeable if not one.is_self]:
            return f'{{"{others[0].column}": "{{{others[0].target_name}_id}}"}}', read + 1
        if self.links:
            one = self.links[0]
            return f'{{"{one.column}": ["{{{one.target_name}_id}}"]}}', read + 4
        return f'{{"{self.changeable[0].column}": None}}', read

    @property
    def identifiers(self) -> Iterator[str]:
        """The names of tables, indexes and constraints."""
        yield self.plural
        for one in self.columns:
            yield f"ix_{self.plural}_{one.column}_created_at_id"
            if one.target:
                yield f"fk_{self.plural}_{one.column}_{one.table}"
        for link in self.links:
            table = self.link_table(link)
            yield f"fk_{table}_{self.singular}_id_{self.plural}"
            yield f"fk_{table}_{link.singular}_id_{link.table}"

    def link_table(self, link: Field) -> str:
        return f"{self.singular}_{link.name}"
