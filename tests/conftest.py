"""Fixtures for every room, and who runs alone: see tests/standin/."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

# `standin` is a module of the tests, not of the product; the folder above is left out, as its rooms carry our names.
sys.path.append(str(Path(__file__).parent / "standin"))

pytest_plugins = ["standin_plugin", "alone_plugin", "store_plugin", "action_plugin"]

# A machine under load is no slow parser: what may take how long is the fuzz lane's to say, by processor time.
settings.register_profile("daytwo", deadline=None)
settings.load_profile("daytwo")
