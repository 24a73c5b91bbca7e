from collections.abc import Callable, Iterable

from app.core.mail.message import Mail, compose


def notify_admins(
    send_mail: Callable[[Mail], None],
    addresses: Iterable[str],
    *,
    change: str,
    user_id: int,
    actor_id: int,
) -> None:
    """Mail all administrators what one of them has done, such as `deleted`, to a user.

    The mail goes to the one who did it as well, because somebody else may have used the account.
    """
    ids = {"user_id": str(user_id), "actor_id": str(actor_id)}
    for address in addresses:
        send_mail(compose("account_changed_by_admin", address, change=change, **ids))
