"""Find modules by walking a folder: adding one file adds one parser, detector, source, tool or backend."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType


@cache
def walk_modules(package: str) -> tuple[ModuleType, ...]:
    """Import every public module directly below a package, in name order.

    Args:
        package: Dotted name, such as ``tools.parsers``.

    Returns:
        The modules; those whose name starts with an underscore are helpers and left out.
    """
    root = importlib.import_module(package)
    names = sorted(info.name for info in pkgutil.iter_modules(root.__path__) if not info.name.startswith("_"))
    return tuple(importlib.import_module(f"{package}.{name}") for name in names)
