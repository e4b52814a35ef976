"""`daytwo record`: all that this machine shows, as a folder that can be carried away and triaged elsewhere."""

from __future__ import annotations

import platform
import re
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from agent.settings import Settings, load_settings
from serve.terminal import note, print_words
from tools.clock import format_time
from tools.errors import OperatorError
from tools.host_log import open_kernel_log
from tools.host_paths import HostPaths, read_line
from tools.record import Readings, collect_readings
from tools.record_folder import Manifest, check_target, write_recording
from tools.record_tables import FIX_POLARS, has_polars
from tools.scrub import Scrubber, read_map, read_users, write_map
from tools.sources.host import HostSource
from tools.types import Coverage, Inventory

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
MAX_LOG_LINES = 1_000_000
"""Newest lines of the kernel log that are kept, about 100 MB (a guess)."""


def run_record(
    out: Path, *, seconds: str, every: str, scrub: bool, scrub_map: Path | None, paths: HostPaths | None = None
) -> int:
    """Record this machine.

    Args:
        out: Folder to write.
        seconds: For how long, as ``10m``; ``0s`` is one reading.
        every: From one reading to the next, as ``15s``.
        scrub: Replace names.
        scrub_map: Where to write who is who; an earlier one goes on. Implies `scrub`.
        paths: Where the machine is.

    Returns:
        0: what could not be read is told by the triage of the recording.

    Raises:
        OperatorError: The folder is not empty or cannot be written, or a time does not fit.
    """
    settings = load_settings()
    paths = paths or HostPaths()
    duration, interval = parse_span("--for", seconds), max(1.0, parse_span("--every", every))
    check_target(out)
    if scrub_map is not None and scrub_map.resolve().is_relative_to(out.resolve()):
        raise OperatorError("The map would lie in the folder that is handed on.", fix="--scrub-map ~/daytwo-names.json")
    scrubber = Scrubber(read_map(scrub_map) if scrub_map else None) if scrub or scrub_map else None
    inventory = _read_inventory(settings)
    started = datetime.now(UTC)
    readings = _collect(settings, inventory, paths, duration, interval)
    facts = readings.build_facts()
    manifest = Manifest(
        node=facts.subject.node if facts.subject else platform.node(),
        started=format_time(started.timestamp()),
        ended=format_time(datetime.now(UTC).timestamp()),
        readings=readings.count,
        every_seconds=interval,
        versions=_list_versions(paths),
    )
    if scrubber is not None:
        scrubber.learn("host", [platform.node(), *(name for row in inventory for name in (row.node, *row.aliases))])
        scrubber.learn("user", read_users())
    kernel_log = _read_kernel_log(manifest.node, paths)
    manifest = write_recording(out, manifest, facts, kernel_log=kernel_log, scrubber=scrubber)
    if scrubber is not None and scrub_map is not None:
        write_map(scrub_map, scrubber)
    print_words(_tell(out, manifest))
    return 0


def _collect(
    settings: Settings, inventory: tuple[Inventory, ...], paths: HostPaths, seconds: float, every_seconds: float
) -> Readings:
    source = HostSource(
        node=settings.node,
        gpu_timeout_seconds=settings.gpu_timeout_seconds,
        iostat_seconds=settings.iostat_seconds,
        inventory=inventory,
        paths=paths,
    )
    total = int(seconds / every_seconds) + 1

    def progress(count: int) -> None:
        if total > 1:
            note(f"daytwo: reading {count} of {total}; Ctrl-C ends here and keeps what was read")

    return collect_readings(source, seconds=seconds, every_seconds=every_seconds, progress=progress)


def _read_kernel_log(node: str, paths: HostPaths) -> Iterable[str]:
    opened = open_kernel_log(node=node, paths=paths)
    if isinstance(opened, Coverage):
        return ()
    return deque((line.text for line in opened[0].lines()), maxlen=MAX_LOG_LINES)


def _list_versions(paths: HostPaths) -> dict[str, str]:
    told = {
        "daytwo": version("daytwo"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "nvidia_driver": read_line(paths.proc / "driver" / "nvidia" / "version") or "",
    }
    return {name: text for name, text in told.items() if text}


def _tell(out: Path, manifest: Manifest) -> str:
    size = sum(entry.bytes for entry in manifest.files)
    readings = "1 reading" if manifest.readings == 1 else f"{manifest.readings} readings"
    scrubbed = ", names replaced" if manifest.scrubbed else ""
    lines = [f"{out}: {readings} of {manifest.node}, {len(manifest.files) + 1} files, {size} bytes{scrubbed}"]
    if not has_polars():
        lines.append(f"The readings are CSV; for Parquet: {FIX_POLARS}")
    return "\n".join([*lines, f"Next: daytwo triage {out}"])


def parse_span(option: str, text: str) -> float:
    """Read ``90s``, ``10m``, ``2h`` or ``1d`` into seconds.

    Raises:
        OperatorError: It is no span.
    """
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if match is None:
        raise OperatorError(f"{option} {text!r} is no span of time.", fix=f"{option} 30s, {option} 10m or {option} 2h")
    return int(match[1]) * UNITS[match[2]]


def _read_inventory(settings: Settings) -> tuple[Inventory, ...]:
    if settings.inventory is None:
        return ()
    from tools.inventory import read_inventory

    return read_inventory(settings.inventory)
