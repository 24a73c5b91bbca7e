"""What belongs to ETags and conditional requests, which tests/test_features.py takes out of a project."""

from typing import Final

from feature_of_versions_of_accounts import WITH_AUTH
from taking_out import Feature

# Routes and services, of the app, of the tests, and of what `app new` writes.
_CODE: Final = ("app/routes/**/*.py", "app/services/**/*.py", "tests/platform/probe.py", "scaffold/templates/app/**/*.mako", "docs/howto/relations.md")  # fmt: skip
_REPLACEMENTS: Final = (
    (r"^ +set_etag\(.*\)\n", ""),
    (r"^ +require_version\(.*\)\n", ""),
    (r"^ +if_match: (IfMatch|frozenset\[int\] \| None),\n", ""),
    (r", if_match: (IfMatch|frozenset\[int\] \| None)", ""),
    (r", if_match(?=[,)])", ""),
    (r", responses=NOT_MODIFIED", ""),
    (r"^from app\.core\.http\.conditional_requests import .*\n", ""),
    (r"^from app\.dependencies\.if_match import .*\n", ""),
    (r"(?<=import require_found), require_version", ""),
    (r" and `VersionMismatchError`", ""),
    (r", `VersionMismatchError`(?= and)", ""),
)
# Each step of a how-to, and each condition of a template, that is about them alone.
_PARTS: Final = (
    ("docs/howto/relations.md", r"^5\. \*\*The `ETag`\*\* (?s:.*?)(?=^A nullable|^## )", ""),
    ("docs/howto/resources.md", r"^A reference that becomes null,.*\n.*\n\n", ""),
    ("docs/patterns/sqlalchemy-patterns.md", r"^- Nor does PostgreSQL raise .*\n.*\n", ""),
    ("scaffold/templates/app/models/*.mako", r"% if r\.unversioned:\n(?s:.*?)% endif\n", ""),
    (
        "scaffold/templates/tests/routes/test_*.mako",
        r"% for one in r\.unversioned:\n(?s:.*?)% endfor\n",
        "",
    ),
)
_PARAMETERS: Final = "request: Request, response: Response"

_FOUND: Final = (
    "require_found(await self._${r.plural}.get_for_update(${r.singular}_id), "
    'f"${r.human.capitalize()} {${r.singular}_id}")\n'
)
_OWNED: Final = "        require_owner_or_admin(self._caller, ${r.singular}.${r.owner.column})\n"
_RETURNED: Final = "        return ${r.singular}\n"
_LOCKED: Final = f"        ${{r.singular}} = {_FOUND}% if r.owner:\n{_OWNED}% endif\n{_RETURNED}"
_LOCKED_AND_RETURNED: Final = (
    f"% if r.owner:\n        ${{r.singular}} = {_FOUND}{_OWNED}{_RETURNED}"
    f"% else:\n        return {_FOUND}% endif\n"
)

