"""Find entities by what a person or a model calls them, and say whether an empty answer was read at all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tools.entities import normalise_pci, resolve_entities, same_node
from tools.tool import Reading
from tools.types import Coverage, Entity, Facts


class EntityIndex:
    """All entities of some facts under their best-known spelling."""

    def __init__(self, facts: Facts) -> None:
        named: list[Entity] = [*facts.entities, *(event.entity for event in facts.events)]
        named += [entity for window in facts.windows for entity in window.entities]
        named += [end for link in facts.links for end in (link.subject, link.object)]
        if facts.subject is not None:
            named.append(facts.subject)
        named += [Entity("node", node=host) for host in sorted({entity.node for entity in named if entity.node})]
        self._best = resolve_entities(named)

    @property
    def known(self) -> list[Entity]:
        """Every entity once, in order of spelling."""
        return sorted(set(self._best.values()), key=str)

    def resolve(self, entity: Entity) -> Entity:
        """The best-known spelling of an entity of these facts."""
        return self._best.get(entity, entity)

    def find(self, spelling: str) -> list[Entity]:
        """Entities that go by this name: full spelling, stable id, or node, device or index alone; case is ignored."""
        wanted = spelling.strip().lower()
        if not wanted:
            return []
        # Whatever source spelled it so: by address in a log, by index in a table.
        exact = {best for spelled, best in self._best.items() if wanted in (str(spelled).lower(), str(best).lower())}
        if exact:
            return sorted(exact, key=str)
        return [best for best in self.known if wanted in _names_of(best) or _pci_of(wanted) in _names_of(best)]


def covers(entity: Entity, other: Entity) -> bool:
    """Say whether `other` belongs to `entity`: the thing itself, or anything on it where it is a node."""
    if entity == other:
        return True
    host = other.node or (other.name if other.kind == "node" else "")
    return entity.kind == "node" and bool(host) and same_node(entity.node or entity.name, host)


def read_state(facts: Facts, domains: Collection[str], node: str = "") -> tuple[Reading, str]:
    """Say what an empty answer means: read and empty, or not read; with the reasons and what to do.

    Args:
        facts: What was read.
        domains: Coverage domains that could have held an answer.
        node: Host asked about; empty means any.

    Returns:
        ``("empty", note)`` where at least one of the domains was read, else ``("not_read", why)``.
    """
    rows = [row for row in facts.coverage if row.domain in domains and _speaks_of(row, node)]
    gaps = "; ".join(dict.fromkeys(_spell_gap(row) for row in rows if row.status in ("missing", "partial")))
    if any(row.status in ("read", "partial") for row in rows):
        return "empty", f"partly unread: {gaps}" if gaps else ""
    words = " or ".join(sorted(domains))
    return "not_read", gaps or f"nothing in this evidence covers {words}"


def list_names(entities: Iterable[Entity], limit: int = 12) -> str:
    """Spell the first few entities, and how many more there are."""
    names: Sequence[str] = [str(entity) for entity in entities]
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more if names else "none"


def _names_of(entity: Entity) -> set[str]:
    device = f"{entity.kind} {entity.name}"
    names = {str(entity), entity.name, entity.node if entity.kind == "node" else "", device, *entity.id_map.values()}
    return {name.lower() for name in names if name}


def _pci_of(text: str) -> str:
    return normalise_pci(text)


def _speaks_of(row: Coverage, node: str) -> bool:
    if not node:
        return True
    host = row.entity.partition(":")[2].partition("/")[0]
    # A row about a file or about no known host may hold lines of any node.
    return row.domain == "input" or ":" not in row.entity or same_node(host, node)


def _spell_gap(row: Coverage) -> str:
    return f"{row.domain} of {row.entity}: {row.status}" + (f", {row.reason}" if row.reason else "")
