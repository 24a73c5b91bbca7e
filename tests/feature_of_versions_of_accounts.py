"""What auth adds to feature_of_versions.py."""

from typing import Final

from taking_out import Feature

WITH_AUTH: Final = Feature(
    heading="",
    files=(),
    definitions={
        "tests/routes/auth/test_access.py": ("test_change_of_access_needs_the_matching_version",),
        "tests/routes/auth/test_recovery.py": ("version_of",),
    },
    edits={
        "tests/routes/auth/test_access.py": (
            (
                (
                    '    failed = await client.request(method, url, json=body, headers={"If-Match": \'"99"\'})\n'
                    "    assert (failed.status_code, mailbox.mails) == (412, [])\n\n"
                ),
                "",
            ),
        ),
        "tests/routes/auth/test_recovery.py": (
            ('    assert right.headers["etag"] == f\'"{await version_of(client, headers)}"\'\n', ""),
            ('    assert changed.headers["etag"] == f\'"{await version_of(client, headers)}"\'\n', ""),
            ("User.pending_email, User.version))", "User.pending_email))"),
            (
                "{user_id: (email, version) for user_id, email, version in rows}",
                "{row.id: row.pending_email for row in rows}",
            ),
            ("== (None, 2)\n", "is None\n"),
            ('== ("new@example.com", 1)\n', '== "new@example.com"\n'),
            ('== ("sent@example.com", 1)\n', '== "sent@example.com"\n'),
        ),
        "tests/platform/auth/test_red_team.py": (('patched.headers["etag"], ', ""),),
        "tests/services/auth/test_account_services.py": (("change.values, None)", "change.values)"),),
        "app/repositories/auth/account_repo.py": (
            (".values(pending_email=None, version=User.version + 1)", ".values(pending_email=None)"),
        ),
    },
)  # fmt: skip
