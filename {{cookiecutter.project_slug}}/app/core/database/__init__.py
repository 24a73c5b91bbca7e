"""The database: engines, sessions, the pool, errors, constraints, migrations, drivers.

Knows nothing of HTTP; a contract of import-linter holds it to that.
"""

from app.core.database.sessions import Database as Database
from app.core.database.sessions import get_async_session as get_async_session
