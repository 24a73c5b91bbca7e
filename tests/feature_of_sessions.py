"""What belongs to login sessions, which tests/test_features.py takes out of a project."""

from typing import Final

from taking_out import Feature

USES_SESSIONS: Final = (
    r"/auth/(sessions|refresh|logout)|\brefresh\(|[rR]efresh_?[tT]oken|LoginSession|login_session|"
    r"user_sessions|session_(idle_)?days|sessions_per_user|SESSION_(IDLE_)?DAYS|"
    r"session_of_another|address with a session|held_shut_by_guesses_from_elsewhere"
)

SESSIONS: Final = Feature(
    heading="Take out sessions",
    files=(
        "app/models/auth/login_session.py",
        "app/repositories/auth/login_session_repo.py",
        "app/services/auth/login_session_service.py",
        "app/services/auth/refresh_service.py",
    ),
    definitions={
        "app/core/security/settings.py": ("SessionSettings",),
        "app/core/security/tokens.py": ("RefreshToken",),
        "app/dependencies/auth/services.py": (
            "get_refresh_service",
            "get_sign_out_service",
            "get_login_session_service",
        ),
        "app/jobs/auth/maintenance.py": ("_prune_sessions",),
        "app/repositories/auth/account_repo.py": ("AccountRepository.get_signed_in",),
        "app/routes/auth/sign_in.py": (
            "refresh_token",
            "log_out",
            "list_sessions",
            "delete_sessions",
            "delete_session",
        ),
        "app/schemas/auth/token.py": ("RefreshRequest", "LogoutRequest", "SessionResponse"),
        "tests/auth/accounts.py": ("make_login_session", "refresh"),
        "tests/platform/auth/test_red_team.py": ("pass_time",),
        "tests/routes/auth/test_sign_in.py": ("pass_time",),
    },
    tests=(("tests/**/test_*.py", USES_SESSIONS),),
    edits={
        "docs/howto/features.md": (
            (
                "| sessions | none: every sign-in starts one. `SESSION_DAYS` and `SESSION_IDLE_DAYS` limit them |\n",
                "",
            ),
        ),
        # No statement deletes sessions or writes one.
        "tests/routes/auth/test_access.py": (
            ("ADMIN, statements=6, json", "ADMIN, statements=5, json"),
            ('/sessions", ADMIN, statements=4,', '/sessions", ADMIN, statements=3,'),
        ),
        "tests/routes/auth/test_recovery.py": (("statements=11,", "statements=8,"),),
    },
    patch="sessions.patch",
)
