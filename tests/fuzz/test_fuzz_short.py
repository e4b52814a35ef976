"""The short lane: the same mutations as `make fuzz`, with fixed seeds, and Hypothesis over every parser."""

from __future__ import annotations

from random import Random

import fuzz_corpus
import fuzz_mutate
import fuzz_target
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PARTS = range(12)
INPUTS_PER_PART = 250
WHOLE_EVERY = 6
LINES = sorted({line for seed in fuzz_corpus.load_seeds() for line in seed.decode().split("\n") if line.strip()})
WORDS = [word.decode() for word in fuzz_corpus.load_words()]


def make_inputs(part: int) -> list[bytes]:
    rng, seeds, words = Random(part), fuzz_corpus.load_seeds(), fuzz_corpus.load_words()
    made = [fuzz_mutate.mutate(rng, rng.choice(seeds), seeds, words) for _ in range(INPUTS_PER_PART)]
    return [fuzz_mutate.pack(rng, data, seeds) if number % 10 == 0 else data for number, data in enumerate(made)]


def test_the_corpus_holds_every_form():
    from tools.sources._segments import load_parsers, rank_parsers

    known = {
        parser.FORM
        for seed in fuzz_corpus.load_seeds()
        for _, parser in rank_parsers(seed.decode(errors="replace").split("\n"))
    }
    assert {parser.FORM for parser in load_parsers()} - known == set()
    assert len(fuzz_corpus.load_seeds()) > 800 and len(WORDS) > 800


@pytest.mark.parametrize("part", PARTS)
def test_no_changed_input_breaks_a_parser_or_the_way_to_the_page(part):
    for number, data in enumerate(make_inputs(part)):
        with fuzz_target.stop_hangs():
            cost = fuzz_target.run_parsers(data, [number, number + 11, number + 23] if number % 3 else ())
            if number % WHOLE_EVERY == 0:
                whole = fuzz_target.run_whole(data, shown=number % 5 == 0)
                cost = max(cost, whole, key=lambda one: one.seconds)
        # Generous: coverage is measured and other tests run meanwhile. The long lane holds the real limit.
        assert cost.seconds < 5 * fuzz_target.allow_seconds(len(data)), (cost, data[:300])
    assert number > 0


@pytest.mark.parametrize("parser", fuzz_target.load_parsers(), ids=lambda parser: parser.FORM)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(
            st.sampled_from(LINES),
            st.text(max_size=60),
            st.lists(st.sampled_from([*WORDS, " ", "0", "-1", "nan", "1e999", ":", "|", ","]), max_size=12).map(
                "".join
            ),
        ),
        max_size=12,
    ).map("\n".join)
)
def test_any_lines_of_any_form_are_read_or_counted(parser, text):
    with fuzz_target.stop_hangs():
        fuzz_target.run_parser(parser, text)
