"""Time limits of the database role, for a database behind PgBouncer.

In transaction mode PgBouncer accepts no parameters on connect, and a SET would stay on the server
connection, which other clients use next. The role's defaults apply to every server connection,
without a statement per request.
"""

from collections.abc import Sequence

from sqlalchemy import text

from app.core.config import DatabaseSettings
from app.core.database.engines import make_engine, server_limits
from app.core.database.migrations import make_migration_engine
from app.core.database.statements import verbatim

_ALTER_ROLE = text(
    "SELECT format('ALTER ROLE %I IN DATABASE %I SET %I = %L',"
    " coalesce(CAST(:role AS text), current_user), current_database(),"
    " CAST(:name AS text), CAST(:value AS text))"
)


async def set_role_limits(settings: DatabaseSettings) -> Sequence[str]:
    """Set the limits for the role of `DATABASE_URL`, and return the statements run.

    They apply to new server connections. Any role may alter itself.
    """
    role = settings.database_url.username
    if settings.database_direct_url:
        engine = make_migration_engine(settings)
    else:
        engine = make_engine(settings.database_url, settings)
    try:
        async with engine.begin() as connection:
            statements = [
                str(
                    await connection.scalar(
                        _ALTER_ROLE, {"role": role, "name": name, "value": value}
                    )
                )
                for name, value in server_limits(settings).items()
            ]
            for statement in statements:
                await connection.execute(verbatim(statement))
    finally:
        await engine.dispose()
    return statements
