"""Lines of corosync, pacemaker and keepalived: which of them count a member out."""

import pytest

from agent.policy import SitePolicy
from agent.triage import triage
from evals.runner import FROZEN_NOW
from tools.sources.recording import RecordingSource

HEAD = "2024-02-03T04:05:06+0000 ha-1 "
LOST = HEAD + "pacemaker-attrd[71]:  notice: Node ha-2 state is now lost"
LEFT = HEAD + "corosync[70]:   [TOTEM ] A new membership (1.2a) was formed. Members left: 2"
SPLIT = HEAD + "corosync[70]:   [TOTEM ] A processor failed, forming new configuration."
JOINED = HEAD + "corosync[70]:   [TOTEM ] A new membership (1.2b) was formed. Members joined: 2"
MEMBER = HEAD + "pacemaker-attrd[71]:  notice: Node ha-2 state is now member"


def first(tmp_path, *lines):
    path = tmp_path / "messages.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    facts = RecordingSource([path], max_bytes=10**7).read_facts()
    return triage(facts, site=SitePolicy(), now=FROZEN_NOW).verdicts[0]


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        ((LOST,), {"node_down"}),
        ((LEFT, LOST), {"node_down"}),
        ((SPLIT,), {"network_unreachable"}),
        ((JOINED, MEMBER), {"healthy", "benign"}),
    ],
)
def test_a_member_that_leaves_is_heard_and_one_that_comes_is_not(tmp_path, lines, faults):
    assert first(tmp_path, *lines).fault in faults


def test_the_lost_member_is_the_subject(tmp_path):
    assert first(tmp_path, LOST).subject.entity == "node:ha-2"
