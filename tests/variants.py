"""The one list of variants: the tests bake each of them, and CI makes its matrix from the JSON printed here."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    db_driver: str
    use_auth: bool

    @property
    def name(self) -> str:
        return f"{self.db_driver}-{'auth' if self.use_auth else 'noauth'}"


VARIANTS = [Variant(driver, auth) for driver in ("asyncpg", "psycopg") for auth in (True, False)]

PYTHON = "3.13"
# The ends of the supported range. One variant is enough: what differs there is Python, not the answers.
OTHER_PYTHONS = ("3.11", "3.14")

# Before it, cookiecutter took "no" for a yes: its answers on the command line were not typed.
OLDEST_COOKIECUTTER = "2.7.0"


def matrix() -> list[dict[str, str]]:
    """Return the jobs of CI, each a variant on a Python version."""
    jobs = [{"variant": variant.name, "python": PYTHON} for variant in VARIANTS]
    return jobs + [{"variant": VARIANTS[0].name, "python": python} for python in OTHER_PYTHONS]


if __name__ == "__main__":
    print(json.dumps(matrix()))
