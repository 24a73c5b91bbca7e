from decimal import Decimal
from typing import Annotated, Final

from pydantic import FiniteFloat
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.pagination import KeysetPage, decode_cursor, encode_cursor
from app.core.types import ExactDecimal, Int32, IsoDate, SafeInt, Text, UtcDatetime
from ${r.module} import ${r.class_name}
from app.repositories.${r.singular}_repo import ${r.class_name}Repository
from app.schemas.${r.singular} import ${r.class_name}Create, ${r.class_name}Patch, ${r.class_name}Query
from app.services.permissions import Caller, owner_of_new, require_owner_or_admin
from app.services.rows import require_found, require_version

<%
    unknown = [one.human for one in r.references] + [one.singular_human for one in r.links]
    raises = [f"`NotFoundError` for an unknown {r.either(unknown)}"] if unknown else []
    unique = [one.human for one in r.columns if one.is_unique]
    raises += [f"`ConflictError` for a {r.either(unique)} that is taken"] if unique else []
    created = f"Raises {', and '.join(raises)}." if raises else ""
    more = [one for one in r.references + r.links if one is not r.owner]
    errors = ["`NotFoundError`", "`VersionMismatchError`"] + (["`ConflictError`"] if unique else [])
    excluded = ", ".join(f'"{link.column}"' for link in r.links)
%>\
# The type of the sort value in cursors.
_SORT_TYPES: Final = {
    "created_at": UtcDatetime,
% for one in r.sorted_by:
    "${one.name}": ${one.code(one.kind.cursor)},
% endfor
}


class ${r.class_name}Service:
    """The business rules of ${r.humans}."""

    def __init__(self, session: AsyncSession, caller: Caller | None = None) -> None:
        self._caller = caller
        self._${r.plural} = ${r.class_name}Repository(session)

    async def create_${r.singular}(self, data: ${r.class_name}Create) -> ${r.class_name}:
${r.docstring(f"Create {r.a}.", created)}
% if r.owner:
        ${r.owner.column} = owner_of_new(self._caller, data.${r.owner.column})
% endif
<%
    dumped = f"data.model_dump({f'exclude={{{excluded}}}' if r.links else ''})"
    owned = f' | {{"{r.owner.column}": {r.owner.column}}}' if r.owner else ""
%>\
% if r.links:
        ${r.singular} = await self._${r.plural}.create(${dumped}${owned})
% for link in r.links:
        await self._${r.plural}.add_${link.name}(${r.singular}, data.${link.column})
% endfor
        return ${r.singular}
% else:
        return await self._${r.plural}.create(${dumped}${owned})
% endif

    async def list_${r.plural}(self, query: ${r.class_name}Query) -> KeysetPage[${r.class_name}]:
        """Return a page of ${r.humans}${", filtered by the query" if r.filters else ""}.

        Raises `ValidationError` for an invalid cursor, or for one of another sort order.
        """
        sort, column = query.sort, query.sort.removeprefix("-")
% if r.filters:
        filters = query.model_dump(exclude={"limit", "cursor", "sort"}, exclude_none=True)
% endif
        ${r.plural} = await self._${r.plural}.list_page(
            sort=sort,
            limit=query.limit + 1,
            after=decode_cursor(query.cursor, sort, _SORT_TYPES[column]) if query.cursor else None,
% if r.filters:
            **filters,
% endif
        )
        return KeysetPage.of(
            ${r.plural}, query.limit, lambda ${r.singular}: encode_cursor(sort, getattr(${r.singular}, column), ${r.singular}.id)
        )

    async def get_${r.singular}(self, ${r.singular}_id: int) -> ${r.class_name}:
        """Return ${r.a}. Raises `NotFoundError`."""
        return require_found(await self._${r.plural}.get_by_id(${r.singular}_id), f"${r.human.capitalize()} {${r.singular}_id}")

    async def update_${r.singular}(
        self, ${r.singular}_id: int, data: ${r.class_name}Patch, if_match: frozenset[int] | None
    ) -> ${r.class_name}:
        """Change ${r.a}. Raises ${" and ".join(errors) if len(errors) == 2 else f"{errors[0]}, {errors[1]} and {errors[2]}"}."""
        ${r.singular} = await self._lock(${r.singular}_id, if_match)
% if r.links:
        values = data.columns()
% for link in r.links:
        ${link.column} = values.pop("${link.column}", None)
% endfor
        await self._${r.plural}.update(${r.singular}, values)
% for link in r.links:
        if ${link.column} is not None:
            await self._${r.plural}.replace_${link.name}(${r.singular}, ${link.column})
% endfor
        return ${r.singular}
% else:
        return await self._${r.plural}.update(${r.singular}, data.columns())
% endif

    async def delete_${r.singular}(self, ${r.singular}_id: int, if_match: frozenset[int] | None) -> None:
        """Delete ${r.a}. Raises `NotFoundError` and `VersionMismatchError`."""
        await self._${r.plural}.delete(await self._lock(${r.singular}_id, if_match))

    async def _lock(self, ${r.singular}_id: int, if_match: frozenset[int] | None) -> ${r.class_name}:
        """Return ${r.a} that the caller may change, and lock it until the transaction ends."""
        ${r.singular} = require_found(await self._${r.plural}.get_for_update(${r.singular}_id), f"${r.human.capitalize()} {${r.singular}_id}")
% if r.owner:
        require_owner_or_admin(self._caller, ${r.singular}.${r.owner.column})
% endif
        require_version(${r.singular}, if_match${f", {r.singular}.etag" if r.unversioned else ""})
        return ${r.singular}
