from sqlalchemy import LargeBinary, func, select, text

from app.core.database import Database
from app.models import metadata
from app.services.personal_data_service import PersonalDataService
from tests.auth.accounts import EMAIL
from tests.factories import Factory


async def test_sessions_tokens_and_invitations_are_part_of_it_without_their_secrets(
    database: Database, make: Factory
) -> None:
    user = await make.user(email=EMAIL, hashed_password="$argon2id$the-hash")
    async with database.transaction() as session:
        values = {"id": user.id, "email": EMAIL}
        await session.execute(
            text(
                "INSERT INTO user_sessions (user_id, key, secret_digest, address, user_agent,"
                " last_used_at, expires_at)"
                " VALUES (:id, 'k', 's', '192.0.2.1', 'browser', now(), now())"
            ),
            values,
        )
        await session.execute(
            text(
                "INSERT INTO one_time_tokens (purpose, email, digest, expires_at)"
                " VALUES ('invitation', :email, 'd', now())"
            ),
            values,
        )
    async with database.read() as session:
        found = await PersonalDataService(session).export(EMAIL)

    assert found["user_sessions"][0]["address"] == "192.0.2.1"
    assert found["one_time_tokens"][0]["purpose"] == "invitation"
    assert "the-hash" not in str(found)
    binary = {
        c.name for t in metadata.sorted_tables for c in t.c if isinstance(c.type, LargeBinary)
    }
    assert not binary & {name for rows in found.values() for row in rows for name in row}

    async with database.transaction() as session:
        await PersonalDataService(session).erase(EMAIL)
    async with database.read() as session:
        for table in found:
            rows = select(func.count()).select_from(metadata.tables[table])
            assert await session.scalar(rows) == 0
