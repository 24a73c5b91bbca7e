"""The variants that tests take as their parameter: some in each run, the others by `-m full`."""

from collections.abc import Container, Sequence
from typing import Any, Protocol

import pytest
from variants import VARIANTS


class Named(Protocol):
    """A variant, or what is made of one."""

    @property
    def name(self) -> str: ...


FIRST = VARIANTS[:1]
# Between them, the two have every answer.
FIRST_AND_LAST = VARIANTS[::3]


def in_each_run(always: Container[Named], *, of: Sequence[Named] = VARIANTS) -> list[Any]:
    """Return variants as parameters; those that are not `always` taken are marked `full`."""
    return [
        pytest.param(
            variant, id=variant.name, marks=[] if variant in always else [pytest.mark.full]
        )
        for variant in of
    ]
