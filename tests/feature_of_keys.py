"""What belongs to idempotency keys, which tests/test_features.py takes out of a project."""

from typing import Final

from taking_out import Feature

IDEMPOTENCY: Final = Feature(
    heading="Take out idempotency keys",
    files=(
        "app/dependencies/idempotency.py", "app/models/idempotency_key.py",
        "app/repositories/idempotency_key_repo.py", "app/services/idempotency_service.py",
        "tests/platform/http/test_idempotency.py",
    ),
    definitions={
        "app/exceptions.py": ("KeyInUseError", "AlreadyProcessedError", "KeyReusedError"),
        "app/jobs/maintenance.py": ("_prune_idempotency_keys",),
        "app/core/caller_settings.py": (
            "CallerSettings.digest_keys",
            "CallerSettings.stores_responses_to_anyone",
        ),
        "tests/cli/test_jobs.py": ("test_worker_reports_its_health_and_ends_well",),
        "tests/jobs/test_maintenance.py": (
            "test_job_prunes_and_says_how_much",
            "test_keys_are_deleted_in_batches",
            "test_keys_that_expire_meanwhile_are_left_for_the_next_time",
        ),
        "tests/platform/http/test_caller.py": (
            "test_stored_responses_to_a_user_are_erased_with_them",
        ),
        "tests/platform/http/test_openapi.py": ("test_key_is_declared_where_it_is_used",),
        "tests/platform/observability/test_request_log.py": (
            "test_line_says_that_a_response_was_replayed",
        ),
        "tests/routes/test_users.py": (
            "test_stored_response_that_created_a_user_goes_with_the_user",
        ),
    },
    edits={
        "app/main.py": (("    install_idempotency(app)\n", ""),),
        "app/models/__init__.py": (
            ("from app.models.idempotency_key import IdempotencyKey as IdempotencyKey\n", ""),
        ),
        "app/jobs/maintenance.py": (('    "idempotency keys": _prune_idempotency_keys,\n', ""),),
        "app/repositories/personal_data_repo.py": (
            (
                ("column `email`, and one for the responses that are kept\n"
                "        for repeated requests: the person's, and those that created the person. Returns the\n"
                "        number of rows, without those responses and without what the cascade deleted.\n"),
                ("column `email`. Returns the number of rows,\n"
                "        without what the cascade deleted.\n"),
            ),
            (
                ("        is_about_person = exists().where(func.lower(User.email) == _EMAIL, is_about_user(User.id))\n"
                '        await self._session.execute(delete(IdempotencyKey).where(is_about_person), {"email": email})\n'),
                "",
            ),
        ),
        "app/services/user_service.py": (
            ("what belongs to them, such as the responses stored for them.", "what belongs to them."),
            ("        self._keys = IdempotencyKeyRepository(session)\n", ""),
            ("        await self._keys.delete_about_user(user_id)\n", ""),
        ),
        "app/core/config.py": (
            (
                ("    idempotency_key_hours: int = Field(\n"
                '        default=24, ge=1, description="Hours for which the response to an Idempotency-Key is kept."\n'
                "    )\n"),
                "",
            ),
        ),
        ".env.example": (
            (
                "# Hours for which the response to an Idempotency-Key is kept.\n# IDEMPOTENCY_KEY_HOURS=24\n\n",
                "",
            ),
        ),
        "compose.yaml": (("    IDEMPOTENCY_KEY_HOURS:\n", ""),),
        "README.md": (
            (
                ("- **A POST can be repeated.** With an `Idempotency-Key` the first response is stored in the same\n"
                "  transaction as the work, and sent again for each repetition.\n"),
                "",
            ),
            ("delete expired rows, such as old idempotency keys; a job", "delete expired rows; a job"),
        ),
        "docs/patterns/sqlalchemy-patterns.md": (
            (
                ("The app locks an `Idempotency-Key` like this,\nbefore anything is stored for it:\n\n"
                "```python\n# app/repositories/idempotency_key_repo.py\n"
                '_LOCK: Final = select(func.pg_try_advisory_xact_lock(func.hashtextextended(bindparam("name"), 0)))\n'
                "...\n    async def try_lock(self, scope: str, key: str) -> bool:\n"
                '        """Lock a key until the transaction ends. Returns False if another transaction holds it."""\n'
                '        return bool(await self._session.scalar(_LOCK, {"name": f"{scope}:{key}"}))\n```\n'),
                "`pg_try_advisory_xact_lock`\nlocks it until the transaction ends.\n",
            ),
        ),
        "docs/security/personal-data.md": (
            (
                ("- `idempotency_keys` may keep a later response about them to somebody else for `IDEMPOTENCY_KEY_HOURS`. The\n"
                "  one that created them is deleted.\n"),
                "",
            ),
        ),
        "tests/cli/test_personal_data.py": (
            (
                ("        for user in (ann, other):\n"
                '            row = {"scope": scope_of_user(user.id), "key": "", "fingerprint": b"", "status": 201}\n'
                "            session.add(IdempotencyKey(**row, headers=[], body=user.email.encode()))\n"
                '            created = row | {"scope": "somebody else", "key": user.email}\n'
                '            headers = [("location", f"/api/users/{user.id}")]\n'
                "            session.add(IdempotencyKey(**created, headers=headers, body=user.email.encode()))\n"
                "        await session.flush()\n"),
                "",
            ),
            ("    ann = await make.user(email=EMAIL)\n    other =", "    await make.user(email=EMAIL)\n    other ="),
            (
                ("        kept = (await session.scalars(select(IdempotencyKey.body))).all()\n"
                '        assert kept == [b"eve@example.com"] * 2\n'),
                "",
            ),
        ),
        "tests/platform/database/test_session_of_request.py": (
            ("with_key.status_code) == (200, 503)", "with_key.status_code) == (200, 200)"),
        ),
        "tests/platform/http/test_openapi.py": (
            ('        "Idempotency-Replayed",\n', ""),
            ('"EMAIL_TAKEN", "KEY_IN_USE", "KEY_REUSED", ', '"EMAIL_TAKEN", '),
        ),
        "tests/routes/test_users.py": (
            (
                ("    # One statement deletes the responses that are stored for the user.\n"
                '    Endpoint("DELETE /users/{user_id}", OWNER, statements=3, status=204),\n'),
                '    Endpoint("DELETE /users/{user_id}", OWNER, statements=2, status=204),\n',
            ),
        ),
        "tests/scaffold/test_definition.py": (
            ('    for name in ("user", "idempotency_key"):\n', '    for name in ("user",):\n'),
            ('        ("key:idempotency_key", "make_idempotency_key"),\n', ""),
        ),
    },
    with_auth=Feature(
        heading="",
        files=(),
        definitions={
            "tests/platform/auth/test_challenge.py": (
                "test_key_of_a_caller_with_an_invalid_token_is_refused_as_documented",
            ),
            "tests/platform/auth/test_red_team.py": (
                "test_attack_response_of_another_by_their_idempotency_key",
                "test_attack_tokens_from_the_table_of_stored_responses",
                "test_attack_password_guessed_from_the_digest_of_a_registration",
                "test_registration_repeated_with_all_its_values_does_nothing",
                "test_attack_key_of_a_stranger_guessed",
                "test_key_of_a_request_survives_a_new_secret_key",
                "test_stored_responses_go_with_their_user",
            ),
            "tests/routes/auth/test_registration.py": (
                "test_key_of_an_idempotent_registration_needs_a_valid_token",
            ),
        },
        edits={
            "README.md": (
                ("  For an anonymous caller only the fact is stored, and a repetition gets 409.\n", ""),
            ),
            "tests/routes/auth/test_registration.py": (
                (
                    '"DELETE /users/{user_id}", OWNER, statements=5, status=204',
                    '"DELETE /users/{user_id}", OWNER, statements=4, status=204',
                ),
            ),
            "docs/security/personal-data.md": (
                (
                    ("| responses to signed-in users' requests with an `Idempotency-Key` | callers | `idempotency_keys` | the user is deleted, or `IDEMPOTENCY_KEY_HOURS`, then `app prune` |\n"
                    "| digests of requests with an `Idempotency-Key`, keyed with `SECRET_KEY` | callers | `idempotency_keys` | the same |\n"),
                    "",
                ),
            ),
        },
    ),
    without_auth=Feature(
        heading="",
        files=(),
        edits={
            "docs/security/personal-data.md": (
                (
                    "| responses to requests with an `Idempotency-Key`; digests of the requests | callers | `idempotency_keys` | the user is deleted, or `IDEMPOTENCY_KEY_HOURS`, then `app prune` |\n",
                    "",
                ),
                (
                    ("- Responses to a person's own requests are found by their id. If the gateway names users by something else, map it in `id_of_user` of\n"
                    "  `app/services/permissions.py`; otherwise `idempotency_keys` keeps these responses for `IDEMPOTENCY_KEY_HOURS`.\n"),
                    "",
                ),
            ),
            "README.md": (
                (" Each caller has their own\nidempotency keys.\n", "\n"),
            ),
            "tests/platform/http/test_caller.py": (
                ("    column: Any = IdempotencyKey.__table__.c.scope.type\n", ""),
                ("<= column.length\n", "<= 50\n"),
            ),
        },
    ),
)  # fmt: skip
