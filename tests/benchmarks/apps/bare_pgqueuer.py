"""A worker of PGQueuer alone, as its documentation writes it. The driver is the argument."""

import asyncio
import os
import sys

from pgqueuer import AsyncpgDriver, Job, PgQueuer, PsycopgDriver


async def main() -> None:
    url = os.environ["DATABASE_URL"]
    if sys.argv[1] == "asyncpg":
        import asyncpg  # noqa: PLC0415 (the project has one driver)

        driver = AsyncpgDriver(await asyncpg.connect(url))
    else:
        import psycopg  # noqa: PLC0415

        driver = PsycopgDriver(await psycopg.AsyncConnection.connect(url, autocommit=True))
    queuer = PgQueuer(driver)

    @queuer.entrypoint("nothing")
    async def do_nothing(_job: Job) -> None:
        pass

    await queuer.run()


asyncio.run(main())
