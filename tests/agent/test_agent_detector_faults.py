"""Every fault that a detector hints at is named in the table of detected faults, and nothing else is."""

import ast
from pathlib import Path

from agent.faults import list_detector_faults, load_faults
from agent.symptoms import NOT_A_FAULT

DETECTORS = sorted((Path(__file__).parents[2] / "tools" / "detectors").glob("[a-z]*.py"))


def texts_of(path):
    """All strings of a module that stand alone, docstrings and formatted ones left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_detectors_and_the_table_name_the_same_faults():
    hinted = {text for path in DETECTORS for text in texts_of(path)} & set(load_faults())
    assert hinted - NOT_A_FAULT == set(list_detector_faults())
