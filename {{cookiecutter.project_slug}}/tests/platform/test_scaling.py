"""The arithmetic of docs/scaling.md adds up, with the defaults of the settings."""

import configparser
import re
from typing import Any, Final

import pytest

from app.cli.doctor import connections
from app.cli.doctor.findings import Examined
from app.core.config import Settings
from tests.platform.documents import PROJECT, SCALING, blocks_of, read

# A line such as `cores = 2 / 0.7  # = 2.86`: the name, and the digits before and after the point.
_RESULT: Final = re.compile(r"^(\w+) = .*  # = ([\d,]+)\.?(\d*)", re.MULTILINE)
# A row of the table of pools: their sizes, the connections, and how many processes fit.
_POOLS: Final = re.compile(r"^\| (\d+ \+ \d+ \+ \d+)\D+(\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.M)


@pytest.fixture
def names() -> dict[str, Any]:
    """What the formulas use: settings, by default, and the limits of PostgreSQL and PgBouncer."""
    pgbouncer = configparser.ConfigParser()
    pgbouncer.read(PROJECT / "deploy/pgbouncer/pgbouncer.ini")
    return {
        **{name.upper(): field.default for name, field in Settings.model_fields.items()},
        "WEB_CONCURRENCY": 1,
        "max_connections": 100,
        "default_pool_size": pgbouncer.getint("pgbouncer", "default_pool_size"),
        "max_client_conn": pgbouncer.getint("pgbouncer", "max_client_conn"),
    }


def test_formulas_give_the_results_beside_them(names: dict[str, Any]) -> None:
    wrong, checked, stated = [], 0, 0
    for block in blocks_of(SCALING):
        exec(compile(block.code, SCALING, "exec"), names)  # noqa: S102 (it is in the repository)
        stated += block.code.count("# =")
        for name, whole, decimals in _RESULT.findall(block.code):
            checked += 1
            figure = float(f"{whole.replace(',', '')}.{decimals}")
            if abs(names[name] - figure) > 0.5001 * 10 ** -len(decimals):
                wrong.append(f"{name} is {names[name]}, not {figure}")

    assert wrong == []
    assert checked == stated > 0


def test_connections_are_those_that_doctor_counts(names: dict[str, Any]) -> None:
    for block in blocks_of(SCALING):
        if block.section == "Connections":
            exec(compile(block.code, SCALING, "exec"), names)  # noqa: S102 (as above)
    settings = Settings.model_construct()
    processes, workers = names["pods"] + names["max_surge"], names["workers"]
    counted, _ = connections._needed(Examined((), settings, settings, workers=workers), processes)

    assert names["in_all"] == counted + 3  # doctor takes those for superusers from the limit


def test_table_of_pools_follows_from_the_sum() -> None:
    rows = _POOLS.findall(read(SCALING))

    assert rows
    for pools, each, *processes in rows:
        assert int(each) == sum(map(int, pools.split(" + "))) + 1
        assert [int(number) for number in processes] == [
            (limit - 2 - 3) // int(each) for limit in (100, 200, 500)
        ]
