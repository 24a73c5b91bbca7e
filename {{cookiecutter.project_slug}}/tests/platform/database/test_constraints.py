from collections.abc import Generator

import pytest
from sqlalchemy import URL

from app.core.config import Settings
from app.core.database import Database
from app.core.database.constraints import declared_refusals, domain_error, refusal
from app.core.database.drivers import ConstraintViolation
from app.core.database.grants import grant_to_service
from app.exceptions import AppError, ConflictError, NotFoundError
from tests.platform.database.apps import run
from tests.postgres import execute, temporary_database


@pytest.mark.parametrize("name", sorted(declared_refusals()))
def test_refusal_is_an_error_of_the_client_and_its_message_can_be_written(name: str) -> None:
    error = domain_error(ConstraintViolation(name, "Key (column)=(value) is not as it should be."))

    assert isinstance(error, AppError)
    assert 400 <= error.status < 500
    assert "{" not in str(error)


@pytest.mark.parametrize(
    ("detail", "message"),
    [
        (
            "Key (lower(email::text))=(ann@example.com) already exists.",
            "E-mail address ann@example.com is already registered",
        ),
        (
            "Schlüssel »(lower(email::text))=(ann@example.com)« existiert bereits.",
            "E-mail address ann@example.com is already registered",
        ),
        ("", "E-mail address given is already registered"),
    ],
)
def test_message_names_the_value_in_whatever_language_the_server_speaks(
    detail: str, message: str
) -> None:
    assert str(domain_error(ConstraintViolation("uq_users_email_lower", detail))) == message


@pytest.mark.parametrize(
    ("name", "detail", "field"),
    [
        ("uq_users_email_lower", "Key (lower(email::text))=(a@b.example) already exists.", "email"),
        ("uq_users_email_lower", "Key (lower((email)::character varying))=(a) exists.", "email"),
        ("uq_users_email_lower", "Key (tenant_id, email)=(1, a) already exists.", None),
        ("uq_users_email_lower", "Failing row contains (1, null).", None),
        ("uq_users_email_lower", "", None),
    ],
)
def test_error_names_the_field(name: str, detail: str, field: str | None) -> None:
    error = domain_error(ConstraintViolation(name, detail))

    assert error
    assert error.field == field


def test_constraint_that_no_client_can_break_has_no_domain_error() -> None:
    assert domain_error(ConstraintViolation("pk_users", "")) is None


@pytest.fixture
def books_refer_to_shelves(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a foreign key that declares its errors."""
    name = "fk_books_shelf_id_shelves"
    (declared,) = refusal(
        NotFoundError, "Shelf {value} not found", still_used="Shelf {value} has books"
    ).values()
    monkeypatch.setitem(declared_refusals(), name, declared)
    return name


@pytest.mark.parametrize(
    ("detail", "error", "message"),
    [
        (
            'Key (shelf_id)=(7) is not present in table "shelves".',
            NotFoundError,
            "Shelf 7 not found",
        ),
        (
            'Key (id)=(7) is still referenced from table "books".',
            ConflictError,
            "Shelf 7 has books",
        ),
        # PostgreSQL 18, with RESTRICT.
        ('Key (id)=(7) is referenced from table "books".', ConflictError, "Shelf 7 has books"),
        ("Key (library_id, id)=(1, 7) is still referenced.", ConflictError, "Shelf 1, 7 has books"),
    ],
)
def test_foreign_key_tells_a_missing_row_from_one_that_is_still_used(
    books_refer_to_shelves: str, detail: str, error: type[AppError], message: str
) -> None:
    found = domain_error(ConstraintViolation(books_refer_to_shelves, detail))

    assert (type(found), str(found)) == (error, message)


@pytest.fixture(params=["RESTRICT", "NO ACTION"])
def secured(
    template_url: URL,
    worker_id: str,
    settings: Settings,
    books_refer_to_shelves: str,
    request: pytest.FixtureRequest,
) -> Generator[Settings]:
    """Settings of a service to which row-level security applies, so that errors name no values."""
    name = f"{template_url.database}_{worker_id}_secured"
    with temporary_database(template_url, name) as owner:
        execute(
            owner,
            "CREATE TABLE alembic_version (version_num text)",  # it may be granted after `app migrate`
            "CREATE TABLE shelves (id int PRIMARY KEY)",
            f"CREATE TABLE books (shelf_id int CONSTRAINT {books_refer_to_shelves}"
            f" REFERENCES shelves ON DELETE {request.param})",
            "INSERT INTO shelves VALUES (7)",
            "INSERT INTO books VALUES (7)",
            *(
                statement
                for table in ("shelves", "books")
                for statement in (
                    f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
                    f"CREATE POLICY everything ON {table} USING (true)",
                )
            ),
        )
        service = owner.set(username=f"service_of_{name}", password="only-for-tests")
        yield settings.model_copy(update={"database_url": service, "database_direct_url": owner})
        role = f'"{service.username}"'
        execute(owner, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_foreign_key_tells_them_apart_where_row_level_security_hides_the_columns(
    secured: Settings,
) -> None:
    await grant_to_service(secured)
    database = Database(secured)

    for error, message, statement in (
        (NotFoundError, "Shelf given not found", "INSERT INTO books VALUES (8)"),
        (NotFoundError, "Shelf given not found", "UPDATE books SET shelf_id = 8"),
        (ConflictError, "Shelf given has books", "DELETE FROM shelves WHERE id = 7"),
    ):
        with pytest.raises(error, match=message):
            await run(database, statement)
    await database.dispose()
