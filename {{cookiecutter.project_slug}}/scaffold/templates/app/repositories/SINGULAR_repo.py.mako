from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, delete, func, insert, select
from sqlalchemy.orm import QueryableAttribute, raiseload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

% if r.links:
from ${r.module} import ${r.class_name}, ${", ".join(r.link_table(link) for link in r.links)}
% else:
from ${r.module} import ${r.class_name}
% endif
% for target in r.linked_models:
from ${target.module} import ${target.class_name}
% endfor
from app.repositories.base import Repository, for_update, keyset

# raiseload: accessing what a statement has not loaded raises an error instead of querying.
_${r.plural.upper()}: Final = select(${r.class_name}).options(${"".join(f'selectinload({r.class_name}.{link.name}).raiseload("*"), ' for link in r.links)}raiseload("*"))
# Statements are built once, because building them is slow (see docs/decisions/0006).
_BY_ID: Final = _${r.plural.upper()}.where(${r.class_name}.id == bindparam("${r.singular}_id"))
% if r.links:
# Without links: `populate_existing` applies to linked rows, too, and would unload a row that links to itself.
_FOR_UPDATE: Final = for_update(
    select(${r.class_name}).options(raiseload("*")).where(${r.class_name}.id == bindparam("${r.singular}_id"))
)
% else:
_FOR_UPDATE: Final = for_update(_BY_ID)
% endif
% for link in r.links:
_${link.name.upper()}_OF: Final = (
    select(${link.target.class_name})
    .options(raiseload("*"))
    .join(${r.link_table(link)}, ${r.link_table(link)}.c.${link.singular}_id == ${link.target.class_name}.id)
    .where(${r.link_table(link)}.c.${r.singular}_id == bindparam("${r.singular}_id"))
    .order_by(${link.target.class_name}.id)
)
% endfor
_SORT_COLUMNS: Final[dict[str, QueryableAttribute[Any]]] = {
    "created_at": ${r.class_name}.created_at,
% for one in r.sorted_by:
    "${one.name}": ${r.class_name}.${one.name},
% endfor
}
% if r.filters:
_FILTERS: Final[dict[str, ColumnElement[bool]]] = {
% for one in r.filters:
% if one.is_many:
    "${one.singular}_id": ${r.class_name}.id.in_(
        select(${r.link_table(one)}.c.${r.singular}_id).where(${r.link_table(one)}.c.${one.singular}_id == bindparam("${one.singular}_id"))
    ),
% elif one.is_range:
    "${one.name}_from": ${r.class_name}.${one.name} >= bindparam("${one.name}_from"),
    "${one.name}_before": ${r.class_name}.${one.name} < bindparam("${one.name}_before"),
% else:
    "${one.column}": ${r.class_name}.${one.column} == bindparam("${one.column}"),
% endif
% endfor
}
% endif


@cache
def _page(sort: str, ${"filters: frozenset[str], " if r.filters else ""}*, after: bool) -> Select[${r.class_name}]:
    """Build the statement of a list on first use."""
% if r.filters:
    statement = _${r.plural.upper()}.where(*(_FILTERS[name] for name in sorted(filters)))
% else:
    statement = _${r.plural.upper()}
% endif
    column = _SORT_COLUMNS[sort.removeprefix("-")].expression
    return keyset(
        statement, column, ${r.class_name}.id.expression, descending=sort.startswith("-"), after=after
    )


class ${r.class_name}Repository(Repository[${r.class_name}]):
% if r.links:
    """SQL for ${r.humans}. Every method runs one statement, unless it says otherwise.

    One that reads ${r.humans} runs ${"another" if len(r.links) == 1 else f"{len(r.links)} more"}, for the rows that they link to.
    """
% else:
    """SQL for ${r.humans}. Every method runs one statement."""
% endif

    model = ${r.class_name}

    async def get_by_id(self, ${r.singular}_id: int) -> ${r.class_name} | None:
% if r.links:
        """Return ${r.a} with the rows that it links to."""
% endif
        return await self.one(_BY_ID, {"${r.singular}_id": ${r.singular}_id})

    async def get_for_update(self, ${r.singular}_id: int) -> ${r.class_name} | None:
        """Return ${r.a} in its current state, and lock it until the transaction ends."""
% if r.links:
        ${r.singular} = await self.one(_FOR_UPDATE, {"${r.singular}_id": ${r.singular}_id})
        if ${r.singular}:
% for link in r.links:
            await self._load_${link.name}(${r.singular})
% endfor
        return ${r.singular}
% else:
        return await self.one(_FOR_UPDATE, {"${r.singular}_id": ${r.singular}_id})
% endif

    async def list_page(
        self,
        *,
        sort: str,
        limit: int,
        after: tuple[Any, int] | None = None,
% if r.filters:
        **filters: object,
% endif
    ) -> Sequence[${r.class_name}]:
        """Return up to `limit` ${r.humans} in the order `sort`: a column, descending if prefixed by `-`.

        ${r.humans.capitalize()} with equal sort values are ordered by id. `after` holds the sort value and the id of
        the last row of the previous page.
        """
% if r.filters:
        statement = _page(sort, frozenset(filters), after=after is not None)
        return await self.page(statement, limit=limit, after=after or (), **filters)
% else:
        statement = _page(sort, after=after is not None)
        return await self.page(statement, limit=limit, after=after or ())
% endif
% for link in r.links:

    async def add_${link.name}(self, ${r.singular}: ${r.class_name}, ${link.column}: Iterable[int]) -> None:
        """Link a new ${r.human} to ${link.human}, in two statements. Raises `NotFoundError`."""
        set_committed_value(${r.singular}, "${link.name}", [])
        if ids := sorted(set(${link.column})):
            rows = [{"${r.singular}_id": ${r.singular}.id, "${link.singular}_id": ${link.singular}_id} for ${link.singular}_id in ids]
            await self._session.execute(insert(${r.link_table(link)}), rows)
            await self._load_${link.name}(${r.singular})

    async def replace_${link.name}(self, ${r.singular}: ${r.class_name}, ${link.column}: Iterable[int]) -> None:
        """Link ${r.a} to these ${link.human} and no others, in four statements. Raises `NotFoundError`."""
        ${r.singular}.updated_at = func.now()  # a new version, as after any change
        await self._session.flush()
        links = delete(${r.link_table(link)}).where(${r.link_table(link)}.c.${r.singular}_id == ${r.singular}.id)
        await self._session.execute(links)
        await self.add_${link.name}(${r.singular}, ${link.column})

    async def _load_${link.name}(self, ${r.singular}: ${r.class_name}) -> None:
        linked = await self._session.scalars(_${link.name.upper()}_OF, {"${r.singular}_id": ${r.singular}.id})
        set_committed_value(${r.singular}, "${link.name}", linked.all())
% endfor
