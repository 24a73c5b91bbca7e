import asyncio
from collections.abc import Iterator
from datetime import timedelta
from unicodedata import normalize

import pytest
from fastapi import FastAPI
from sqlalchemy import Integer, event, func, select, text, update

from app.core.config import Settings
from app.core.database.sessions import Database
from app.exceptions import TooManyRequestsError
from app.jobs.maintenance import prune
from app.main import create_app
from app.models.auth.rate_limit import rate_limits
from app.repositories.auth.rate_limit_repo import RateLimitRepository
from app.services.auth.rate_limit_service import Limit, RateLimitService
from tests.conftest import http_client

FIVE = Limit("five", hits=5, seconds=3600)


@pytest.fixture
def limits(live_database: Database) -> RateLimitService:
    return RateLimitService(live_database)


async def passes(limits: RateLimitService, limit: Limit, *whom: str) -> bool:
    try:
        await limits.hit(limit, *whom)
    except TooManyRequestsError:
        return False
    return True


async def rows(database: Database) -> int:
    async with database.read() as session:
        return (await session.scalars(select(func.count()).select_from(rate_limits))).one()


async def fill(database: Database, count: int, seconds: int) -> None:
    """Write rows whose limits are unused again after the given seconds."""
    async with database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO rate_limits SELECT sha256(n::text::bytea), "
                "now() + make_interval(secs => :seconds) FROM generate_series(1, :count) n"
            ),
            {"count": count, "seconds": seconds},
        )


async def let_pass(database: Database, seconds: int) -> None:
    """Shift the rows written so far into the past."""
    earlier = rate_limits.c.free_at - timedelta(seconds=seconds)
    async with database.transaction() as session:
        await session.execute(update(rate_limits).values(free_at=earlier))


@pytest.mark.long
async def test_spellings_share_a_limit_exactly_if_they_are_one_address_to_the_database(
    live_database: Database,
) -> None:
    """For each code point that Python or PostgreSQL takes for another one."""
    point = func.generate_series(1, 0x10FFFF, type_=Integer).column_valued("point")
    changed = select(func.chr(point), func.lower(func.chr(point))).where(
        ~point.between(0xD800, 0xDFFF),  # surrogates
        func.lower(func.chr(point)) != func.chr(point),
    )
    counted = []
    async with live_database.transaction() as session:
        folded = {row[0]: row[1] for row in await session.execute(changed)}
        doubtful = {*folded, *folded_by_python()}
        spellings = {
            c for d in doubtful for c in {d, folded.get(d, d), *python_foldings(d)} if len(c) == 1
        }
        limits = RateLimitRepository(session)
        for spelling in sorted(spellings):
            subject = FIVE.subject(f"a{spelling}@example.com", "192.0.2.1")
            if await limits.hit(subject, interval=3600, period=3600) is None:
                counted.append(spelling)

    assert len(spellings) > 2000
    assert sorted(folded.get(c, c) for c in counted) == sorted(
        {folded.get(c, c) for c in spellings}
    )


def folded_by_python() -> Iterator[str]:
    """Yield each character that Python takes for another one, after a look at many at once."""
    for start in range(0, 0x110000, 256):
        block = "".join(map(chr, range(start, start + 256)))
        if python_foldings(block) != {block}:
            yield from (c for c in block if python_foldings(c) != {c})


def python_foldings(text: str) -> set[str]:
    return {text.lower(), text.upper(), text.casefold(), normalize("NFKC", text).casefold()}


async def test_hits_beyond_the_limit_are_refused_with_the_seconds_to_wait(
    limits: RateLimitService,
) -> None:
    for _ in range(5):
        await limits.hit(FIVE, "ann")

    for _ in range(3):  # refused hits do not prolong the wait
        with pytest.raises(TooManyRequestsError, match=r"try again in \d+ s") as error:
            await limits.hit(FIVE, "ann")
        assert error.value.headers
        assert 700 < int(error.value.headers["Retry-After"]) <= 720
    assert await passes(limits, FIVE, "bob")
    assert await passes(limits, Limit("other", hits=1, seconds=60), "ann")


async def test_texts_that_run_together_are_not_the_same(limits: RateLimitService) -> None:
    one = Limit("one", hits=1, seconds=60)

    assert await passes(limits, one, "a", "bc")
    assert await passes(limits, one, "ab", "c")
    assert await passes(limits, one, "abc")
    assert not await passes(limits, one, "a", "bc")


@pytest.mark.parametrize("others", [False, True], ids=["one pool", "two pools"])
async def test_of_fifty_hits_at_once_exactly_the_limit_passes(
    limits: RateLimitService, settings: Settings, others: bool
) -> None:
    database = Database(settings)
    services = [limits, RateLimitService(database) if others else limits]

    passed = await asyncio.gather(*(passes(services[n % 2], FIVE, "ann") for n in range(50)))
    await database.dispose()

    assert sum(passed) == 5


