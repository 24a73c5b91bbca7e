"""Commands for background jobs."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from app.cli.commands import CommandError, commands, with_database
from app.cli.dev_server import database_url, require_free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from app.core.database import Database
    from app.services.job_service import JobService

ResultT = TypeVar("ResultT")

_logger: Final = logging.getLogger(__name__)

_TIME: Final = "%Y-%m-%d %H:%M:%S %Z"

jobs = typer.Typer(no_args_is_help=True, help="List, retry and discard background jobs.")
commands.add_typer(jobs, name="jobs")


@commands.command("worker")
def worker_command(
    host: Annotated[
        str, typer.Option(help="Address of its health checks and metrics.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port of its health checks and metrics.", min=1, max=65535)
    ] = 8001,
) -> None:
    """Run background jobs. SIGTERM ends it when the running jobs are done."""
    import uvicorn

    from app.core.database.drivers import run
    from app.worker import create_worker

    # uvicorn would find out after the first jobs have begun.
    require_free_port(host, port)
    found: list[str] = []
    with database_url(found.append) as url:
        os.environ["DATABASE_URL"] = url.render_as_string(hide_password=False)
        worker = create_worker()  # with wrong settings, the command ends here
        for line in found:  # as lines of the log, which programs read
            _logger.info("%s", line)
        run(url, worker.state.worker.check())
        # uvicorn stops, and then repeats the signal, which would end the process with an error.
        signal.signal(signal.SIGTERM, lambda *_: None)
        # By default the number of processes is WEB_CONCURRENCY, which is that of the service.
        uvicorn.run(worker, host=host, port=port, workers=1, log_config=None, proxy_headers=False)


@jobs.command("list")
def list_command(
    limit: Annotated[int, typer.Option(help="Number of dead jobs to show.", min=1)] = 20,
) -> None:
    """Show how many jobs there are, and the dead ones with their last error."""
    from app.core.observability.line_formats import escape

    async def read(service: JobService) -> None:
        for row in await service.count():
            typer.echo(f"{row.number:8} {row.state:8} {row.kind}, since {row.since:{_TIME}}")
        for job in await service.list_dead(limit):
            # Payloads and errors may hold what clients have sent, such as sequences for terminals.
            typer.echo(
                f"\n{job.id}  {job.kind} {escape(job.payload)}\n"
                f"    dead since {job.failed_at:{_TIME}}, attempts: {job.attempts}\n"
                f"    {job.error_type}: {escape(job.error or '')}"
            )

    _run(read, writes=False)


@jobs.command("retry")
def retry_command(
    ids: Annotated[
        list[int] | None, typer.Argument(help="Ids of dead jobs; all if none is given.")
    ] = None,
) -> None:
    """Queue dead jobs again."""
    _report("Queued again", ids or [], _run(lambda service: service.retry(ids)))


@jobs.command("discard")
def discard_command(
    ids: Annotated[list[int], typer.Argument(help="Ids of dead jobs, from `app jobs list`.")],
) -> None:
    """Delete dead jobs. Their work will not be done."""
    _report("Deleted", ids, _run(lambda service: service.discard(ids)))


def _run(work: Callable[[JobService], Awaitable[ResultT]], *, writes: bool = True) -> ResultT:
    from app.services.job_service import JobService

    async def run(database: Database) -> ResultT:
        opened = database.transaction() if writes else database.read(newest=True)
        async with opened as session:
            return await work(JobService(session))

    with database_url() as url:
        return with_database(url, run)


def _report(what: str, wanted: Sequence[int], done: Sequence[int]) -> None:
    ids = sorted(done)
    typer.echo(f"{what}: {', '.join(map(str, ids)) or 'none'}")
    if missing := sorted(set(wanted) - set(ids)):
        raise CommandError(f"No dead job has the id {', '.join(map(str, missing))}")
