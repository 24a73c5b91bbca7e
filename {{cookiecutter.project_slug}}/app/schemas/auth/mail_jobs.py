"""Payloads of the jobs that send mail.

They hold e-mail addresses, but no tokens: a job creates the token when it writes the mail.
"""

from typing import ClassVar, Literal

from pydantic import Field

from app.core.jobs.payload import JobPayload


class SendNotice(JobPayload):
    """Notify somebody of a change, by a mail without a link."""

    job: ClassVar = "send_notice"

    # One a line, so that recipes add theirs beside each other.
    template: Literal[
        "account_changed_by_admin",
        "email_change_requested",
        "email_changed",
        "password_changed",
    ]  # fmt: skip
    to: str
    values: dict[str, str] = Field(default_factory=dict)


class SendLink(JobPayload):
    """Send a link to the account with an e-mail address, if there is one that can use it.

    The mail is that of the purpose, unless `template` names another. If `limited`, it counts towards
    the limit of mails to an account, because anyone may request it. `address` is the IP address of
    the client, for the audit log.
    """

    job: ClassVar = "send_link"

    email: str
    purpose: Literal["password_reset", "verify_email"]
    template: Literal["already_registered"] | None = None
    limited: bool = False
    address: str | None = None


class SendChangeLink(JobPayload):
    """Send a confirmation link to the pending e-mail address of a user, if there still is one."""

    job: ClassVar = "send_change_link"

    user_id: int


class SendInvitation(JobPayload):
    """Invite somebody, by their e-mail address, to register."""

    job: ClassVar = "send_invitation"

    email: str
