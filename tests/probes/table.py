"""The probes, and the table of what they found."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from probes.asking import Caller
from probes.database_faults import (
    restart_under_load,
    restart_while_idle,
    sessions_terminated,
    silent_database,
)
from probes.finding import Finding
from probes.pressure import sigterm, slow_reads
from probes.requests_that_race import odd_values, old_reading, one_address, repeated_post
from probes.service import Service

Probe = Callable[[Service, Caller], Awaitable[Finding]]

PROBES: dict[str, Probe] = {
    "50 sign-ups with one address": one_address,
    "odd values": odd_values,
    "one POST twice with a key": repeated_post,
    "two changes of one reading": old_reading,
    "database silent": silent_database,
    "5xx after a restart, under load": restart_under_load,
    "5xx after a restart, while idle": restart_while_idle,
    "200 reads wait; a request without the database": slow_reads,
    "sessions ended during 200 creations": sessions_terminated,
    "SIGTERM under load": sigterm,
}


def table(columns: Sequence[str], rows: Mapping[str, Sequence[Finding]]) -> str:
    """Return a table in Markdown: a row for each probe, a column for each service."""
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, findings in rows.items():
        lines.append(f"| {name} | " + " | ".join(map(str, findings)) + " |")
    return "\n".join(lines)
