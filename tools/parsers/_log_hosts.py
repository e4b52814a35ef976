"""Whose log it is: the host in the heads of its first lines, which a quiet log tells nowhere else."""

from __future__ import annotations

from itertools import islice

from tools.parsers._kernel_forms import split_head
from tools.types import Document, Entity

HEAD_LINES = 20


def read_hosts(document: Document) -> tuple[Entity, ...]:
    """Read the hosts that the first lines name, in order; the caller's host where they name none."""
    told = (split_head(line.text).node for line in islice(document.lines(), HEAD_LINES))
    hosts = dict.fromkeys(host for host in told if host) or ([document.node] if document.node else [])
    return tuple(Entity("node", node=host) for host in hosts)