VERSIONS: Final = Feature(
    heading="Take out ETags and conditional requests",
    files=(
        "app/core/http/conditional_requests.py", "app/dependencies/if_match.py",
        "tests/platform/http/test_preconditions.py",
    ),
    everywhere=_PARTS + tuple(
        (pattern, old, new) for pattern in _CODE for old, new in _REPLACEMENTS
    ),
    definitions={
        "app/exceptions.py": ("VersionMismatchError", "PreconditionRequiredError"),
        "app/models/base.py": ("etag_of",),
        "app/services/rows.py": ("require_version",),
        "app/repositories/post_repo.py": ("ViewedPost.etag",),
        "tests/test_endpoints.py": (
            "test_change_of_another_version_is_refused",
            "test_reader_who_is_up_to_date_gets_no_body",
        ),
        "tests/platform/http/test_edge.py": ("test_overrides_of_the_app_hold",),
        "tests/platform/test_repository_base.py": ("test_values_that_do_not_differ_are_not_written",),
        "tests/platform/http/test_openapi.py": ("test_header_that_saves_the_body_is_declared",),
    },
    tests=(("tests/routes/test_post_likes.py", "etag|If-Match"),),
    edits={
        "app/main.py": (("    install_not_modified_handler(app)\n", ""),),
        "app/models/base.py": (
            ("a bigint key, a version, and the times", "a bigint key, and the times"),
            (
                (
                    "    # Incremented by SQLAlchemy on each change. Clients see it as the ETag.\n"
                    '    version: Mapped[int] = mapped_column(server_default="1", sort_order=1)\n'
                ),
                "",
            ),
            ('{"eager_defaults": True, "version_id_col": cls.version}', '{"eager_defaults": True}'),
        ),
        "app/services/rows.py": (("exist, in the version that the client knows.", "exist."),),
        "app/services/user_service.py": (
            ("a user of a matching version, and", "a user, and"),
            (
                '        user = require_found(await self._users.get_for_update(user_id), f"User {user_id}")\n        return user\n',
                '        return require_found(await self._users.get_for_update(user_id), f"User {user_id}")\n',
            ),
        ),
        "app/core/http/openapi.py": (
            (
                (
                    '_IF_NONE_MATCH: Final = {\n    "name": "If-None-Match",\n    "in": "header",\n    "required": False,\n'
                    '    "description": "Send the resource only if it no longer has this `ETag`, else 304.",\n'
                    '    "schema": {"type": "string"},\n}\n'
                ),
                "",
            ),
            ('"headers": _LOCATION | ETAG,', '"headers": _LOCATION,'),
            ('    if "304" in responses:\n        parameters.append(_IF_NONE_MATCH)\n', ""),
            ("_success_headers(parameters, responses, statuses)", "_success_headers(parameters)"),
            (
                "    parameters: list[dict[str, Any]], responses: dict[str, Any], statuses: set[int]\n",
                "    parameters: list[dict[str, Any]]\n",
            ),
            ("responses: of resources with a version, and of pages.", "responses: of pages."),
            (
                (
                    '    if "304" in responses or (412 in statuses and "204" not in responses):\n'
                    "        headers |= ETAG\n"
                ),
                "",
            ),
        ),
        "app/core/http/problem_declarations.py": (
            (
                '    412: ("The resource has changed", "The resource has changed since you read it; read it again"),\n',
                "",
            ),
            ('    428: ("If-Match is required", "Send the ETag that you have read in If-Match"),\n', ""),
            (
                (
                    "ETAG: Final = {\n"
                    '    "ETag": {"description": "The version of the resource.", "schema": {"type": "string"}}\n}\n'
                ),
                "",
            ),
            ("    412: ETAG,\n", ""),
        ),
        "app/core/config.py": (
            (
                (
                    "    require_if_match: bool = Field(\n"
                    '        default=False, description="Refuse PATCH and DELETE requests without If-Match (428)."\n    )\n'
                ),
                "",
            ),
        ),
        ".env.example": (
            ("# Refuse a PATCH or DELETE without If-Match (428).\n# REQUIRE_IF_MATCH=false\n\n", ""),
        ),
        "compose.yaml": (("    REQUIRE_IF_MATCH:\n", ""),),
        "README.md": (
            (
                (
                    "- **No update is lost.** Reads send the version of a row as `ETag`. PATCH and DELETE with `If-Match`\n"
                    "  get 412 if the row has changed since. `If-None-Match` gets 304 if it has not.\n"
                ),
                "",
            ),
        ),
        "docs/howto/features.md": (
            (
                "| conditional requests | not needed: a client that sends no `If-Match` overwrites, unless `REQUIRE_IF_MATCH=true` |\n",
                "",
            ),
        ),
        "scaffold/templates/app/models/SINGULAR.py.mako": (("import Base, etag_of", "import Base"),),
        "tests/scaffold/test_commands.py": (('("etag", r"other code .*\\betag_of"), ', ""),),
        "scaffold/templates/app/routes/PLURAL.py.mako": (
            ('    etag = "etag" if r.unversioned else "version"\n', ""),
            (
                f'ServiceDep, {_PARAMETERS}\n) -> ${{r.class_name}}Response:\n    """Read',
                'ServiceDep\n) -> ${r.class_name}Response:\n    """Read',
            ),
            (
                'ServiceDep,\n    request: Request,\n    response: Response,\n) -> ${r.class_name}Response:\n    """Change',
                'ServiceDep,\n) -> ${r.class_name}Response:\n    """Change',
            ),
        ),
        "scaffold/templates/app/services/SINGULAR_service.py.mako": (
            ('errors = ["`NotFoundError`", "`VersionMismatchError`"]', 'errors = ["`NotFoundError`"]'),
            (
                '" and ".join(errors) if len(errors) == 2 else f"{errors[0]}, {errors[1]} and {errors[2]}"',
                '" and ".join(errors)',
            ),
            (_LOCKED, _LOCKED_AND_RETURNED),
        ),
        "scaffold/templates/alembic/versions/DATE_REVISION_add_PLURAL_table.py.mako": (
            ('        sa.Column("version", sa.Integer(), server_default="1", nullable=False),\n', ""),
        ),
        "scaffold/templates/tests/routes/test_PLURAL.py.mako": (
            (
                '(read.json(), read.headers["etag"]) == (${r.singular}, response.headers["etag"])',
                "read.json() == ${r.singular}",
            ),
            (
                'url, etag = created.headers["location"], created.headers["etag"]',
                'url = created.headers["location"]',
            ),
            ('    assert response.headers["etag"] != etag\n', ""),
        ),
        "tests/platform/http/test_head.py": (
            (
                (
                    "    unchanged = await probes.head(\n"
                    '        f"/probes/{probe.id}", headers={"If-None-Match": one.headers["etag"]}\n    )\n'
                ),
                "",
            ),
            ("    assert one.headers[\"etag\"] == '\"1\"'\n", "    assert one.status_code == 200\n"),
            (
                '    assert (unchanged.status_code, unchanged.headers["etag"]) == (304, \'"1"\')\n',
                "",
            ),
        ),
        "tests/platform/http/test_openapi.py": (
            ('{"200", "304", "404"}', '{"200", "404"}'),
            ('{"404", "409", "412", "428"}', '{"404", "409"}'),
            ('    assert headers(probe_app, "PATCH /probes/{probe_id}") == ["If-Match"]\n', ""),
            (
                ('    assert headers_of(probe_app, "GET /probes/{probe_id}", 200) == {"ETag"}\n'
                '    assert headers_of(probe_app, "GET /probes/{probe_id}", 304) == {"ETag"}\n'),
                "",
            ),
            ('        "ETag",\n', ""),
            (
                ('    assert headers_of(probe_app, "PATCH /probes/{probe_id}", 200) == {"ETag"}\n'
                '    assert headers_of(probe_app, "PATCH /probes/{probe_id}", 412) == {"ETag"}\n'),
                "",
            ),
            ('    """ETag, Link, Retry-After', '    """Link, Retry-After'),
        ),
        "tests/routes/test_posts.py": (
            (
                '    assert read.headers["etag"] == response.headers["etag"]\n',
                "",
            ),
        ),
        "tests/routes/test_users.py": (
            (
                '(read.json(), read.headers["etag"]) == (user, response.headers["etag"])',
                "read.json() == user",
            ),
        ),
    },
    with_auth=WITH_AUTH,
)  # fmt: skip
