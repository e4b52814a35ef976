"""One installation that may act: a site's file, an inventory, a program named systemctl; shared by every room's tests."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

HERE = platform.node()
UNIT = f"service:{HERE}/nvidia-fabricmanager"
FAILED = "{when} {host} systemd[1]: nvidia-fabricmanager.service: Failed with result 'exit-code'.\n"
SYSTEMCTL = """#!/bin/sh
echo "$@" >> {folder}/calls
case "$*" in
*" show "*) printf 'LoadState=loaded\\nActiveState=%s\\nInvocationID=%s\\n' "$(cat {folder}/active)" "$(cat {folder}/id)";;
*" restart "*) {slow} echo active > {folder}/active; echo two > {folder}/id;;
esac
"""


class Home:
    """One installation: its files, its environment, and what its systemctl was asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.env = monkeypatch
        for name in [name for name in os.environ if name.startswith("DAYTWO_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("DAYTWO_DATA_DIR", str(folder / "data"))
        monkeypatch.setenv("DAYTWO_INVENTORY", str(folder / "inventory.csv"))
        monkeypatch.setenv("DAYTWO_SITE_FILE", str(folder / "site.toml"))
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setattr("agent.executors.restart_service.SETTLE_SECONDS", 0.01)
        (folder / "inventory.csv").write_text(f"node,state\n{HERE},production\nn9,burn_in\n")
        self.write_site()
        self.write_systemctl()

    def write_systemctl(self, slow: str = "") -> None:
        (self.folder / "active").write_text("failed")
        (self.folder / "id").write_text("one")
        path = self.folder / "systemctl"
        path.write_text(SYSTEMCTL.format(folder=self.folder, slow=slow))
        path.chmod(0o755)

    def write_site(self, autonomy: str = "", **rules: object) -> None:
        given = {"level": "propose", "executor": "restart_service", "allow": ["service:*/nvidia-fabricmanager"]}
        lines = [f"{key} = {json.dumps(value)}" for key, value in (given | rules).items()]
        stop = f'kill_switch = "{self.folder}/stop"'
        text = "\n".join(["[autonomy]", stop, autonomy, "[autonomy.actions.restart_service]", *lines])
        (self.folder / "site.toml").write_text(text)

    def write_log(self, host: str = HERE, seconds: float = 60.0, name: str = "syslog") -> Path:
        when = datetime.fromtimestamp(time.time() - seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
        path = self.folder / name
        path.write_text(FAILED.format(when=when, host=host))
        return path

    @property
    def restarts(self) -> list[str]:
        path = self.folder / "calls"
        return [line for line in path.read_text().splitlines() if "restart" in line] if path.exists() else []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Build one."""
    return Home(tmp_path, monkeypatch)


@pytest.fixture
def daytwo(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process: its exit code, standard output and standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["daytwo", *words])
        from serve.main import main

        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run
