"""Fixtures of the stand-in NVML library, shared by every room's tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from standin import build_library, describe


@pytest.fixture(scope="session")
def nvml_library_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the compiled stand-in."""
    folder = tmp_path_factory.mktemp("nvml")
    build_library(folder)
    return folder


@pytest.fixture
def nvml_standin(
    nvml_library_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    """Return a function: description -> variables, which are set for this test as well."""

    def use(description: Mapping[str, Any]) -> dict[str, str]:
        env = describe(nvml_library_folder, description)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        return env

    return use
