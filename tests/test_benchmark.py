"""What the benchmark concludes from what it finds. The measuring itself is one of CI's jobs."""

import sys
from contextlib import nullcontext
from dataclasses import replace

import benchmark
import pytest
from benchmarks import ladder
from benchmarks.ladder import CORE, FLOORS, TEMPLATE, TEXTBOOK, Row, below_floors, table
from benchmarks.responses import DifferentResponsesError, Response, compare

HEADERS: dict[str, str | None] = {
    "Content-Type": "application/json",
    "ETag": '"1"',
    "Location": None,
    "Link": None,
}
READ = Response(200, HEADERS, {"id": 4711, "title": "A"})


def measured(**relative: float) -> Row:
    """Return a row of the template, its ratios on the floors where none are given."""
    ratios = {CORE: relative.get("core", FLOORS[CORE])}
    ratios[TEXTBOOK] = relative.get("textbook", FLOORS[TEXTBOOK])
    return Row(TEMPLATE, "asyncpg", "W1 one row", 900, 30, 60, 1000, 0.98, 0.05, ratios)


def created(row_id: int, moment: str, **headers: str) -> Response:
    body = {"id": row_id, "email": f"{row_id}@example.com", "created_at": moment}
    return Response(201, {**HEADERS, "Location": f"/users/{row_id}", **headers}, body)


def test_ratio_on_its_floor_is_good_enough() -> None:
    assert below_floors([measured(), replace(measured(), app=CORE, relative={})]) == []


def test_each_ratio_below_its_floor_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FLOORS, CORE, 0.7)
    monkeypatch.setitem(FLOORS, TEXTBOOK, 1.5)
    assert below_floors([measured(core=0.69, textbook=1.25)]) == [
        "W1 one row with asyncpg: 0.69 of FastAPI + SQLAlchemy Core, but 0.7 is the least",
        "W1 one row with asyncpg: 1.25 of textbook layers, but 1.5 is the least",
    ]


def test_table_says_how_the_template_compares() -> None:
    (line,) = [
        line for line in table([measured(core=0.81, textbook=1.92)]).splitlines() if "900" in line
    ]
    assert line.split()[-2:] == ["0.81", "1.92"]


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_only_a_check_fails_below_a_floor(
    monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setattr(benchmark, "bench", nullcontext)
    monkeypatch.setattr(ladder, "measure", lambda *_: [measured(core=FLOORS[CORE] / 2)])
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "ladder", *options])
    # A text, given to sys.exit, goes to stderr, and the exit code is 1.
    assert (benchmark.main() != 0) == bool(options)


def test_different_responses_end_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*_: object) -> list[Row]:
        raise DifferentResponsesError("FastAPI does not respond as the template does")

    monkeypatch.setattr(benchmark, "bench", nullcontext)
    monkeypatch.setattr(ladder, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "ladder"])
    assert benchmark.main() == "FastAPI does not respond as the template does"


@pytest.mark.parametrize(
    "other",
    [
        replace(READ, status=203),
        replace(READ, body={"id": 4711}),
        replace(READ, headers=HEADERS | {"ETag": None}),
        replace(READ, headers=HEADERS | {"Link": '</posts>; rel="next"'}),
    ],
)
def test_response_that_lacks_something_is_named_beside_the_template_s(other: Response) -> None:
    with pytest.raises(DifferentResponsesError) as error:
        compare("FastAPI with asyncpg", "GET /posts/4711", READ, other)
    assert all(
        part in str(error.value)
        for part in ("FastAPI with asyncpg", "GET /posts/4711", str(READ), str(other))
    )


def test_created_rows_may_differ_in_their_numbers_only() -> None:
    expected = created(1001, "2026-11-24T12:00:00.000001Z")
    compare("FastAPI", "POST /users", expected, created(2002, "2026-11-25T13:30:00.123456Z"))
    for other in (
        created(2002, "2026-11-25T13:30:00.123456+00:00"),
        created(2002, "2026-11-25T13:30:00.123456Z", Location="/posts/2002"),
        created(2002, "2026-11-25T13:30:00.123456Z", Location="/users/1001"),
        created(2002, "2026-11-25T13:30:00.123456Z", ETag='"2"'),
    ):
        with pytest.raises(DifferentResponsesError):
            compare("FastAPI", "POST /users", expected, other)


def test_refusals_may_differ_in_their_words_only() -> None:
    expected = Response(422, HEADERS, {"code": "validation_error"})
    compare("Starlette", "GET /posts/0", expected, replace(expected, body="No such id"))
    with pytest.raises(DifferentResponsesError):
        compare("Starlette", "GET /posts/0", expected, replace(expected, status=404))
