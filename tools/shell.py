"""Run a program: argument lists only, no shell, with a time-out, an output cap and a plain environment."""

from __future__ import annotations

import os
import select
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from tools.errors import ToolFailed, ToolMissing, ToolTimeout

PACKAGES = {
    "dmesg": "util-linux",
    "findmnt": "util-linux",
    "gcc": "gcc",
    "ibstat": "infiniband-diags",
    "iostat": "sysstat",
    "journalctl": "systemd",
    "nvidia-smi": "nvidia-utils",
    "smartctl": "smartmontools",
    "systemctl": "systemd",
    "virsh": "libvirt-clients",
    "xl": "xen-utils-common",
}
"""Program to the Debian package that has it; Red Hat's name is the same or near."""

DEFAULT_MAX_BYTES = 64 * 1024**2
_CHUNK_BYTES = 64 * 1024
_POLL_SECONDS = 0.1
_REAP_SECONDS = 1.0

_abandoned: list[subprocess.Popen[bytes]] = []  # kept, so that nothing ever waits for a process stuck in the kernel


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What came of one program.

    Attributes:
        stdout, stderr: Decoded as UTF-8, broken bytes replaced, each cut at the output cap.
        exit_code: As the program gave it; negative is the signal that ended it.
        truncated: True where the output cap was reached; the program was then killed.
    """

    argv: tuple[str, ...]
    stdout: str
    stderr: str
    exit_code: int
    seconds: float
    truncated: bool = False

    @property
    def command(self) -> str:
        """The command as a person would type it."""
        return " ".join(self.argv)


def install_hint(program: str) -> str:
    """Say what to type to get a program."""
    package = PACKAGES.get(program, program)
    return f"apt-get install {package} (or: dnf install {package})"


def run_command(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    max_bytes: int = DEFAULT_MAX_BYTES,
    env: Mapping[str, str] | None = None,
) -> CommandResult:
    """Run a program to its end, or kill its whole process group.

    Args:
        argv: Program and arguments; never a shell line.
        timeout_seconds: Longest wait for the end of the program.
        max_bytes: Output cap for each of stdout and stderr; beyond it the program is killed and the result truncated.
        env: Variables on top of this process' own; ``LC_ALL=C`` is always set, so that output can be parsed.

    Raises:
        ToolMissing: The program is not installed.
        ToolFailed: The program could not be started.
        ToolTimeout: No end within `timeout_seconds`.
    """
    program = argv[0]
    environment = {**os.environ, **(env or {}), "LC_ALL": "C"}
    if shutil.which(program, path=environment.get("PATH")) is None:
        raise ToolMissing(f"The program {program} is not installed.", fix=install_hint(program))
    started = time.monotonic()
    try:
        process = subprocess.Popen(  # noqa: S603  # no shell; the callers' argument lists are fixed in code
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolFailed(
            f"{program} could not be started: {error.strerror}.", fix=f"ls -l $(which {program})"
        ) from None
    with _Outputs(process) as outputs:
        timed_out, truncated = outputs.collect(started + timeout_seconds, max_bytes)
        if timed_out or truncated or outputs.still_open:
            stop_process_group(process)
    if timed_out:
        raise ToolTimeout(
            f"`{' '.join(argv)}` gave no answer within {timeout_seconds:g} s.", fix=f"run it by hand: {' '.join(argv)}"
        )
    code = process.returncode if process.returncode is not None else -signal.SIGKILL
    stdout, stderr = outputs.texts(max_bytes)
    return CommandResult(tuple(argv), stdout, stderr, code, time.monotonic() - started, truncated)


def expect_success(result: CommandResult) -> CommandResult:
    """Return the result of a program that ended well.

    Raises:
        ToolFailed: It ended with another code than 0; its own last words are quoted.
    """
    if result.exit_code == 0:
        return result
    words = (result.stderr.strip() or result.stdout.strip()).splitlines()
    said = f": {words[-1][:200]}" if words else ""
    raise ToolFailed(f"`{result.command}` ended with code {result.exit_code}{said}.", fix=f"run: {result.command}")


def stop_process_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started; a process stuck in the kernel is abandoned, never waited for."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    try:
        process.wait(timeout=_REAP_SECONDS)
    except subprocess.TimeoutExpired:
        _abandoned.append(process)


class Listener:
    """A program that is listened to line by line while it runs, and killed with all that it started.

    Args:
        argv: Program and arguments; never a shell line.

    Raises:
        ToolFailed: It could not be started.

    Attributes:
        descriptor: Becomes readable when it has said more.
        has_ended: Whether it has closed its output.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        null = subprocess.DEVNULL
        try:
            self._process = subprocess.Popen(  # noqa: S603  # no shell; the callers' argument lists are fixed in code
                list(argv), stdin=null, stdout=subprocess.PIPE, stderr=null, start_new_session=True
            )
        except OSError as error:
            raise ToolFailed(f"{argv[0]} could not be started: {error.strerror}.", fix=f"ls -l {argv[0]}") from None
        if self._process.stdout is None:
            raise ValueError("a process without an output pipe")
        self._stream: IO[bytes] = self._process.stdout
        self._buffer = b""
        self.descriptor = self._stream.fileno()
        self.has_ended = False

    def __enter__(self) -> Listener:
        """Stop it at the end of a block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def read(self, seconds: float) -> list[bytes] | None:
        """Take the whole lines that it has said; waits so long for something, and returns None where nothing came."""
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        if not ready:
            return None
        chunk = os.read(self.descriptor, _CHUNK_BYTES)
        self.has_ended = not chunk
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        return lines

    def stop(self) -> int | None:
        """Kill it, if it still runs; returns its exit code, None where the kernel does not let go of it."""
        if not self._stream.closed:
            stop_process_group(self._process)
            self._stream.close()
        return self._process.returncode


class _Outputs:
    """Both output pipes of a process, read together as bytes come."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None or process.stderr is None:
            raise ValueError("a process without output pipes")
        self._process = process
        self._streams: tuple[IO[bytes], IO[bytes]] = (process.stdout, process.stderr)
        self._parts = (bytearray(), bytearray())
        self._selector = selectors.DefaultSelector()
        for number, stream in enumerate(self._streams):
            self._selector.register(stream, selectors.EVENT_READ, number)

    def __enter__(self) -> _Outputs:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for stream in self._streams:
            stream.close()

    def collect(self, deadline: float, max_bytes: int) -> tuple[bool, bool]:
        """Read until both pipes end, the deadline passes or the cap is reached; return (timed out, truncated)."""
        while self._selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return True, False
            ready = self._selector.select(min(left, _POLL_SECONDS))
            if not ready and self._process.poll() is not None:
                ready = self._selector.select(0)  # what it said between the two looks
                if not ready:
                    return False, False  # ended, and a process that it left behind holds the pipe
            for key, _ in ready:
                if self._read_some(key.fd, key.data, max_bytes):
                    return False, True
        return self._wait_for_end(deadline), False

    @property
    def still_open(self) -> bool:
        """Whether some process holds a pipe: the program itself, or one that it left behind."""
        return bool(self._selector.get_map())

    def texts(self, max_bytes: int) -> tuple[str, str]:
        """Decode what was read: (stdout, stderr)."""
        first, second = (bytes(part[:max_bytes]).decode("utf-8", errors="replace") for part in self._parts)
        return first, second

    def _read_some(self, descriptor: int, number: int, max_bytes: int) -> bool:
        chunk = os.read(descriptor, _CHUNK_BYTES)
        if not chunk:
            self._selector.unregister(self._streams[number])
        self._parts[number].extend(chunk)
        return len(self._parts[number]) > max_bytes

    def _wait_for_end(self, deadline: float) -> bool:
        try:
            self._process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return True
        return False
