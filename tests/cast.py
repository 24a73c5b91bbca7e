"""Runs the commands of the picture in the README, and draws the terminal: `uv run tests/cast.py`.

They bake a project, add a resource, serve it and call it, in one shell. The picture says when each was typed, in seconds
after the first. It leaves out what uv prints while it installs, and most of the files that a command has created.
"""

import os
import re
import signal
import socket
import subprocess
import tempfile
import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from html import escape, unescape
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

from baking import ROOT, copy_template, project_environment, uv_executable
from repositories import IDENTITY, make_repository

PICTURE = ROOT / ".github" / "first-minutes.svg"
PORT = 8000
ADDRESS = f"http://127.0.0.1:{PORT}"
READY = f"{ADDRESS}/health/ready"
SERVE = "uv run app dev &> dev.log &"
COMMANDS = (
    "uvx cookiecutter ./template --no-input project_name=Blog",
    "cd blog && git init -q && git add -A && git commit -qm Bake",
    "uv run app new article title:str:200 body:text 'published_at:datetime?' author:user",
    SERVE,
    f"TOKEN=$(curl -s {ADDRESS}/auth/token -d username=ada@example.com -d password=only-for-the-demo | jq -r .access_token)",
    f"""curl -s {ADDRESS}/articles --json '{{"title": "Hello", "body": "World"}}' -H "Authorization: Bearer $TOKEN" | jq -c""",
    f"curl -s {ADDRESS}/articles/9 | jq -c",
)
COLUMNS = 108
# In pixels. Letters of the system's monospaced font are about this wide at this size.
SIZE, LETTER, LINE, MARGIN = 13, 7.83, 18, 16
END = "end-of-output"
OF_UV = re.compile(r"\s*(Using CPython|Creating virtual|Building|Built|Installed) ")
CREATED = 2  # as many of the files are named
STARTED_IN = 60  # seconds


@dataclass(frozen=True)
class Step:
    """A command, when it was typed (in seconds after the first), and what it printed."""

    command: str
    typed_at: float
    printed: str


def steps(folder: Path) -> Iterator[Step]:
    """Run the commands in a folder that has the template."""
    environment = project_environment() | IDENTITY
    uv = Path(uv_executable()).parent
    environment["PATH"] = f"{uv}{os.pathsep}{environment['PATH']}"
    with subprocess.Popen(
        ["bash"], cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", start_new_session=True,
    ) as shell:  # fmt: skip
        begin = time.monotonic()
        try:
            for command in COMMANDS:
                if command == SERVE:
                    refuse_another_service()
                typed_at = time.monotonic() - begin
                yield Step(command, typed_at, typed(shell, command))
                if command == SERVE:
                    wait_for_service()
        finally:
            os.killpg(shell.pid, signal.SIGTERM)  # the shell, and the service that it has started


def typed(shell: subprocess.Popen[str], command: str) -> str:
    """Type a command into the shell, and return what it prints."""
    assert shell.stdin
    assert shell.stdout
    shell.stdin.write(f"{command}\necho {END} $?\n")
    shell.stdin.flush()
    printed: list[str] = []
    for line in shell.stdout:
        if line.startswith(END):
            assert line.split()[1] == "0", f"{command}\n{''.join(printed)}"
            return "".join(printed)
        if not OF_UV.match(line):
            printed.append(line)
    raise AssertionError(f"the shell has ended:\n{''.join(printed)}")


def refuse_another_service() -> None:
    """Raise RuntimeError if something else serves the address, and would get the requests."""
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", PORT)):
        raise RuntimeError(f"Something is served at {ADDRESS} already: stop it")


def wait_for_service() -> None:
    end = time.monotonic() + STARTED_IN
    while True:
        try:
            urlopen(READY).close()  # noqa: S310  # http
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def lines_of(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the lines of the picture, each with its class there."""
    yield from (("typed", line) for line in wrapped(f"$ {step.command}", COLUMNS - 9))
    yield from (("printed", line) for line in shown(step.printed))
    yield "printed", ""


def shown(printed: str) -> Iterator[str]:
    """Yield the lines of the picture for what a command has printed."""
    created = 0
    for line, following in pairwise([*printed.splitlines(), ""]):
        created += line.startswith("created")
        if created <= CREATED or not line.startswith("created"):
            yield from wrapped(line, COLUMNS) or [""]
        elif not following.startswith("created"):
            yield f"         and {created - CREATED} more"


def wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(
        line, width, subsequent_indent="    ", break_on_hyphens=False, drop_whitespace=False
    )


def draw(found: list[Step]) -> str:
    texts: list[str] = []
    row = 0.0
    width = COLUMNS * LETTER + 2 * MARGIN
    for step in found:
        texts.append(text_at(row, "time", f"{step.typed_at:.1f} s", x=width - MARGIN))
        for kind, line in lines_of(step):
            if line:
                texts.append(text_at(row, kind, line))
            row += 1 if line else 0.5
    height = row * LINE + 2 * MARGIN
    drawn = "\n".join(texts)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">
<title>From the bake to a second resource: the commands, and what they print</title>
<style>
text {{ font: {SIZE}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; }}
.typed {{ fill: #ffffff; font-weight: bold; }}
.printed {{ fill: #b6c2cf; }}
.time {{ fill: #7ee787; text-anchor: end; }}
</style>
<rect width="100%" height="100%" rx="8" fill="#161b22"/>
{drawn}
</svg>
"""


def text_at(row: float, kind: str, line: str, x: float = MARGIN) -> str:
    y = MARGIN + LINE * (row + 0.75)
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(line)}</text>'


def commands_in(picture: str) -> str:
    """Return what was typed, without blanks, because commands are wrapped."""
    typed = re.findall(r'<text class="typed"[^>]*>(.*)</text>', picture)
    return without_blanks(unescape("".join(typed)))


def printed_in(picture: str, command: str) -> list[str]:
    """Return what the picture shows of the output of a command, as `comparable` does."""
    _, *steps = re.split(r'(?=<text class="time")', picture)
    (step,) = (one for one in steps if commands_in(one) == without_blanks(f"$ {command}"))
    return comparable(re.findall(r'<text class="printed"[^>]*>(.*)</text>', unescape(step)))


def comparable(lines: Iterable[str]) -> list[str]:
    """Return the lines that are not empty, with `DATE_REVISION` in the name of a migration."""
    revision = r"\d{4}_\d\d_\d\d_[0-9a-f]{12}"
    return [re.sub(revision, "DATE_REVISION", line) for line in lines if line]


def without_blanks(text: str) -> str:
    return "".join(text.split())


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_repository(copy_template(Path(folder, "template")))
        found = []
        for step in steps(Path(folder)):
            print(f"{step.typed_at:6.1f} s  $ {step.command}\n{step.printed}", flush=True)
            found.append(step)
    PICTURE.write_text(draw(found), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
