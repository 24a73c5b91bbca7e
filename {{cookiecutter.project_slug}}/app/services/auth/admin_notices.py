from collections.abc import Iterable

from app.core.jobs.queue import JobQueue
from app.schemas.auth.mail_jobs import SendNotice


async def notify_admins(
    jobs: JobQueue, emails: Iterable[str], *, change: str, user_id: int, actor_id: int
) -> None:
    """Mail all administrators what one of them has done, such as `deleted`, to a user.

    The administrator who did it gets the mail too: somebody else may have used the account.
    """
    values = {"change": change, "user_id": str(user_id), "actor_id": str(actor_id)}
    await jobs.enqueue(
        *(
            SendNotice(template="account_changed_by_admin", to=email, values=values)
            for email in emails
        )
    )
