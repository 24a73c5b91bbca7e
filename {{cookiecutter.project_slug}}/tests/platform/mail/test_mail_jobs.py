"""Mails are sent by jobs: after the commit, until they are sent, and with no secret in the queue."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import Database
from app.core.http.edge import EdgeRoute
from app.core.jobs.kinds import FinalError, JobContext, JobKind
from app.core.jobs.payload import JobPayload
from app.core.jobs.queue import JobQueue
from app.core.jobs.worker import Worker, working
from app.core.mail.mailer import MailError, SmtpMailer
from app.core.mail.message import Mail
from app.dependencies.database import SessionDep
from app.exceptions import ConflictError
from app.jobs import make_kinds
from app.jobs.auth.mails import MailJobs
from app.models.auth.rate_limit import rate_limits
from app.schemas.auth.mail_jobs import SendInvitation, SendLink, SendNotice
from tests.auth.accounts import EMAIL, Mailbox, Opener, bearer, new_user
from tests.auth.smtp import SmtpServer, smtp_server
from tests.conftest import http_client
from tests.factories import Factory
from tests.inline_jobs import InlineJobs
from tests.platform.jobs.tasks import Task

RESET = SendLink(email=EMAIL, purpose="password_reset", limited=True)
NOTICE = SendNotice(template="password_changed", to=EMAIL)
QUEUED = text("SELECT concat_ws(' ', convert_from(payload, 'UTF8'), headers::text) FROM pgqueuer")

router = APIRouter(route_class=EdgeRoute)


@router.post("/good")
async def good(session: SessionDep) -> None:
    await JobQueue(session).enqueue(NOTICE)


@router.post("/refused")
async def refused(session: SessionDep) -> None:
    await JobQueue(session).enqueue(NOTICE)
    raise ConflictError("No")


@router.post("/uncommitted")
async def uncommitted(session: SessionDep) -> None:
    """Violate a constraint that PostgreSQL checks at the commit."""
    await session.execute(text("CREATE TEMPORARY TABLE once (n int UNIQUE DEFERRABLE)"))
    await session.execute(text("SET CONSTRAINTS ALL DEFERRED"))
    await session.execute(text("INSERT INTO once VALUES (1), (1)"))
    await JobQueue(session).enqueue(NOTICE)


@pytest.fixture
async def server() -> AsyncGenerator[SmtpServer]:
    async with smtp_server() as server:
        yield server


@pytest.fixture
def mail_jobs(settings: Settings, server: SmtpServer) -> MailJobs:
    chosen = {
        "mail_from": "service@example.com",
        "smtp_host": "localhost",
        "smtp_port": server.port,
        "smtp_security": "none",
    }
    return MailJobs(SmtpMailer(settings.model_copy(update=chosen)))


@pytest.mark.parametrize(
    ("path", "status", "sent"), [("/good", 200, 1), ("/refused", 409, 0), ("/uncommitted", 500, 0)]
)
async def test_mail_is_sent_if_and_only_if_the_transaction_commits(
    app_with_routers: Callable[..., FastAPI],
    live_database: Database,
    settings: Settings,
    server: SmtpServer,
    mail_jobs: MailJobs,
    path: str,
    status: int,
    sent: int,
) -> None:
    app = app_with_routers(router, database=live_database)
    async with http_client(app, raises=False) as client:
        response = await client.post(path)
    assert (response.status_code, server.tries) == (status, 0)

    assert await InlineJobs(live_database, settings, mail_jobs.kinds()).run_all() == sent

    assert [message["To"] for message in server.taken] == [EMAIL] * sent


@pytest.mark.parametrize(("reply", "error"), [("451 later", MailError), ("554 no", FinalError)])
async def test_refused_mail_is_tried_again_unless_it_is_refused_for_good(
    database: Database,
    settings: Settings,
    server: SmtpServer,
    mail_jobs: MailJobs,
    caplog: pytest.LogCaptureFixture,
    reply: str,
    error: type[Exception],
) -> None:
    async with database.transaction() as session:
        await JobQueue(session).enqueue(NOTICE)
    server.replies = [reply]

    with pytest.raises(error, match=reply[:3]):
        await InlineJobs(database, settings, mail_jobs.kinds()).run_all()

    assert server.tries == 1
    assert EMAIL not in caplog.text


async def test_attempts_have_the_same_message_id(
    database: Database, settings: Settings, server: SmtpServer, mail_jobs: MailJobs
) -> None:
    """So that receivers can tell that a mail was sent twice."""
    async with database.transaction() as session:
        await JobQueue(session).enqueue(NOTICE)
        await session.execute(text("CREATE TEMPORARY TABLE kept AS SELECT * FROM pgqueuer"))
    jobs = InlineJobs(database, settings, mail_jobs.kinds())
    await jobs.run_all()
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO pgqueuer SELECT * FROM kept"))
    await jobs.run_all()

    first, second = server.taken
    assert first["Message-ID"] == second["Message-ID"]


@pytest.mark.usefixtures("ann")
async def test_mails_with_different_links_have_different_message_ids(
    database: Database, settings: Settings, server: SmtpServer, mail_jobs: MailJobs
) -> None:
    """A mailbox may keep the first of two with the same, whose link is no longer valid."""
    await run_twice(database, settings, mail_jobs, RESET)

    first, second = server.taken
    assert first["Message-ID"] != second["Message-ID"]


@pytest.mark.usefixtures("ann")
async def test_link_is_counted_and_audited_once_however_often_it_is_sent(
    database: Database,
    settings: Settings,
    session: AsyncSession,
    mail_jobs: MailJobs,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The second run may be that of a worker that has taken the job over."""
    await run_twice(database, settings, mail_jobs, RESET)

    assert caplog.text.count("password_reset_requested") == 1
    # One of so many mails in an hour.
    share = timedelta(hours=1) / (settings.mails_per_account * 10)
    free_at = (await session.scalars(select(rate_limits.c.free_at))).one()
    assert free_at - datetime.now(UTC) <= share


