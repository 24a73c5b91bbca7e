"""The database: engines, drivers, pool, sessions, budgets, errors, constraints, migrations.

Must not import anything of HTTP; import-linter enforces it.
"""

from app.core.database.sessions import Database as Database
from app.core.database.unit_of_work import get_async_session as get_async_session
