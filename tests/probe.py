"""Asks the baked service and its peers the same questions: `uv run tests/probe.py --help`."""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from baking import bake, copy_template, run_uv
from benchmarks.bench import demand_password
from faults.postgres_process import PostgresProcess, running
from probes import rates
from probes.asking import calling
from probes.database import OPTIONS
from probes.database_faults import seconds_until_served
from probes.finding import Finding
from probes.launches import Launch, template_launch
from probes.peers import PEERS, TEMPLATE
from probes.service import Target, target
from probes.table import PROBES, Probe, table

RATES = "rates"
TRIES = 2
RECOVERED = 15.0  # seconds for a read to succeed between two probes


def main() -> None:
    """Print what each probe finds, and the table in the end."""
    options = parser().parse_args()
    wanted = options.only or [*PROBES, RATES]
    with server(options.postgres) as postgres, targets(options, postgres) as found:
        columns = [f"{one.peer.name} ({one.launch.version})" for one in found]
        chosen = {name: probe for name, probe in PROBES.items() if name in wanted}
        by_target = [asyncio.run(findings(one, chosen)) for one in found]
        rows = {name: [one[name] for one in by_target] for name in chosen}
        if RATES in wanted:
            rows |= rates.measure(found, options.rounds, options.seconds)
    print(f"\n{datetime.now(UTC):%Y-%m-%d}\n\n{table(columns, rows)}")


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help=f"a peer, and the file that says how it is started; of: {', '.join(PEERS)}",
    )
    found.add_argument(
        "--postgres",
        type=Path,
        metavar="FOLDER",
        help="programs of another PostgreSQL, if a peer needs an extension that the embedded one lacks",
    )
    found.add_argument("--logs", type=Path, metavar="FOLDER", help="keep what the services log")
    names = ", ".join([*PROBES, RATES])
    found.add_argument("--only", action="append", choices=[*PROBES, RATES], help=f"of: {names}")
    found.add_argument("--rounds", type=int, default=5, help="rounds of load")
    found.add_argument("--seconds", type=float, default=2.0, help="seconds of load in each round")
    return found


@contextmanager
def server(programs: Path | None) -> Iterator[PostgresProcess]:
    """Start the PostgreSQL of all services."""
    with (
        running(programs) if programs else running() as postgres,
        postgres.started_with(**OPTIONS),
    ):
        demand_password(postgres)
        yield postgres


@contextmanager
def targets(options: argparse.Namespace, postgres: PostgresProcess) -> Iterator[list[Target]]:
    """Bake this template, and prepare it and the peers."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="probes-")))
        launches = [(TEMPLATE, template_launch(baked(folder)))]
        for peer in options.peer:
            name, _, file = peer.partition("=")
            launches.append((PEERS[name], Launch.read(Path(file).resolve())))
        yield [
            stack.enter_context(target(peer, launch, postgres, options.logs or folder))
            for peer, launch in launches
        ]


def baked(folder: Path) -> Path:
    os.environ["BAKE_WITHOUT_LINK"] = "1"  # it gets no updates
    template = copy_template(folder / "template")
    project = bake(template, folder, project_slug="probed", db_driver="asyncpg", use_auth=True)
    run_uv(project, "sync", "--no-dev", "--compile-bytecode", "--quiet")
    return project


async def findings(one: Target, probes: Mapping[str, Probe]) -> dict[str, Finding]:
    """Ask a service everything, and again what the machine was too busy for."""
    found: dict[str, Finding] = {}
    with one.started():
        for name, probe in probes.items():
            for _ in range(TRIES):
                before = one.process.disturbances()
                found[name] = await asked(one, probe)
                print(f"{one.peer.name}: {name}: {found[name]}", flush=True)
                if one.process.disturbances() == before:
                    break
                print(f"{one.peer.name}: the machine was too busy for it", flush=True)
    return found


async def asked(one: Target, probe: Probe) -> Finding:
    """Ask a service one thing. It is started again where the last probe has left it unable to serve."""
    async with calling(one.process.url) as caller:
        if not one.process.is_running():
            one.process.start()
        service = await one.service(caller)
        if await seconds_until_served(service, caller, RECOVERED) is None:
            print(f"{one.peer.name} is started again", flush=True)
            one.process.stop()
            one.process.start()
        return await probe(service, caller)


if __name__ == "__main__":
    main()