async def run_twice(
    database: Database, settings: Settings, mail_jobs: MailJobs, payload: JobPayload
) -> None:
    async with database.transaction() as session:
        (job_id,) = await JobQueue(session).enqueue(payload)
    (kind,) = [kind for kind in mail_jobs.kinds() if kind.payload is type(payload)]
    for _ in range(2):
        await kind.run(payload, JobContext(database, settings, f"link/{job_id}", 1, job_id))


async def test_mail_server_that_hangs_leaves_room_for_other_jobs(
    settings: Settings, live_database: Database
) -> None:
    class Hanging:
        async def send(self, _mail: Mail) -> None:
            await asyncio.sleep(60)

    ran = asyncio.Event()

    async def run(_payload: Task, _context: JobContext) -> None:
        ran.set()

    async with live_database.transaction() as session:
        await JobQueue(session).enqueue(*[NOTICE] * 20, priority=1)
        await JobQueue(session).enqueue(*[SendInvitation(email=EMAIL)] * 20, priority=1)
        await JobQueue(session).enqueue(Task())
    kinds = [*MailJobs(Hanging(), 4).kinds(), JobKind(Task, run)]
    changes = {"worker_jobs": 4, "worker_stop_seconds": 0.1}
    worker = Worker(settings.model_copy(update=changes), live_database, kinds, [])
    async with working(worker):
        await asyncio.wait_for(ran.wait(), 10)


@pytest.mark.parametrize("places", [10, 50, 1000])
def test_mails_take_four_fifths_of_a_worker_at_most(places: int) -> None:
    kinds = MailJobs(Mailbox(), places).kinds()

    assert all(kind.at_once for kind in kinds)
    assert sum(kind.at_once for kind in kinds) <= places * 4 / 5


REQUESTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "reset": ("/auth/password-reset", {"email": EMAIL}),
    "registration": ("/users", new_user(email="new@example.com")),
    "registration of a known address": ("/users", new_user(email=EMAIL)),
}


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("name", REQUESTS)
async def test_queue_holds_no_secret(
    open_client: Opener,
    session: AsyncSession,
    database: Database,
    settings: Settings,
    name: str,
) -> None:
    path, body = REQUESTS[name]
    client = open_client(require_verified_email=True, mail_delivery="smtp")
    response = await client.post(path, json=body)
    assert response.status_code == 202
    queued = (await session.scalars(QUEUED)).one()

    mailbox = Mailbox()
    await InlineJobs(database, settings, MailJobs(mailbox).kinds()).run_all()

    assert len(mailbox.mails) == 1
    assert mailbox.token() not in queued
    assert body.get("password", "no password") not in queued


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    ("path", "email"),
    [
        ("/auth/password-reset", EMAIL),
        ("/auth/verify-email", EMAIL),
        ("/auth/invitations", "new@example.com"),
    ],
)
async def test_service_without_mail_accepts_requests_and_workers_drop_the_jobs_with_a_warning(
    open_client: Opener,
    make: Factory,
    database: Database,
    session: AsyncSession,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    path: str,
    email: str,
) -> None:
    headers = await bearer(make, await make.user(role="admin"), settings)
    client = open_client(mail_delivery="none")
    response = await client.post(path, json={"email": email}, headers=headers)
    assert response.status_code == 202

    assert await InlineJobs(database, settings, make_kinds(settings)).run_all() == 1

    (line,) = [line for line in caplog.record_tuples if line[2].startswith("mail ")]
    assert line[1] == logging.WARNING
    assert line[2].endswith(" was not sent: MAIL_DELIVERY is none")
    assert (await session.scalars(QUEUED)).all() == []


async def test_unknown_address_is_queued_as_a_known_one_is(
    open_client: Opener, session: AsyncSession
) -> None:
    """Otherwise the time of the response would tell them apart."""
    response: httpx.Response = await open_client().post(
        "/auth/password-reset", json={"email": "nobody@example.com"}
    )

    assert response.status_code == 202
    assert "nobody@example.com" in (await session.scalars(QUEUED)).one()
