"""House rules that no linter knows: caps on length, no silent ignores, no blind except, names that are ours."""

from __future__ import annotations

import ast
import re
import subprocess
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("agent", "tools", "prompts", "rag", "evals", "serve")
FORBIDDEN_NAMES = ("utils.py", "helpers.py", "common.py", "misc.py")
MAX_FUNCTION_LINES = 60
MAX_MODULE_LINES = 400

MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(tree: ast.Module):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_there_is_something_to_check():
    assert len(MODULES) > 20


def test_modules_are_short():
    long = {name(path): count for path in MODULES if (count := count_lines(path)) > MAX_MODULE_LINES}
    assert long == {}, f"more than {MAX_MODULE_LINES} lines: split by what the parts do"


def test_functions_are_short():
    long = {
        f"{name(path)}:{node.lineno} {node.name}": length
        for path in MODULES
        for node in functions(read_tree(path))
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert long == {}, f"more than {MAX_FUNCTION_LINES} lines"


def test_ignores_carry_a_code():
    bare = re.compile(r"#\s*type:\s*ignore(?!\[)|#\s*noqa(?!:)")
    found = [
        f"{name(path)}:{number}"
        for path in [*MODULES, *TESTS]
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert found == []


def test_no_blind_except():
    found = [
        f"{name(path)}:{handler.lineno}"
        for path in MODULES
        for handler in ast.walk(read_tree(path))
        if isinstance(handler, ast.ExceptHandler)
        and (handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id in BLIND))
    ]
    assert found == []


BLIND = {"Exception", "BaseException"}


def test_names_say_what_is_done():
    found = [name(path) for path in MODULES if path.name in FORBIDDEN_NAMES]
    for path in MODULES:
        for node in ast.walk(read_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and re.match(r"_?get_", node.name):
                found.append(f"{name(path)}:{node.lineno} {node.name}")
            if isinstance(node, ast.ClassDef) and node.name.lower().endswith(("manager", "helper")):
                found.append(f"{name(path)}:{node.lineno} {node.name}")
    assert found == []


def test_importing_a_module_reads_no_environment():
    """Settings are read in one file; everything else is handed what it needs."""
    allowed = {
        "agent/settings.py",
        "serve/terminal.py",  # TERM
        "tools/shell.py",  # what a child process gets
        "serve/vllm.py",  # and what a server gets
        "tools/nvml.py",  # where the driver library is
    }
    found = [
        f"{name(path)}:{node.lineno}"
        for path in MODULES
        if name(path) not in allowed
        for node in ast.walk(read_tree(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr in ("environ", "getenv")
    ]
    assert found == []


def test_the_six_names_are_ours():
    """Plain top-level names are only safe while no other distribution of this environment has them."""
    owners = packages_distributions()
    foreign = {room: owners[room] for room in ROOMS if set(owners.get(room, [])) - {"daytwo"}}
    assert foreign == {}, "uninstall that distribution: its package shadows a room"


@pytest.mark.parametrize("folder", ["agent", "tools", "prompts", "rag", "evals", "serve"])
def test_every_room_says_its_job(folder):
    assert ast.get_docstring(read_tree(ROOT / folder / "__init__.py"))


def test_nothing_of_a_workplace_is_in_the_repository():
    """No path of one machine, in code or prose."""
    local = re.compile(r"/(?:work|home/[a-z]+|root)/[a-z]")
    texts = [
        *MODULES,
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "Makefile",
        *(ROOT / "rag").rglob("*.md"),
    ]
    found = [
        f"{name(path)}:{number}: {line.strip()[:80]}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if local.search(line)
    ]
    assert found == []


PROSE_AND_DATA = {".py", ".md", ".yaml", ".yml", ".csv", ".toml", ".json", ".jinja", ".txt", ".log", ".c", ".out", ""}
WORKPLACE = re.compile("|".join(("/wo" + "rk/", "/tmp/de" + "v-", "sha" + "red/", r"\.lib" + r"rary/")))


def list_texts() -> list[Path]:
    """List what is, or could be, committed: a coverage file beside it holds the paths of its own machine."""
    listing = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    paths = [ROOT / one for one in names if one and one != "uv.lock"]
    return sorted(path for path in paths if path.is_file() and path.suffix in PROSE_AND_DATA)


def test_no_file_names_where_it_was_made():
    """Tests, scenarios, tables and the gate itself too; the names of homes in test data are allowed."""
    texts = list_texts()
    names = {name(path) for path in texts}
    assert {".ci/run", "Makefile", "tools/catalogue/xid.csv", "tests/house/test_house.py"} <= names
    assert any(path.suffix == ".yaml" for path in texts)
    found = [
        f"{name(path)}:{number}: {line.strip()[:80]}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if WORKPLACE.search(line)
    ]
    assert found == []


SPAWNERS = {"tools/shell.py"}
SPAWNS = re.compile(r"(posix_spawnp?|spawn[lv]p?e?|exec[lv]p?e?|system|popen|fork|forkpty)$")


def test_only_the_shell_starts_programs():
    """The import linter sees `subprocess`; `os` has ways of its own."""
    assert SPAWNS.match("execve")
    found = []
    for path in MODULES:
        for node in ast.walk(read_tree(path)):
            if name(path) in SPAWNERS:
                continue
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id in ("os", "posix") and SPAWNS.match(node.attr):
                    found.append(f"{name(path)}:{node.lineno} {node.value.id}.{node.attr}")
                if node.value.id == "asyncio" and node.attr.startswith("create_subprocess"):
                    found.append(f"{name(path)}:{node.lineno} asyncio.{node.attr}")
            if isinstance(node, ast.ImportFrom) and node.module in ("os", "posix"):
                found += [f"{name(path)}:{node.lineno} {one.name}" for one in node.names if SPAWNS.match(one.name)]
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
                found += [f"{name(path)}:{node.lineno} {one}" for one in modules if one in ("pty", "multiprocessing")]
    assert found == []


def count_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())
