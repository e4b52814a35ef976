"""Every form of evidence, one file each: `FAULT@name.txt` must give that fault, whatever a person put around it."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.policy import SitePolicy
from agent.triage import triage
from tools.errors import EvidenceUnreadable
from tools.sources.recording import RecordingSource

FOLDER = Path(__file__).parent / "forms"
SAMPLES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.txt"))}
HEALTHY = {"healthy", "benign"}
SICK = [name for name in SAMPLES if not name.startswith(("healthy@", "unknown@"))]
WELL = [name for name in SAMPLES if name.startswith("healthy@")]
DISTURBED = [name for name in SAMPLES if "@iostat-mail" not in name and "-fence" not in name]


def judge(text):
    source = RecordingSource([], stdin=io.BytesIO(text.encode("utf-8", errors="surrogateescape")), max_bytes=10**8)
    try:
        facts = source.read_facts()
    except EvidenceUnreadable:
        return "unknown"
    return triage(facts, site=SitePolicy(), now=datetime(2025, 11, 20, tzinfo=UTC)).verdicts[0].fault


def expected(name):
    return HEALTHY if name.startswith("healthy@") else {name.partition("@")[0]}


def test_there_is_a_sick_and_a_healthy_sample_of_many_forms():
    assert len(SICK) >= 90 and len(WELL) >= 55


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_gives_its_fault(name):
    assert judge(SAMPLES[name]) in expected(name)


AROUND = {
    "windows line ends": lambda text: text.replace("\n", "\r\n"),
    "mail": lambda text: "".join(f"> {line}\n" for line in text.splitlines()),
    "indented": lambda text: "".join(f"    {line}\n" for line in text.splitlines()),
    "fence": lambda text: f"```\n{text.rstrip()}\n```\n",
    "prompt": lambda text: f"[root@gpu-7 ~]# cat out.txt\n{text.rstrip()}\n[root@gpu-7 ~]# \n",
    "colours": lambda text: "".join(f"\x1b[0;32m{line}\x1b[0m\n" for line in text.splitlines()),
    "tmux": lambda text: f'{text.rstrip()}\n[0] 0:bash- 1:watch*          "gpu-7" 16:20 20-Nov-25\n',
    "no end": lambda text: text.rstrip("\n"),
}


@pytest.mark.parametrize("around", AROUND)
def test_what_a_person_put_around_it_changes_nothing(around):
    # Each sample with one of them: all with all takes half a minute.
    shift = list(AROUND).index(around)
    chosen = DISTURBED[shift :: len(AROUND)]
    wrong = {name: got for name in chosen if (got := judge(AROUND[around](SAMPLES[name]))) not in expected(name)}
    assert not wrong


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(WELL), share=st.floats(0, 1))
def test_a_healthy_text_that_is_cut_is_no_fault(name, share):
    text = SAMPLES[name]
    assert judge(text[: int(share * len(text))]) in {*HEALTHY, "unknown", "not_applicable"}


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(sorted(SAMPLES)), start=st.floats(0, 1), end=st.floats(0, 1), noise=st.text(max_size=30))
def test_any_part_with_any_noise_is_read(name, start, end, noise):
    text = SAMPLES[name]
    first, last = sorted((int(start * len(text)), int(end * len(text))))
    assert judge(text[:first] + noise + text[last:])


@settings(max_examples=20, deadline=None)
@given(one=st.sampled_from(SICK), other=st.sampled_from(WELL))
def test_a_healthy_text_before_a_sick_one_hides_nothing(one, other):
    text = f"$ first command\n{SAMPLES[other].rstrip()}\n\nroot@gpu-7:~# second command\n{SAMPLES[one]}"
    assert judge(text) not in HEALTHY
