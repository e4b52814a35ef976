"""Build the stand-in ``libnvidia-ml.so.1`` and point the real nvidia-ml-py at it; runs without pytest too."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("nvml_standin.c")
LIBRARY = "libnvidia-ml.so.1"


def build_library(folder: Path) -> Path:
    """Compile the stand-in into `folder` under the name that nvidia-ml-py loads; return the library."""
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / LIBRARY
    if not library.exists() or library.stat().st_mtime < max(
        part.stat().st_mtime for part in SOURCE.parent.glob("*.c")
    ):
        made = folder / f"{LIBRARY}.{os.getpid()}"
        argv = [
            "gcc",
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-O1",
            "-shared",
            "-fPIC",
            "-o",
            str(made),
            str(SOURCE),
        ]
        subprocess.run(argv, check=True, timeout=60)
        made.replace(library)  # whole or not at all: several test processes may build at once
    return library


def describe(folder: Path, description: Mapping[str, Any]) -> dict[str, str]:
    """Write a description and return the variables under which the stand-in answers from it.

    Args:
        folder: Where :func:`build_library` put the library; the description is written beside it.
        description: See the head of ``nvml_standin.c``; ``{}`` is eight healthy GPUs.
    """
    text = json.dumps(description, indent=1)
    path = folder / f"gpus-{abs(hash(text)):x}.json"
    path.write_text(text, encoding="utf-8")
    before = os.environ.get("LD_LIBRARY_PATH", "")
    parts = [str(folder), *(part for part in before.split(":") if part and part != str(folder))]
    return {"DAYTWO_NVML_STANDIN": str(path), "LD_LIBRARY_PATH": ":".join(parts)}
