"""Versions: one place says which it is, and each is described for those who upgrade."""

import json
import re

from baking import ROOT


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def version() -> str:
    return str(json.loads(read("cookiecutter.json"))["_version"])


def sections(name: str) -> list[str]:
    """Return the headings of the versions in a document, as they follow each other."""
    return re.findall(r"^## (.+)$", read(name), flags=re.MULTILINE)


def test_changelog_describes_the_version_and_leaves_room_for_the_next() -> None:
    unreleased, *released = sections("CHANGELOG.md")
    assert unreleased == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", title) for title in released)
    assert released[0].split(" - ")[0] == version()
    numbers = [tuple(map(int, title.split(" - ")[0].split("."))) for title in released]
    assert numbers == sorted(set(numbers), reverse=True)


def test_upgrading_has_a_section_for_each_minor_version() -> None:
    released = [title.rpartition(".")[0] for title in sections("CHANGELOG.md")[1:]]
    assert sections("UPGRADING.md") == list(dict.fromkeys(released))
