"""What is known of Daytwo's own model server, in a file beside its log: where it runs, on which GPUs, how it does."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve.vllm import ProcessMark, has_session, is_running
from tools.errors import SiteConfigError

FOLDER = "service"
STATE_FILE = "state.json"
PID_FILE = "supervisor.pid"
SERVICE = "daytwo-model"
State = Literal["starting", "ready", "restarting", "stopping", "stopped", "failed"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class HeldGpu(_Frozen):
    """A GPU that the model holds."""

    index: int
    uuid: str = ""
    pci: str = ""


class ReplicaState(_Frozen):
    """One server of the model.

    Attributes:
        pid, started: Its process, and ticks since boot at its start; 0 while there is none.
        words: How far it has come, or why it ended.
        kv_cache_tokens, contexts: As the server measured them; None until it has.
    """

    url: str
    gpus: tuple[HeldGpu, ...] = ()
    log: Path
    pid: int = 0
    started: int = 0
    state: State = "starting"
    words: str = ""
    restarts: int = 0
    kv_cache_tokens: int | None = None
    contexts: float | None = None
    planned_contexts: int | None = None

    @property
    def mark(self) -> ProcessMark:
        """Its process."""
        return ProcessMark(self.pid, self.started)


class ServiceState(_Frozen):
    """`daytwo.model-service/1`: the model server as its supervisor keeps it.

    Attributes:
        node: Host that it runs on.
        pid, started: The supervisor's process, and ticks since boot at its start.
        reason: Why it stopped or failed.
    """

    schema_: Literal["daytwo.model-service/1"] = Field(default="daytwo.model-service/1", alias="schema")
    name: str
    node: str
    date: datetime
    env: Path
    pid: int
    started: int
    state: State = "starting"
    reason: str = ""
    fix: str = ""
    replicas: tuple[ReplicaState, ...] = ()

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    @property
    def mark(self) -> ProcessMark:
        """The supervisor's process."""
        return ProcessMark(self.pid, self.started)

    @property
    def is_supervised(self) -> bool:
        """True while the supervisor runs."""
        return is_running(self.mark)

    @property
    def living(self) -> tuple[ReplicaState, ...]:
        """Servers of which a process still runs, supervised or not: an engine outlives its server."""
        return tuple(one for one in self.replicas if has_session(one.mark))

    @property
    def is_alive(self) -> bool:
        """True while the supervisor or any server runs."""
        return self.is_supervised or bool(self.living)


def place_service(data_dir: Path) -> Path:
    """The folder with state, logs and process number."""
    return data_dir / FOLDER


def save_state(state: ServiceState, folder: Path) -> None:
    """Write the state, whole or not at all.

    Raises:
        SiteConfigError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"{STATE_FILE}.new"
        fresh.write_text(state.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
        fresh.replace(folder / STATE_FILE)
    except OSError as error:
        raise SiteConfigError(
            f"The state of the model server cannot be kept in {folder}: {error.strerror}.",
            fix="export DAYTWO_DATA_DIR=FOLDER, one that can be written",
        ) from None


def load_state(folder: Path) -> ServiceState | None:
    """Read the state; None where there never was a server, or the file is of another edition."""
    try:
        return ServiceState.model_validate_json((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
