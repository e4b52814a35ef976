"""Whose a cgroup is: the container, virtual machine, job or unit that its path names.

Paths as systemd (machinectl, slices and scopes), Docker, containerd, CRI-O, Podman, LXC, libvirt and Slurm lay them
out, for both cgroup versions. The outermost container, machine or job wins, for what runs inside is its own matter;
else the innermost unit does. A login session, a user's slice and a path that names nothing are *weak* names: several
people's work may lie in them, so that process trees tell more.

Entities: ``guest:HOST/NAME`` for a container or machine (a container by the first twelve digits of its id, as
``docker ps`` and ``crictl ps`` show it), ``job:4711`` for a Slurm job, ``service:HOST/UNIT`` for a unit or a user.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tools.types import Entity

_SHORT_ID = 12
_CONTAINER = re.compile(
    r"^(?:(?P<engine>docker|cri-containerd|containerd|nerdctl|crio|libpod|podman)-)?(?P<id>[0-9a-f]{32,64})(?:\.scope)?$"
)
_MACHINES = (
    re.compile(r"^machine-(?:qemu|lxc|libvirt)-\d+-(?P<name>.+)\.scope$"),
    re.compile(r"^machine-(?P<name>.+)\.scope$"),
    re.compile(r"^systemd-nspawn@(?P<name>.+)\.service$"),
    re.compile(r"^(?P<name>.+)\.libvirt-(?:qemu|lxc)$"),
    re.compile(r"^lxc\.payload\.(?P<name>.+)$"),
)
_PARENTS_OF_MACHINES = re.compile(r"^(?:lxc|qemu\.slice|libvirt-qemu|xen)$")
_JOB = re.compile(r"^job_(?P<id>\d+)")
_UNIT = re.compile(r"\.(?:service|scope|socket|mount|swap)$")
_USER = re.compile(r"^user-\d+\.slice$")
_SESSION = re.compile(r"^session-\w+\.scope$")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


class Named(NamedTuple):
    """A consumer that a cgroup belongs to.

    Attributes:
        path: The part of the cgroup's path that names it; all below belongs to it too.
        is_strong: Whether the name is of one thing, not of a person's session or of a path alone.
    """

    entity: Entity
    path: str
    is_strong: bool


def name_cgroup(path: str, node: str) -> Named | None:
    """Say whose a cgroup is.

    Args:
        path: Below the root of its hierarchy, as ``/proc/PID/cgroup`` spells it.
        node: Host that it is on.

    Returns:
        The consumer, None for the root.
    """
    parts = [part for part in path.split("/") if part]
    if not parts:
        return None
    for depth in range(len(parts)):
        entity = _name_guest(parts[: depth + 1], node)
        if entity is not None:
            return Named(entity, _join(parts[: depth + 1]), True)
    return _name_unit(parts, node) or Named(Entity("guest", node, _join(parts)), _join(parts), False)


def _join(parts: list[str]) -> str:
    return "/" + "/".join(parts)


def _name_guest(parts: list[str], node: str) -> Entity | None:
    last, above = parts[-1], parts[:-1]
    job = _JOB.match(last)
    if job is not None and any("slurm" in part for part in above):
        return Entity("job", name=job["id"])
    container = _CONTAINER.match(last)
    if container is not None:
        engine = container["engine"] or ("docker" if "docker" in above else "container")
        return Entity("guest", node, f"{engine}-{container['id'][:_SHORT_ID]}")
    plain = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), last)
    for pattern in _MACHINES:
        machine = pattern.match(plain)
        if machine is not None:
            return Entity("guest", node, machine["name"])
    if above and _PARENTS_OF_MACHINES.match(above[-1]):
        return Entity("guest", node, plain.removesuffix(".scope"))
    return None


def _name_unit(parts: list[str], node: str) -> Named | None:
    for depth in range(len(parts), 0, -1):
        part, here = parts[depth - 1], parts[:depth]
        if _USER.match(part):
            return Named(Entity("service", node, part), _join(here), False)
        if _UNIT.search(part) and not _SESSION.match(part) and "user.slice" not in here:
            return Named(Entity("service", node, part), _join(here), True)
    return None