async def test_hit_locks_its_row_no_longer_than_its_statement_runs(
    limits: RateLimitService, live_database: Database
) -> None:
    """Otherwise requests for the same row would wait for each other's COMMIT."""
    async with live_database.statement() as session:
        await RateLimitRepository(session).hit(FIVE.subject("ann"), FIVE.interval, FIVE.seconds)
        async with asyncio.timeout(1):
            assert await passes(limits, FIVE, "ann")


async def test_limit_recovers_gradually(limits: RateLimitService, live_database: Database) -> None:
    assert [await passes(limits, FIVE, "ann") for _ in range(6)] == [True] * 5 + [False]
    await let_pass(live_database, 720)
    assert [await passes(limits, FIVE, "ann") for _ in range(2)] == [True, False]
    await let_pass(live_database, 86400)
    assert [await passes(limits, FIVE, "ann") for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("wait", "told"), [(0, "1"), (0.2, "1"), (1.0, "1"), (1.01, "2"), (719.5, "720")]
)
async def test_seconds_to_wait_are_whole_and_never_too_few(
    limits: RateLimitService, monkeypatch: pytest.MonkeyPatch, wait: float, told: str
) -> None:
    async def refuse(*_: object) -> float:
        return wait

    monkeypatch.setattr(RateLimitRepository, "hit", refuse)
    with pytest.raises(TooManyRequestsError) as error:
        await limits.hit(FIVE, "ann")

    assert error.value.headers == {"Retry-After": told}


async def test_forgotten_hits_do_not_count(limits: RateLimitService) -> None:
    for whom in ("ann", "bob"):
        for _ in range(5):
            await limits.hit(FIVE, whom)

    await limits.reset(FIVE, "ann")
    await limits.reset(FIVE, "nobody")

    assert await passes(limits, FIVE, "ann")
    assert not await passes(limits, FIVE, "bob")


async def test_hit_costs_one_statement_whatever_the_table_holds(
    limits: RateLimitService, live_database: Database
) -> None:
    await fill(live_database, 1000, seconds=-60)
    statements: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    engine = live_database.writer.sync_engine
    event.listen(engine, "before_cursor_execute", record)
    for _ in range(6):
        await passes(limits, FIVE, "ann")
    event.remove(engine, "before_cursor_execute", record)

    assert len(statements) == 6


async def test_table_shrinks_by_use_and_holds_no_more_than_what_counts(
    limits: RateLimitService, live_database: Database
) -> None:
    await fill(live_database, 200, seconds=-60)

    for number in range(100):
        await limits.hit(FIVE, f"user{number}")

    assert await rows(live_database) == 100


async def test_rows_that_count_are_kept(limits: RateLimitService, live_database: Database) -> None:
    await fill(live_database, 10, seconds=60)

    await limits.hit(FIVE, "ann")

    assert await rows(live_database) == 11
    assert await limits.prune() == 0


async def test_refused_hits_write_nothing(
    limits: RateLimitService, live_database: Database
) -> None:
    await fill(live_database, 10, seconds=-60)
    one = Limit("one", hits=1, seconds=60)
    await limits.hit(one, "ann")
    before = await rows(live_database)

    for _ in range(3):
        assert not await passes(limits, one, "ann")

    assert await rows(live_database) == before


async def test_expired_rows_are_pruned_in_batches(
    limits: RateLimitService, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.auth.rate_limit_service._PRUNED_AT_ONCE", 10)
    await fill(live_database, 25, seconds=-60)
    await limits.hit(Limit("one", hits=1, seconds=60), "ann")  # prunes three of them

    assert (await prune(live_database)).deleted["rate limits"] == 22
    assert await rows(live_database) == 1


async def test_hits_of_rows_that_others_prune_never_end_in_a_deadlock(
    limits: RateLimitService,
) -> None:
    gone = Limit("gone", hits=1, seconds=0.001)  # expired a moment later

    async def hit(start: int) -> None:
        for number in range(60):
            await passes(limits, gone, str((start + number) % 7))

    async with asyncio.timeout(30):
        await asyncio.gather(*(hit(start) for start in range(8)))


@pytest.fixture
def limited(settings: Settings, limits: RateLimitService) -> FastAPI:
    app = create_app(settings)

    @app.post("/attempts")
    async def attempt() -> None:
        await limits.hit(Limit("one", hits=1, seconds=60), "ann")
        raise ZeroDivisionError  # the request fails, but the hit counts

    return app


async def test_refusal_is_a_429_that_says_when_to_come_back(limited: FastAPI) -> None:
    async with http_client(limited, raises=False) as client:
        failed = await client.post("/attempts")
        refused = await client.post("/attempts")

    assert (failed.status_code, refused.status_code) == (500, 429)
    assert 30 < int(refused.headers["retry-after"]) <= 60
    assert refused.json()["code"] == "TOO_MANY_REQUESTS"
