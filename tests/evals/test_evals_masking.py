"""The seeded set of what must be hidden and what must stay."""

from __future__ import annotations

from random import Random

import pytest

from evals.masking import FORMS, fill_line, score_masking


@pytest.mark.parametrize("seed", range(6))
def test_recall_and_precision_hold(seed: int) -> None:
    score = score_masking(seed)
    assert score.told > 70
    assert score.recall >= 0.99, score.left
    assert score.precision >= 0.95, score.taken
    assert score.restored


def test_seeds_give_other_names() -> None:
    line = "«host» «ipv4» «secret:sk»"
    assert fill_line(line, Random(1)) != fill_line(line, Random(2))
    assert fill_line(line, Random(1)) == fill_line(line, Random(1))


def test_a_mask_that_misses_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.masking.find_secrets", lambda text: iter(()))
    score = score_masking(1)
    assert score.recall < 0.9
    assert any("password" in one for one in score.left)
    assert len(FORMS) > 20
