"""What a how-to tells its reader to do: the commands of its blocks, and the changes of files.

A block of `diff` names a file in its first line, maybe with `*` in it. Its other lines are what `git diff` shows: `+` for added,
`-` for removed, a blank for those that stay, and `...` between two places. Lines that are all added make
a new file.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^```(console|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACES = re.compile(r"^\.\.\.\n", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    section: str
    language: str
    text: str

    def lines(self) -> list[str]:
        """Return the lines to be typed."""
        return typed_lines(self.text) if self.language == "console" else []

    def commands(self) -> list[list[str]]:
        """Return the words of the commands, without `uv run`."""
        lines = [shlex.split(line) for line in self.lines()]
        return [line[2:] for line in lines if line[:2] == ["uv", "run"]]

    def apply(self, project: Path) -> None:
        """Change the file. Raise AssertionError if a place is not there."""
        first, _, body = self.text.partition("\n")
        path = next(project.glob(name := first.removeprefix("# ")), project / name)
        places = [place.splitlines() for place in PLACES.split(body)]
        if all(line.startswith("+") for place in places for line in place):
            assert not path.exists(), f"{path} is there already"
            path.write_text("".join(f"{line[1:]}\n" for line in places[0]), encoding="utf-8")
            return
        text, position = "\n" + path.read_text(encoding="utf-8"), 0
        for place in places:
            old = "".join(f"\n{line[1:]}" for line in place if not line.startswith("+"))
            new = "".join(f"\n{line[1:]}" for line in place if not line.startswith("-"))
            found = text.find(f"{old}\n", position)
            assert found >= 0, f"{path} does not hold, or not there:\n{old}"
            text = text[:found] + new + text[found + len(old) :]
            position = found + len(new)
        path.write_text(text[1:], encoding="utf-8")


def typed_lines(code: str) -> list[str]:
    """Return the lines of a block of commands, without their comments."""
    lines = [line.strip() for line in code.splitlines()]
    return [re.sub(r"\s+#.*", "", line) for line in lines if line and line[0] != "#"]


def blocks_of(document: Path) -> list[Block]:
    return blocks_in(document.read_text(encoding="utf-8"))


def blocks_in(text: str) -> list[Block]:
    """Return the blocks in order, each with the heading of the second level above it, or ""."""
    head, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    parts = [("", head)] + [(part.partition("\n")[0], part) for part in sections]
    return [Block(heading, *found) for heading, part in parts for found in BLOCK.findall(part)]
