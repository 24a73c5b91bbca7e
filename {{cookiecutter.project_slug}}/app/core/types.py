"""Field types that schemas, routes and cursors share."""

from typing import Annotated

from pydantic import Field, StringConstraints

# The range of PostgreSQL's bigint: a larger number would fail in the driver instead of validation.
Id = Annotated[int, Field(ge=1, le=2**63 - 1, examples=[1])]

# PostgreSQL's text holds every character but NUL.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
