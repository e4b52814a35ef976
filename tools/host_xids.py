"""Hear each Xid from the driver itself, through NVML, beside the kernel log.

The log says more (process, channel, registers), and often both tell. So what NVML tells is held back for a moment:
where the log tells the same of the same GPU, the log's line stands for both; where it does not, because nobody may
read it or it was flooded, NVML's word is the event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from tools.entities import make_gpu, normalise_pci, same_entity
from tools.nvml_reader import START_SECONDS, parse_message, start_child
from tools.nvml_report import STATES
from tools.shell import Listener
from tools.types import Coverage, Entity, Event, Moment, Quote

XID_EVENT = 0x8  # nvmlEventTypeXidCriticalError
HELD_SECONDS = 5.0
"""How long the log may be later than NVML: longer than between two looks at a journal."""
REMEMBERED_SECONDS = 60.0
SILENT_SECONDS = 10.0
"""The child says something each second; after so long without a word it hangs in the driver (a guess)."""
RETRY_SECONDS = 300.0
CALL = "nvmlEventSetWait"


class XidListener:
    """A child that waits for Xids, started anew where it ended.

    Args:
        node: Name of this machine.
        clock: Seconds that only go forward.
        start: Starts the child.

    Attributes:
        trouble: Why nothing is heard; empty where it is, or where there is no GPU.
    """

    def __init__(
        self,
        node: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[], Listener] = lambda: start_child(["events"]),
    ) -> None:
        self.trouble = ""
        self._node, self._clock, self._start = node, clock, start
        self._child: Listener | None = None
        self._again = 0.0
        self._patience = 0.0
        self._gpus: dict[str, Entity] = {}
        self._held: list[tuple[float, Event]] = []
        self._logged: list[tuple[float, Event]] = []

    @property
    def descriptor(self) -> int | None:
        """Becomes readable when the child has said more."""
        return self._child.descriptor if self._child is not None else None

    @property
    def coverage(self) -> tuple[Coverage, ...]:
        """Whether the GPUs of this machine are heard; nothing where there is none."""
        if not self._gpus:
            return ()
        if self.trouble:
            reason = f"Xids are not heard from the driver: {self.trouble}"
            return (Coverage(f"node:{self._node}", "gpu", "partial", reason),)
        return (Coverage(f"node:{self._node}", "gpu", "read"),)

    def take(self, logged: Sequence[Event] = ()) -> tuple[Event, ...]:
        """Hear what there is now.

        Args:
            logged: What the log has told since the last time.

        Returns:
            The Xids that the log did not tell.
        """
        now = self._clock()
        self._logged = [one for one in self._logged if now - one[0] < REMEMBERED_SECONDS]
        self._logged += [(now, event) for event in logged if event.code.startswith("xid:")]
        self._hear(now)
        self._held = [one for one in self._held if not self._is_logged(one[1])]
        due = tuple(event for since, event in self._held if now - since >= HELD_SECONDS)
        self._held = [one for one in self._held if now - one[0] < HELD_SECONDS]
        return due

    def flush(self) -> tuple[Event, ...]:
        """Give up waiting for the log: what is still held back."""
        held, self._held = self._held, []
        return tuple(event for _, event in held)

    def close(self) -> None:
        """Stop the child."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _is_logged(self, event: Event) -> bool:
        """Whether the log told of it; one line stands for one Xid only."""
        for index, (_, line) in enumerate(self._logged):
            if line.code == event.code and same_entity(line.entity, event.entity):
                del self._logged[index]
                return True
        return False

    def _hear(self, now: float) -> None:
        if self._child is None:
            if now < self._again:
                return
            self._child, self._patience = self._start(), now + START_SECONDS
        child = self._child
        while not child.has_ended and (lines := child.read(0.0)) is not None:
            for message in filter(None, map(parse_message, lines)):
                self._note(message, now)
            self._patience = max(self._patience, now + SILENT_SECONDS)
        if child.has_ended:
            self._leave(now, self.trouble or "the child ended")
        elif now > self._patience:
            self._leave(now, f"no word from the driver for {SILENT_SECONDS:g} s")

    def _leave(self, now: float, why: str) -> None:
        self.close()
        self.trouble, self._again = why, now + RETRY_SECONDS

    def _note(self, message: dict[str, Any], now: float) -> None:
        kind = message["kind"]
        if kind == "identity":
            pci = normalise_pci(message.get("pci", ""))
            self._gpus[pci] = make_gpu(
                self._node,
                index=message["index"],
                pci=pci,
                uuid=message.get("uuid", ""),
                serial=message.get("serial", ""),
            )
        elif kind == "failed":
            self.trouble = f"{STATES.get(message['code'], 'error')}: {message['words']}"
        elif kind == "unregistered":
            self.trouble = f"GPU {message['index']}: {message['words']}"
        elif kind == "registered":
            self.trouble = ""
        elif kind == "event" and message["type"] == XID_EVENT:
            self._held.append((now, self._build_event(message)))

    def _build_event(self, message: dict[str, Any]) -> Event:
        pci = normalise_pci(message["pci"])
        call = f"{CALL}({pci})"
        xid = str(message["data"])
        quote = Quote(f"NVML {call}", None, f"{call} = Xid {xid}")
        entity = self._gpus.get(pci) or make_gpu(self._node, pci=pci)
        return Event(Moment("utc", time.time()), entity, f"xid:{xid}", quote, {"pci": pci, "xid": xid}, "kernel")
