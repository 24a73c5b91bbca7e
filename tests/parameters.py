"""The variants that tests take as their parameter: some in each run, the others by `-m full`."""

from collections.abc import Container
from typing import Any

import pytest
from variants import VARIANTS, Variant

FIRST = VARIANTS[:1]
# Between them, the two have every answer.
FIRST_AND_LAST = VARIANTS[::3]


def in_each_run(variants: Container[Variant]) -> list[Any]:
    """Return all variants as parameters; those that are not given are marked `full`."""
    return [
        pytest.param(
            variant, id=variant.name, marks=[] if variant in variants else [pytest.mark.full]
        )
        for variant in VARIANTS
    ]
