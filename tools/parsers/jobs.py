"""Reads a `jobs.csv`: which job ran on which nodes (columns `job_id,name,user,state,start,end,nodes,gpus_per_node`).

`nodes` is a host list as Slurm spells it, in quotes where it holds commas.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._csv_rows import find_header, read_rows
from tools.parsers._hostlist import expand_hostlist
from tools.parsers._lines import Tally, make_quote
from tools.types import Document, Domain, Entity, Facts, Link, Parsed

FORM = "jobs"
DOMAIN: Domain = "jobs"
_REQUIRED = frozenset({"job_id", "nodes"})


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a CSV header with `job_id` and `nodes`."""
    return 0.95 if find_header(sample, _REQUIRED) is not None else 0.0


def parse(document: Document) -> Parsed:
    """Read every row as one link a node."""
    tally = Tally()
    links: list[Link] = []
    jobs: dict[Entity, None] = {}
    for line, row in read_rows(document):
        number, nodes = row.get("job_id", ""), expand_hostlist(row.get("nodes", ""))
        tally.count(line, understood=bool(number and nodes))
        if not number:
            continue
        job = Entity("job", name=number)
        jobs[job] = None
        quote = make_quote(document, line)
        links += [Link(job, "runs_on", Entity("node", node=node), quote) for node in nodes]
    return Parsed(Facts(entities=tuple(jobs), links=tuple(links)), tally.result())
