"""Time limits of the role, for a database behind PgBouncer.

In transaction mode PgBouncer takes no parameters with a connection, and a SET would hold for
whoever gets the server connection next. What is set for the role holds on each of them, and costs
no request anything.
"""

from collections.abc import Sequence

from sqlalchemy import text

from app.core.config import DatabaseSettings
from app.core.database.engines import server_limits
from app.core.database.migrations import make_migration_engine

_ALTER_ROLE = text(
    "SELECT format('ALTER ROLE %I IN DATABASE %I SET %I = %L',"
    " coalesce(CAST(:role AS text), current_user), current_database(), CAST(:name AS text), CAST(:value AS text))"
)


async def set_role_limits(settings: DatabaseSettings) -> Sequence[str]:
    """Set the limits for the role of `DATABASE_URL`; return the statements.

    They hold for connections that PostgreSQL accepts from then on. A role may set its own.
    """
    role = settings.database_url.username
    engine = make_migration_engine(settings)
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
                await connection.exec_driver_sql(statement)
    finally:
        await engine.dispose()
    return statements
