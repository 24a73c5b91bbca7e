"""Checks of the database, each on a connection of its own."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.dev_server import without_secret
from app.cli.doctor.findings import Examined, Finding, error, ok, warning
from app.core.config import DatabaseSettings
from app.core.database.budget import Budget, budgeted
from app.core.database.counted_sessions import ReadSession
from app.core.database.drivers import driver_for
from app.core.database.engines import make_engine
from app.core.database.migrations import newest_revision
from app.core.database.readiness import ReadinessProbe, SchemaError
from app.exceptions import UnavailableError, explain
from app.services.job_service import JobService

_SERVER: Final = text("""
SELECT current_setting('server_version'), session_user::text, rolsuper, pg_is_in_recovery()
FROM pg_roles WHERE rolname = session_user
""")
_PROCESS: Final = text("SELECT pg_backend_pid(), current_setting('statement_timeout')")
_CLOCK: Final = text("SELECT clock_timestamp()")

_LONGEST_SKEW: Final = 1.0
_LONGEST_WAIT: Final = 300.0  # as the alert JobsWait has it


@asynccontextmanager
async def connected(
    examined: Examined, settings: DatabaseSettings, url: URL | None = None
) -> AsyncGenerator[AsyncSession]:
    """Open a read session with a budget: a server that hangs would outlast the cancelled check.

    `app.core.database.budget` says why.
    """
    engine = make_engine(url or settings.database_url, settings, read_only=True, pool_size=1)
    try:
        with budgeted(Budget(examined.budget)):
            async with ReadSession(engine) as session:
                yield session
    finally:
        await engine.dispose()


def _servers(examined: Examined) -> Iterator[tuple[str, URL, DatabaseSettings]]:
    """Yield each setting that names a server, with its value and the settings to connect by."""
    settings = examined.database
    yield "DATABASE_URL", settings.database_url, settings
    if url := settings.database_replica_url:
        yield "DATABASE_REPLICA_URL", url, settings
    direct = settings.model_copy(update={"database_pooler": False})
    if url := settings.database_direct_url:
        yield "DATABASE_DIRECT_URL", url, direct
    if examined.all_settings and (url := examined.all_settings.worker_database_url):
        yield "WORKER_DATABASE_URL", url, direct


async def check_database(examined: Examined) -> Sequence[Finding]:
    """Connect to every server that the settings name."""
    servers = _servers(examined)
    return await asyncio.gather(*(_check_server(examined, *server) for server in servers))


async def _check_server(
    examined: Examined, name: str, url: URL, settings: DatabaseSettings
) -> Finding:
    shown = f"{name}: {without_secret(url)}"
    try:
        async with connected(examined, settings, url) as session:
            version, user, is_superuser, is_standby = (await session.execute(_SERVER)).one()
    except Exception as failure:  # noqa: BLE001 (other servers are reported all the same)
        return error(f"{shown}: {explain(failure)}", "correct the setting, or the server")
    found = f"{shown}: PostgreSQL {version.split()[0]}, as {user}"
    if is_standby != (name == "DATABASE_REPLICA_URL"):
        if is_standby:
            return error(f"{found}, a replica", "name the primary")
        return warning(f"{found}, not a replica", "name a replica, or remove the setting")
    if is_superuser and name == "DATABASE_URL":
        return warning(
            f"{found}, a superuser", "use one that can only read and write rows: see `app grant`"
        )
    return ok(found)


async def check_schema(examined: Examined) -> Sequence[Finding]:
    """Compare the revision of the database with that of the code, as /health/ready does."""
    await asyncio.to_thread(newest_revision)
    settings = examined.database.model_copy(update={"readiness_timeout": examined.budget})
    probe = ReadinessProbe(settings)
    try:
        state = await probe.check()
    except UnavailableError as failure:
        if isinstance(failure.__cause__, SchemaError):
            return [error(f"not at head: {failure.__cause__}", failure.__cause__.remedy)]
        raise
    finally:
        await probe.dispose()
    if state == "ahead":
        return [warning("ahead of the code", "deploy the version that has migrated it")]
    return [ok("at head")]


async def look_for_pooler(examined: Examined) -> tuple[bool, str]:
    """Return whether a pooler responds, and the time limit of statements.

    The process id that a pooler sends differs from PostgreSQL's.
    """
    # A pooler refuses the parameters that PostgreSQL itself is given.
    settings = examined.database.model_copy(update={"database_pooler": True})
    async with connected(examined, settings) as session:
        raw = await (await session.connection()).get_raw_connection()
        sent = driver_for(settings.database_url).backend_pid(raw.driver_connection)
        process, statement_timeout = (await session.execute(_PROCESS)).one()
    return sent != process, statement_timeout


async def check_pooler(examined: Examined) -> Sequence[Finding]:
    """Compare DATABASE_POOLER with what responds."""
    said = examined.database.database_pooler
    is_there, statement_timeout = await look_for_pooler(examined)
    if not is_there:
        if said:
            return [
                warning("DATABASE_POOLER is on, but there is none", "set DATABASE_POOLER=false")
            ]
        return [ok("none, as DATABASE_POOLER says")]
    if not said:
        todo = "set DATABASE_POOLER=true, and run `app set-limits`"
        return [error("DATABASE_POOLER is off, but a pooler responds", todo)]
    if statement_timeout == "0":
        return [warning("statements have no time limit behind the pooler", "run `app set-limits`")]
    settings = examined.all_settings
    if settings and settings.worker_database_url is None and examined.workers:
        todo = "set it to PostgreSQL itself"
        return [error("WORKER_DATABASE_URL is not set: behind a pooler no worker runs", todo)]
    return [ok("a pooler, as DATABASE_POOLER says")]


async def check_clock(examined: Examined) -> Sequence[Finding]:
    """Compare the clocks: one sets the times of expiry, and the other checks them."""
    async with connected(examined, examined.database) as session:
        await session.connection()
        began = now()
        server: datetime = (await session.execute(_CLOCK)).scalar_one()
        ended = now()
    skew = abs((server - began - (ended - began) / 2).total_seconds())
    uncertain = (ended - began).total_seconds() / 2
    if skew - uncertain > _LONGEST_SKEW:
        return [warning(f"{skew:.1f} s from that of the database", "synchronize both by NTP")]
    return [ok(f"within {max(skew, uncertain):.3f} s of that of the database")]


def now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


async def check_jobs(examined: Examined) -> Sequence[Finding]:
    """Look for jobs that have failed for good, and for those that have waited for too long."""
    async with connected(examined, examined.database) as session:
        jobs = await JobService(session).count()
    found = [
        warning(
            f"{row.number} dead: {row.kind}, since {row.since:%Y-%m-%d %H:%M}",
            "see `app jobs list`",
        )
        for row in jobs
        if row.state == "dead"
    ]
    found += [
        warning(
            f"{row.number} waiting: {row.kind}, for {row.seconds / 60:.0f} min", "run `app worker`"
        )
        for row in jobs
        if row.state == "queued" and row.seconds > _LONGEST_WAIT
    ]
    return found or [ok(f"{sum(job.number for job in jobs)} jobs, none dead or late")]
