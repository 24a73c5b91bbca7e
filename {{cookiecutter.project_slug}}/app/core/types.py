"""Field types that schemas, routes and cursors share."""

from typing import Annotated

from pydantic import Field, StringConstraints

# PostgreSQL's bigint goes further, but JSON numbers are exact up to here only (RFC 8259, section 6).
Id = Annotated[int, Field(ge=1, le=2**53 - 1, examples=[1])]

# PostgreSQL's text holds every character but NUL.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]

# Text with something to see in it; what surrounds it is trimmed in request bodies.
VisibleText = Annotated[str, StringConstraints(pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]
