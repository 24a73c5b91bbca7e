"""What a probe has found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Whether it holds (None: the service has no such thing, or there is only a figure), and what was seen."""

    holds: bool | None
    seen: str = ""

    def __str__(self) -> str:
        if self.holds is None:
            return self.seen or "n/a"
        return f"**{'yes' if self.holds else 'no'}**: {self.seen}"


NOT_THERE = Finding(None)
