"""Settings for validating e-mail addresses."""

from typing import Annotated, Final

from email_validator import SPECIAL_USE_DOMAIN_NAMES
from pydantic import AfterValidator, Field

from app.core.environment import EnvironmentSettings
from app.core.types import Names

_SPECIAL: Final = frozenset(SPECIAL_USE_DOMAIN_NAMES)


def _permit(domains: tuple[str, ...]) -> tuple[str, ...]:
    """Permit the domains during validation, because settings validated later may hold addresses.

    email-validator documents that its list may be changed.
    """
    if not _SPECIAL.issuperset(domains):
        raise ValueError(f"not special-use domains; these are: {', '.join(sorted(_SPECIAL))}")
    SPECIAL_USE_DOMAIN_NAMES[:] = sorted(_SPECIAL.difference(domains))
    return domains


class EmailSettings(EnvironmentSettings):
    """Settings for validating e-mail addresses."""

    email_special_domains: Annotated[Names, AfterValidator(_permit)] = Field(
        default=(),
        description="Special-use domains in which e-mail addresses are accepted, such as local.",
    )
