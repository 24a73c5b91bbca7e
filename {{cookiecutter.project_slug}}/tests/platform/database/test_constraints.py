import pytest

from app.core.database.constraints import declared_refusals, domain_error, refusal
from app.core.database.drivers import ConstraintViolation
from app.exceptions import AppError, ConflictError, NotFoundError


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
    ],
)
def test_foreign_key_tells_a_missing_row_from_one_that_is_still_used(
    monkeypatch: pytest.MonkeyPatch, detail: str, error: type[AppError], message: str
) -> None:
    (declared,) = refusal(
        NotFoundError, "Shelf {value} not found", still_used="Shelf {value} has books"
    ).values()
    monkeypatch.setitem(declared_refusals(), "fk_books_shelf_id_shelves", declared)

    found = domain_error(ConstraintViolation("fk_books_shelf_id_shelves", detail))

    assert (type(found), str(found)) == (error, message)
