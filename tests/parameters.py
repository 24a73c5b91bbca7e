"""The variants that tests take as their parameter: some in each run, others are marked `slow` or `full`."""

from collections.abc import Container, Sequence
from typing import Any, Protocol

import pytest
from variants import VARIANTS


class Named(Protocol):
    """A variant, or what is made of one."""

    @property
    def name(self) -> str: ...


FIRST = VARIANTS[:1]
LAST = VARIANTS[-1:]
# Between them, the two have every answer.
FIRST_AND_LAST = VARIANTS[::3]


def in_each_run(
    always: Container[Named], *, slow: Container[Named] = (), of: Sequence[Named] = VARIANTS
) -> list[Any]:
    """Return variants as parameters. Those that are not `always` taken are marked `slow` or `full`."""

    def marks(variant: Named) -> list[pytest.MarkDecorator]:
        if variant in always:
            return []
        return [pytest.mark.slow if variant in slow else pytest.mark.full]

    return [pytest.param(variant, id=variant.name, marks=marks(variant)) for variant in of]
