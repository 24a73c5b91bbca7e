"""What belongs to registration, which tests/test_features.py takes out of a project."""

from typing import Final

from taking_out import Feature

REGISTERS: Final = (
    r'post\(\s*"/users"|"POST", "/users"|/auth/invitations|invitation=|registration_by_mail|'
    'create_if_absent|SendInvitation|purpose="invitation"|_and_invitations_'
)

REGISTRATION: Final = Feature(
    heading="Take out registration",
    files=(
        "app/services/auth/registration_service.py",
        "app/core/mail/templates/already_registered.txt",
        "app/core/mail/templates/invitation.txt",
        "tests/services/auth/test_registration_service.py",
        "tests/services/auth/test_account_services.py",
    ),
    definitions={
        "app/routes/accounts.py": ("create_user",),
        "app/routes/auth/access.py": ("create_invitation",),
        "app/services/auth/access_service.py": ("AccessService.invite",),
        "app/services/auth/one_time_token_service.py": (
            "OneTimeTokenService.create_invitation",
            "OneTimeTokenService.redeem_invitation",
        ),
        "app/repositories/auth/account_repo.py": ("AccountRepository.create_if_absent",),
        "app/repositories/auth/one_time_token_repo.py": ("OneTimeTokenRepository.delete_by_email",),
        "app/jobs/auth/mails.py": ("MailJobs._send_invitation",),
        "app/schemas/auth/account.py": ("InvitationRequest",),
        "app/schemas/auth/mail_jobs.py": ("SendInvitation",),
        "app/dependencies/auth/services.py": ("get_registration_service",),
        "tests/routes/auth/test_registration.py": ("count_users", "invite"),
        "tests/repositories/auth/test_account_repo.py": ("account", "names_are_unique"),
        "app/core/security/settings.py": ("AuthSettings.refuse_invitations_without_mail",),
    },
    tests=(
        ("tests/routes/auth/test_registration.py", ""),
        ("tests/**/test_*.py", REGISTERS),
    ),
    edits={
        "docs/howto/features.md": (
            ("| registration | `REGISTRATION=closed`, or `invitation` |\n", ""),
            (
                "reads one, `tests/services/auth/test_account_services.py` passes `if_match`, and",
                "reads one, and",
            ),
        ),
        "tests/test_main.py": (('    assert "409" in paths["/users"]["post"]["responses"]\n', ""),),
    },
    patch="registration.patch",
)
