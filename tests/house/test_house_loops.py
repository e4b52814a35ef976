"""No test that cannot fail: one that asserts only inside of a loop says that the loop had something to go over."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
KEEP_COUNT = frozenset({"range", "enumerate", "zip", "sorted", "reversed", "list", "set", "tuple", "product"})
KEEP_FILLED = frozenset({"items", "values", "keys", "split", "splitlines"})


def is_filled(node: ast.expr, known: set[str]) -> bool:
    """Say whether what is looped over is written down in the test file, and is not empty."""
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return bool(node.elts)
    if isinstance(node, ast.Dict):
        return bool(node.keys)
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if isinstance(node, ast.Name):
        return node.id.isupper() or node.id in known
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in KEEP_COUNT and all(is_filled(argument, known) for argument in node.args)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in KEEP_FILLED and is_filled(node.func.value, known)
    if isinstance(node, ast.BinOp):
        return is_filled(node.left, known) and is_filled(node.right, known)
    return isinstance(node, ast.Subscript) and is_filled(node.value, known)


def is_check(node: ast.AST) -> bool:
    return isinstance(node, ast.Assert) or (
        isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("pytest.raises", "hold", "assert"))
    )


def find_empty_loops(tree: ast.Module) -> list[str]:
    """Names of tests whose every check stands in a loop that may have nothing to go over."""
    found = []
    for test in ast.walk(tree):
        if not isinstance(test, ast.FunctionDef) or not test.name.startswith("test_"):
            continue
        # Hypothesis tries inputs that give nothing too.
        if any("given" in ast.unparse(decorator) for decorator in test.decorator_list):
            continue
        known = {
            target.id
            for node in ast.walk(test)
            if isinstance(node, ast.Assign) and is_filled(node.value, set())
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        loops = [node for node in ast.walk(test) if isinstance(node, ast.For) and not is_filled(node.iter, known)]
        inside = {id(node) for loop in loops for node in ast.walk(loop)}
        checks = [node for node in ast.walk(test) if is_check(node)]
        if checks and all(id(node) in inside for node in checks):
            found.append(f"{test.lineno} {test.name}")
    return found


def test_tests_that_loop_say_that_they_looped():
    files = sorted(TESTS.rglob("test_*.py"))
    assert len(files) > 50
    found = {
        str(path.relative_to(TESTS)): names
        for path in files
        if (names := find_empty_loops(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == {}, "assert that what is looped over is not empty, or count the rounds"


def test_the_rule_sees_what_it_is_for():
    looks = "def test_x():\n    for row in read():\n        assert row\n"
    assert find_empty_loops(ast.parse(looks)) == ["1 test_x"]
    assert find_empty_loops(ast.parse(looks + "    assert row\n")) == []
    assert find_empty_loops(ast.parse(looks.replace("read()", "ROWS"))) == []
    assert find_empty_loops(ast.parse(looks.replace("read()", "[]"))) == ["1 test_x"]
