"""One place that resolves names: index, PCI address, UUID, host name.

Indices shift when a GPU drops out, and kernel logs speak PCI addresses; so two entities are one when a stable id
says so, and the index is what people read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import get_args

from tools.types import Entity, EntityKind

_PCI = re.compile(r"^(?:PCI:)?(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2})(?:\.([0-7]))?$")


_KINDS: dict[str, EntityKind] = {kind: kind for kind in get_args(EntityKind)}


def normalise_pci(address: str) -> str:
    """Spell a PCI address as ``0000:3b:00.0``: four-digit domain where it fits, lower case, with function.

    Kernel Xid lines leave the function out, NVML prints an eight-digit domain, lspci drops a zero domain.

    Returns:
        The canonical form, or the text stripped and lower-cased where it is no PCI address.
    """
    match = _PCI.match(address.strip())
    if match is None:
        return address.strip().lower()
    domain, bus, device, function = match.groups()
    number = int(domain or "0", 16)
    return f"{number:04x}:{int(bus, 16):02x}:{int(device, 16):02x}.{function or '0'}"


def make_gpu(node: str, *, index: str | int | None = None, pci: str = "", uuid: str = "", serial: str = "") -> Entity:
    """Build a GPU entity; the PCI address (else the UUID) stands in the place of an unknown index."""
    address = normalise_pci(pci) if pci else ""
    name = str(index) if index is not None else address or uuid or "?"
    return Entity("gpu", node, name).with_ids(pci=address, uuid=uuid, serial=serial)


def make_pci_device(kind: EntityKind, node: str, address: str) -> Entity:
    """Build an entity of any kind that is known by its PCI address."""
    pci = normalise_pci(address)
    return Entity(kind, node, pci).with_ids(pci=pci)


def same_entity(one: Entity, other: Entity) -> bool:
    """Say whether two entities are one thing: by a shared stable id if both have it, else by kind, node and name."""
    if one.kind != other.kind or not same_node(one.node, other.node):
        return False
    left, right = one.id_map, other.id_map
    for key in ("uuid", "serial", "pci"):
        if key in left and key in right:
            return left[key] == right[key]
    return one.name == other.name


Token = tuple[str, str, str]
ANY_HOST = "*"


def list_file_tokens(entity: Entity) -> Iterator[Token]:
    """Keys under which an entity is filed, so that :func:`list_search_tokens` of what is the same finds it."""
    for word in _list_words(entity):
        yield from ((entity.kind, host, word) for host in list_file_hosts(entity.node))


def list_search_tokens(entity: Entity) -> Iterator[Token]:
    """Keys of everything that :func:`same_entity` may call the same thing: an unknown host could be any."""
    for word in _list_words(entity):
        yield from ((entity.kind, host, word) for host in list_search_hosts(entity.node))


def _list_words(entity: Entity) -> Iterator[str]:
    ids = entity.id_map
    yield from (f"{key} {ids[key]}" for key in ("uuid", "serial", "pci") if key in ids)
    yield f"name {entity.name}"


def list_file_hosts(node: str) -> tuple[str, ...]:
    """Under which hosts a thing is filed, so that :func:`list_search_hosts` of what may be the same host finds it."""
    return (node.lower().partition(".")[0], ANY_HOST)


def list_search_hosts(node: str) -> tuple[str, ...]:
    """Under which hosts to look for what :func:`same_node` may call the same host."""
    label = node.lower().partition(".")[0]
    return (label, "") if label else (ANY_HOST,)


def same_node(one: str, other: str) -> bool:
    """Say whether two host names may be one host: an unknown host could be any; a short name matches its FQDN."""
    if not one or not other:
        return True
    a, b = one.lower(), other.lower()
    return a == b or a.startswith(f"{b}.") or b.startswith(f"{a}.")


def resolve_entities(entities: Iterable[Entity]) -> dict[Entity, Entity]:
    """Map every entity to the best-known spelling of the same thing.

    A GPU named by PCI address in a log gets the index that ``nvidia-smi`` or NVML gave for that address. What could be
    two different things (an address without a host where two hosts have it, an index that two boards had) stays alone.

    Returns:
        From each entity seen to its representative: most stable ids, an index before an address, all ids merged.
    """
    every: list[list[Entity]] = []
    filed: dict[Token, set[int]] = {}
    for entity in sorted(dict.fromkeys(entities), key=_knowledge, reverse=True):
        numbers = sorted({number for token in list_search_tokens(entity) for number in filed.get(token, ())})
        group = _find_group(entity, [every[number] for number in numbers])
        if group is None:
            every.append(group := [])
        group.append(entity)
        number = next(n for n in (*numbers, len(every) - 1) if every[n] is group)
        for token in list_file_tokens(entity):
            filed.setdefault(token, set()).add(number)
    return {member: best for group in every for best in [_merge(group)] for member in group}


def _find_group(entity: Entity, near: Sequence[list[Entity]]) -> list[Entity] | None:
    """Find the one group that an entity belongs to; a shared stable id speaks before a shared index."""
    fitting = [group for group in near if _fits(entity, group)]
    by_id = [group for group in fitting if any(_shared_ids(entity, member) for member in group)]
    chosen = by_id or fitting
    return chosen[0] if len(chosen) == 1 else None


def _fits(entity: Entity, group: list[Entity]) -> bool:
    if not any(same_entity(entity, member) for member in group):
        return False
    return not any(_contradicts(entity, member) for member in group)


def _shared_ids(one: Entity, other: Entity) -> set[tuple[str, str]]:
    return set(one.ids) & set(other.ids)


def _contradicts(one: Entity, other: Entity) -> bool:
    ids = other.id_map
    return not same_node(one.node, other.node) or any(ids.get(key, value) != value for key, value in one.ids)


def _knowledge(entity: Entity) -> tuple[int, int, int, str]:
    # The spelling breaks ties, so that the same evidence always resolves the same way.
    return (len(entity.ids), int(entity.name.isdecimal()), int(bool(entity.node)), str(entity))


def _merge(group: list[Entity]) -> Entity:
    best = max(group, key=lambda e: (int(e.name.isdecimal()), int(bool(e.node)), len(e.ids), str(e)))
    ids: dict[str, str] = {}
    for entity in reversed(group):
        ids.update(entity.id_map)
    node = best.node or next((e.node for e in group if e.node), "")
    return replace(best, node=node).with_ids(**ids)


def parse_entity(spelling: str) -> Entity | None:
    """Read ``gpu:node-017/3`` or ``job:4711`` back into an entity; None where it is no spelling of one."""
    word, colon, rest = spelling.partition(":")
    kind = _KINDS.get(word)
    if kind is None or not colon or not rest:
        return None
    if kind == "node":
        return Entity(kind, node=rest)
    node, slash, name = rest.partition("/")
    return Entity(kind, node, name) if slash else Entity(kind, name=rest)
