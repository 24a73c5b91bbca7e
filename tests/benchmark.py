"""Measures the baked service beside the same endpoints without layers: `uv run tests/benchmark.py`."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks import ladder
from benchmarks.bench import bench
from benchmarks.calls import calls
from benchmarks.experiments import EXPERIMENTS
from benchmarks.jobs import job_cost, job_throughput
from benchmarks.responses import DifferentResponsesError

MEASUREMENTS = {
    "calls": calls, **EXPERIMENTS, "job_cost": job_cost, "job_throughput": job_throughput,
}  # fmt: skip


def main() -> int | str:
    """Print what is measured. Return what `sys.exit` takes: 0, or what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "only",
        nargs="*",
        choices=["ladder", *MEASUREMENTS, []],
        metavar="measurement",
        help=f"of: ladder, {', '.join(MEASUREMENTS)}; all, if none is named",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of load in each round")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--check", action="store_true", help="fail below the ladder's floors")
    options = parser.parse_args()
    wanted = options.only or ["ladder", *MEASUREMENTS]
    figures: dict[str, object] = {}
    low: list[str] = []
    with bench() as running:
        if "ladder" in wanted:
            try:
                rows = ladder.measure(running, options.rounds, options.seconds)
            except DifferentResponsesError as error:
                return str(error)
            print(ladder.table(rows), flush=True)
            figures["ladder"] = [asdict(row) for row in rows]
            low = ladder.below_floors(rows)
        for name, measure in MEASUREMENTS.items():
            if name in wanted:
                print(f"\n{name}: {measure.__doc__}", flush=True)
                found = measure(running, options.rounds, options.seconds)
                for case, value in found.items():
                    print(f"  {case}: {value}", flush=True)
                figures[name] = found
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return "\n".join(low) if options.check and low else 0


if __name__ == "__main__":
    sys.exit(main())
