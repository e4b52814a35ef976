"""Who stands beside whom: what two machines or devices share, by inventory and by the relations that were read."""

from __future__ import annotations

from collections.abc import Iterator

from tools.entities import same_node
from tools.types import Entity, Facts, Inventory, Quote

Neighbour = tuple[str, Entity, Quote | None]
"""What is shared, with whom, and where it is told."""


def spell_node(entity: Entity) -> str:
    """The host of an entity; empty where it has none."""
    return entity.node or (entity.name if entity.kind == "node" else "")


def find_neighbours(facts: Facts, entity: Entity) -> list[Neighbour]:
    """Find who shares a rack, a leaf switch, an NVLink domain, storage, a disk or a job with an entity; each once."""
    found = [*_by_inventory(facts, spell_node(entity)), *_by_links(facts, entity)]
    return list({(what, str(other)): (what, other, quote) for what, other, quote in found}.values())


def _by_inventory(facts: Facts, node: str) -> Iterator[Neighbour]:
    own = next((row for row in facts.inventory if node and _is_of(row, node)), None)
    if own is None:
        return
    for row in facts.inventory:
        if row is own:
            continue
        for what in _find_shared(own, row):
            yield what, Entity("node", node=row.node), row.quote


def _is_of(row: Inventory, node: str) -> bool:
    return any(same_node(name, node) for name in (row.node, *row.aliases))


def _find_shared(one: Inventory, other: Inventory) -> Iterator[str]:
    for word, name in (("leaf switch", "leaf"), ("NVLink domain", "nvlink_domain"), ("rack", "rack")):
        value = getattr(one, name)
        if value and value == getattr(other, name) and one.site == other.site:
            yield f"same {word} {value}"
    for storage in one.storage:
        if storage in other.storage:
            yield f"same storage {storage}"


def _by_links(facts: Facts, entity: Entity) -> Iterator[Neighbour]:
    """Guests of one disk, nodes of one job: two subjects or two objects of links that meet in one thing."""
    for link in facts.links:
        if link.relation == "uses" and entity in (link.subject, link.object):
            others = (one for one in facts.links if one.relation == "uses" and one.object == link.object)
            yield from (
                (f"same {link.object.kind} {link.object}", one.subject, one.quote)
                for one in others
                if one.subject != entity
            )
        if link.relation == "runs_on" and link.subject == entity:
            yield "runs it", link.object, link.quote
        elif link.relation == "runs_on" and same_node(spell_node(link.object), spell_node(entity)):
            others = (one for one in facts.links if one.relation == "runs_on" and one.subject == link.subject)
            yield from (
                (f"same {link.subject}", one.object, one.quote)
                for one in others
                if not same_node(spell_node(one.object), spell_node(entity))
            )
