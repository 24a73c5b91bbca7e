"""`app doctor`."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.commands import commands, error_sentence

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from app.cli.doctor.findings import Check, Examined, Finding

_COLOURS = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "error": typer.colors.RED}


@commands.command("doctor")
def doctor_command(
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Fail for warnings, too.")] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes of the service on all machines; by default WEB_CONCURRENCY."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes of `app worker`.")] = 1,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each check.")] = 5,
) -> None:
    """Check the settings and what they name: database, queue and so on. Changes nothing."""
    from sqlalchemy import URL

    from app.cli.doctor.findings import Examined
    from app.core.config import DRIVERS
    from app.core.database.drivers import run

    examined = Examined.load(processes=processes, workers=workers, seconds=timeout)
    database = examined.database_settings
    url = database.database_url if database else URL.create(f"postgresql+{DRIVERS[0]}")
    with _unlogged():
        findings = run(url, examine(examined))
    for name, finding in findings:
        level = typer.style(f"{finding.level:8}", fg=_COLOURS[finding.level])
        todo = f". To do: {finding.todo}" if finding.todo else ""
        typer.echo(f"{level} {name:12} {finding.found.removesuffix('.')}{todo}")
    bad = {"warning", "error"} if strict else {"error"}
    if any(finding.level in bad for _, finding in findings):
        raise typer.Exit(1)


@contextmanager
def _unlogged() -> Generator[None]:
    """Leave the terminal to the findings: some of what is examined is logged as well."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


async def examine(examined: Examined) -> list[tuple[str, Finding]]:
    """Run all checks at the same time, and return what they find, each with the check's name."""
    from app.cli.doctor import accounts, connections, database, settings

    checks: dict[str, Check] = {
        "settings": settings.check_settings,
        "database": database.check_database,
        "schema": database.check_schema,
        "connections": connections.check_connections,
        "replica": connections.check_replica,
        "pooler": database.check_pooler,
        "clock": database.check_clock,
        "jobs": database.check_jobs,
        **accounts.CHECKS,
        "weak": settings.check_weak_settings,
    }
    results = await asyncio.gather(*(_run(check, examined) for check in checks.values()))
    return [
        (name, finding) for name, found in zip(checks, results, strict=True) for finding in found
    ]


async def _run(check: Check, examined: Examined) -> Sequence[Finding]:
    """Run a check. Whatever goes wrong with it is a finding, so that the others go on."""
    from app.cli.doctor.findings import NotCheckedError, error, warning
    from app.core.database.migrations import RevisionsError
    from app.exceptions import UnavailableError, explain

    try:
        async with asyncio.timeout(examined.seconds):
            return await check(examined)
    except NotCheckedError as reason:
        return [warning(f"not checked: {reason}", reason.todo)]
    except RevisionsError as failure:
        return [error(failure.problem, failure.remedy)]
    except TimeoutError:
        return [error(f"no result after {examined.seconds:g} s", "try again with --timeout 30")]
    except Exception as failure:  # noqa: BLE001 (each is a finding)
        if isinstance(failure, UnavailableError) and failure.kind == "unreachable":
            # The check of the database says more, unless it took the last free connection.
            todo = "correct what `database` says, or let the server accept more connections"
            return [warning(f"not checked: {explain(failure)}", todo)]
        found = error_sentence(failure).partition(" [SQL: ")[0]
        return [error(found, _remedy(failure))]


def _remedy(failure: Exception) -> str:
    """Return what to do about an error that no check expects."""
    from sqlalchemy.exc import DBAPIError, ProgrammingError

    from app.exceptions import UnavailableError

    match failure:
        case ProgrammingError():  # a table is missing, or the right to read it
            return "run `app migrate`, then `app grant`"
        case DBAPIError() | UnavailableError() | OSError(filename=None):
            return "look into the log of the database, and try again"
        case _:
            return "correct the code of the check, or what it calls"
