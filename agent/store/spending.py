"""What models cost, out of the kept runs: investigations, and questions of a conversation."""

from __future__ import annotations

import secrets
import time

from sqlalchemy import select

from agent.spending import Spent, measure_spent
from agent.store.models import RunRow
from agent.store.store import Store
from agent.types import Usage

KINDS = ("investigation", "talk")
SECOND = "root_cause"


class SpendingBook:
    """Reads and keeps what models cost."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read_spent(self, since: float) -> Spent:
        """What was kept since then, in Unix seconds."""
        rows = select(RunRow.document).where(RunRow.kind.in_(KINDS), RunRow.time_seconds >= since)
        spent = Spent()
        with self._store._read() as session:
            for document in session.scalars(rows.execution_options(yield_per=50)):
                usage = document.get("usage")
                spent += measure_spent(Usage.model_validate(usage) if usage else None)
                spent += Spent(second_opinions=int(document.get("role") == SECOND))
        return spent

    def add_talk(self, usage: Usage, model: str) -> None:
        """Keep what one question of a conversation cost; its words stand in the conversation."""
        document = {"usage": usage.model_dump(mode="json"), "backend": model, "role": "handoff"}
        run = RunRow(
            run_id=f"r-{secrets.token_hex(8)}", time_seconds=time.time(), kind="talk", case_id="", document=document
        )
        with self._store._write() as session:
            session.add(run)
