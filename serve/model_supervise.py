"""The supervisor of the model's servers: all of them up, or a reason why not, kept in a file that others read."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from serve.model_launch import Launch
from serve.model_replica import Replica, read_clock
from serve.model_state import PID_FILE, ServiceState, State, load_state, save_state
from serve.vllm import read_start
from tools.errors import SiteConfigError, UpstreamError

LOOK_SECONDS = 0.3
LOCK_FILE = "lock"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(slots=True)
class Wish:
    """That it should end."""

    stop: bool = False


@dataclass(frozen=True, slots=True)
class Post:
    """Where a supervisor keeps what it knows, and for whom.

    Attributes:
        folder: For state and logs.
        env: The environment of its servers.
        node: This host.
        tell: Hears what happens, in words for people.
    """

    folder: Path
    env: Path
    node: str
    tell: Callable[[str], None]


def supervise(launches: Sequence[Launch], post: Post) -> int:
    """Run servers until they are to end, by Ctrl-C or a signal.

    Returns:
        0 where it was told to end.

    Raises:
        SiteConfigError: A supervisor runs already, or its state cannot be kept.
        UpstreamError: A server could not be kept up: why, with its own words.
    """
    with hold_folder(post.folder), _hear_signals() as wish:
        replicas = [Replica(launch, post.folder, _name_teller(post, launch, launches)) for launch in launches]
        keeper = _Keeper(launches, post)
        try:
            while not wish.stop and not any(one.state == "failed" for one in replicas):
                for replica in replicas:
                    replica.look(read_clock())
                keeper.keep(replicas)
                time.sleep(LOOK_SECONDS)
        finally:
            keeper.keep(replicas, "stopping")
            with ThreadPoolExecutor(len(replicas)) as pool:
                list(pool.map(Replica.stop, replicas))
            failed = next((one for one in replicas if one.state == "failed"), None)
            keeper.keep(replicas, "failed" if failed else "stopped", failed)
            (post.folder / PID_FILE).unlink(missing_ok=True)
        if failed is None or failed.ending is None:
            post.tell("stopped")
            return 0
        said = "".join(f"\n  {quote}" for quote in failed.ending.quotes)
        raise UpstreamError(
            f"The server of {failed.launch.name} is not kept up: {failed.ending.words}.{said}",
            fix=f"{failed.ending.fix} (log: {failed.log})",
        )


def _name_teller(post: Post, launch: Launch, launches: Sequence[Launch]) -> Callable[[str], None]:
    which = f":{launch.port} " if len(launches) > 1 else ""
    return lambda words: post.tell(f"{which}{words}")


class _Keeper:
    """Keeps the state file as the servers are."""

    def __init__(self, launches: Sequence[Launch], post: Post) -> None:
        self._post = post
        pid = os.getpid()
        self._kept = ServiceState(
            name=launches[0].name,
            node=post.node,
            date=datetime.now(UTC),
            env=post.env,
            pid=pid,
            started=read_start(pid) or 0,
        )
        save_state(self._kept, post.folder)
        (post.folder / PID_FILE).write_text(f"{pid}\n", encoding="utf-8")

    def keep(self, replicas: Sequence[Replica], state: State | None = None, failed: Replica | None = None) -> None:
        """Write the state where it changed."""
        rows = tuple(replica.describe() for replica in replicas)
        ending = failed.ending if failed else None
        fresh = self._kept.model_copy(
            update={
                "state": state or sum_up([row.state for row in rows]),
                "replicas": rows,
                "reason": "; ".join([ending.words, *ending.quotes]) if ending else "",
                "fix": ending.fix if ending else "",
            }
        )
        if fresh != self._kept:
            self._kept = fresh
            save_state(fresh, self._post.folder)


def sum_up(states: Sequence[State]) -> State:
    """The state of all servers together: ready where each is, else the least of them."""
    if all(state == "ready" for state in states):
        return "ready"
    return next((state for state in ("failed", "restarting") if state in states), "starting")


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Be the only supervisor of a folder.

    Raises:
        SiteConfigError: Another one is, or servers run that lost theirs.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_FILE).open("a")
    except OSError as error:
        raise SiteConfigError(
            f"{folder} cannot be written: {error.strerror}.", fix="export DAYTWO_DATA_DIR=FOLDER"
        ) from None
    with lock:
        state = load_state(folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running = f" ({', '.join(one.url for one in state.replicas)})" if state else ""
            raise SiteConfigError(f"The model server runs already{running}.", fix="daytwo model status") from None
        if state is not None and state.living:
            raise SiteConfigError(
                f"A server of before still runs without its supervisor (process {state.living[0].pid}).",
                fix="daytwo model stop",
            )
        yield


@contextmanager
def _hear_signals() -> Iterator[Wish]:
    wish = Wish()

    def note(number: int, frame: FrameType | None) -> None:
        wish.stop = True

    # Under nohup the end of the terminal is to be ignored, and stays so.
    heard = [sign for sign in SIGNALS if signal.getsignal(sign) is not signal.SIG_IGN]
    before = {sign: signal.signal(sign, note) for sign in heard}
    try:
        yield wish
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
