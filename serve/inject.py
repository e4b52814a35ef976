"""`daytwo inject`: make a fault appear, to see one's own alarms work."""

from __future__ import annotations

import platform
import shlex
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

from agent.faults import load_faults
from agent.settings import load_settings
from serve.terminal import note, print_people, print_text
from tools.errors import OperatorError
from tools.host_paths import HostPaths
from tools.inject import (
    BOARD_WAYS,
    KERNEL_RING,
    TEXT_WAYS,
    append_text,
    choose_place,
    find_injection,
    is_kernel_ring,
    load_injections,
    merge_board,
    render_text,
    write_ring,
)

STAND_IN = "stand-in:"
STAND_IN_NEXT = """\
Next: this file is read by the stand-in for NVIDIA's library, which is built from the sources, not installed with it.
In a checkout, with gcc:
  mkdir -p build/standin
  gcc -O1 -shared -fPIC -o build/standin/libnvidia-ml.so.1 tests/standin/nvml_standin.c
  LD_LIBRARY_PATH=$PWD/build/standin DAYTWO_NVML_STANDIN={path} daytwo triage --host --no-store"""
SYSTEM_LOGS = Path("/var/log")


def run_inject(fault: str, *, gpu: str, node: str, to: str, marked: bool | None, yes_really: bool) -> int:
    """Write a fault to where it is wanted.

    Args:
        fault: Fault id.
        gpu: Index or PCI address.
        node: Host; empty means this one.
        to: A file, ``-``, ``stand-in:FILE.json`` or ``/dev/kmsg``.
        marked: Whether each log line says that it is a test; None: in the machine's own logs yes, elsewhere no.
        yes_really: The kernel's own log may be written.

    Raises:
        OperatorError: The fault cannot be shown so, or the target cannot or must not be written.
    """
    name = node or load_settings().node or platform.node()
    place = choose_place(name, gpu, paths=HostPaths())
    now = datetime.now(UTC)
    if to.startswith(STAND_IN):
        path = Path(to.removeprefix(STAND_IN))
        merge_board(find_injection(fault, BOARD_WAYS), place, path)
        note(f"{path}: GPU {place.gpu} shows {fault}\n{STAND_IN_NEXT.format(path=shlex.quote(str(path.resolve())))}")
        return 0
    if is_kernel_ring(Path(to)):
        return _write_ring(fault, Path(to), yes_really, marked, now=now, gpu=gpu, name=name)
    injection = find_injection(fault, TEXT_WAYS)
    in_system_log = Path(to).resolve().is_relative_to(SYSTEM_LOGS)
    lines = render_text(injection, place, now=now, marked=in_system_log if marked is None else marked)
    if to == "-":
        print_text("\n".join(lines))
        return 0
    append_text(lines, Path(to))
    note(f"{to}: {len(lines)} lines of {injection.way} for {fault}\nNext: daytwo triage {to}")
    return 0


def _write_ring(
    fault: str, ring: Path, yes_really: bool, marked: bool | None, *, now: datetime, gpu: str, name: str
) -> int:
    injection = find_injection(fault, ("kernel",))
    if not yes_really:
        raise OperatorError(
            f"{KERNEL_RING} is the kernel log of this machine: everybody who watches it will see {fault}.",
            fix=f"daytwo inject {fault} --to - shows the lines; add --yes-really to write them",
        )
    place = choose_place(name, gpu, paths=HostPaths())
    count = write_ring(injection, place, now=now, marked=marked is not False, ring=ring)
    note(f"{ring}: {count} lines for {fault}\nNext: daytwo triage --host")
    return 0


def run_list() -> int:
    """Print what can be injected and how, and what cannot and why."""
    print_people(render_injections())
    return 0


def render_injections() -> Table:
    """Render the table of injections, one fault a row, in the order of the fault table."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("fault", "shown by", "note"):
        table.add_column(column, overflow="fold")
    injections = load_injections()
    for fault in load_faults():
        ways = injections.get(fault, ())
        if ways:
            shown = ", ".join("stand-in" if one.way in BOARD_WAYS else one.way for one in ways if one.way != "none")
            table.add_row(Text(fault), Text(shown or "—"), Text("; ".join(one.note for one in ways if one.note)))
    return table
