"""What a scrape of `/metrics` says."""

from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Scrape:
    """The samples of a scrape."""

    samples: list[tuple[str, dict[str, str], float]]

    @classmethod
    def of(cls, response: httpx.Response) -> "Scrape":
        assert response.status_code == 200, response.text
        return cls.parse(response.text)

    @classmethod
    def parse(cls, text: str) -> "Scrape":
        families = text_string_to_metric_families(text)
        return cls(
            [(one.name, one.labels, one.value) for family in families for one in family.samples]
        )

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that have these labels."""
        return sum(
            value
            for other, found, value in self.samples
            if other == name and labels.items() <= found.items()
        )

    def values(self, name: str, label: str) -> set[str]:
        """Return the values of a label."""
        return {labels[label] for other, labels, _ in self.samples if other == name}

    def labels(self) -> dict[str, set[str]]:
        """Return the names of the labels of each series."""
        found: dict[str, set[str]] = {}
        for name, labels, _ in self.samples:
            found.setdefault(name, set()).update(labels)
        return found


async def scrape(client: httpx.AsyncClient) -> Scrape:
    return Scrape.of(await client.get("/metrics"))
