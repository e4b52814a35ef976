import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.document import TextDocument
from tools.errors import SiteConfigError
from tools.inventory import read_inventory
from tools.parsers import guests, inventory, jobs
from tools.parsers._hostlist import expand_hostlist

XL = """\
Name                                        ID   Mem VCPUs      State   Time(s)
Domain-0                                     0  8192     8     r-----  123456.7
web-01                                       3  4096     2     -b----    1234.5
db-replica-3                                 7 16384     8     r-----   99887.1
"""
VIRSH = """\
 Id   Name       State
----------------------------
 1    web-01     running
 -    db-old     shut off
"""
DOMBLK = """\
root@hv-12:~# virsh domblklist mail-2
 Target   Source
------------------------------------
 vda      /dev/vg0/mail-2
 hda      -
"""
LSBLK = """\
NAME                  MAJ:MIN RM   SIZE RO TYPE MOUNTPOINTS
sdb                     8:16   0   1.8T  0 disk
├─vg0-mail--2         253:9    0   100G  0 lvm
└─sdb2                  8:18   0   1.8T  0 part
"""
MAP = """\
# guest block devices
web-01        dm-3  sdb
db-replica-3  dm-7  sdb
"""


def read(text, module=guests, node="hv-12"):
    return module.parse(TextDocument("guests.txt", node, text))


def links(parsed):
    return {(str(link.subject), link.relation, str(link.object)) for link in parsed.facts.links}


def test_xen_list_leaves_the_host_domain_out():
    parsed = read(XL)
    assert [str(entity) for entity in parsed.facts.entities] == ["guest:hv-12/web-01", "guest:hv-12/db-replica-3"]
    (window,) = parsed.facts.windows
    assert window.latest(1, "guest_memory_bytes") == 16384 * 1024**2
    assert parsed.unread.unread == 0


def test_virsh_list():
    assert [entity.name for entity in read(VIRSH).facts.entities] == ["web-01", "db-old"]


def test_plain_map():
    assert guests.recognise(MAP.splitlines()) >= 0.9
    assert links(read(MAP)) == {
        ("guest:hv-12/web-01", "uses", "disk:hv-12/dm-3"),
        ("disk:hv-12/dm-3", "part_of", "disk:hv-12/sdb"),
        ("guest:hv-12/db-replica-3", "uses", "disk:hv-12/dm-7"),
        ("disk:hv-12/dm-7", "part_of", "disk:hv-12/sdb"),
    }


def test_plain_map_with_named_columns_in_another_order():
    parsed = read("device,backing,guest\n/dev/dm-3,/dev/sdb,web-01\n")
    assert ("guest:hv-12/web-01", "uses", "disk:hv-12/dm-3") in links(parsed)
    assert ("disk:hv-12/dm-3", "part_of", "disk:hv-12/sdb") in links(parsed)


@pytest.mark.parametrize("line", ["dm-7 -> db-3", "/dev/dm-7 => db-3", "dm-7 -> db-3 (sdb)"])
def test_arrows(line):
    assert guests.recognise([line]) >= 0.3
    assert ("guest:hv-12/db-3", "uses", "disk:hv-12/dm-7") in links(read(line))


def test_domblklist_takes_its_guest_from_the_prompt_and_lsblk_names_the_mapper():
    found = links(read(DOMBLK + "\n" + LSBLK))
    assert ("guest:hv-12/mail-2", "uses", "disk:hv-12/vg0-mail--2") in found
    assert ("disk:hv-12/vg0-mail--2", "part_of", "disk:hv-12/dm-9") in found
    assert ("disk:hv-12/dm-9", "part_of", "disk:hv-12/sdb") in found


def test_domstats_and_dmsetup():
    text = "Domain: 'db-3'\n  block.count=1\n  block.0.name=vda\n  block.0.path=/dev/vg0/db\nvg0-db  (253:4)\n"
    found = links(read(text))
    assert ("guest:hv-12/db-3", "uses", "disk:hv-12/vg0-db") in found
    assert ("disk:hv-12/vg0-db", "part_of", "disk:hv-12/dm-4") in found


def test_xe_lists_name_guests():
    text = "uuid ( RO)           : 1111-2222\n     name-label ( RW): mail-1\n    power-state ( RO): running\n"
    assert guests.recognise(text.splitlines()) > 0.6
    parsed = read(text)
    assert [entity.name for entity in parsed.facts.entities] == ["mail-1"] and parsed.unread.unread == 0


@given(text=st.text(st.characters(codec="utf-8"), max_size=300), cut=st.integers(0, 600))
def test_any_text_and_any_truncation_is_read(text, cut):
    whole = XL + MAP + DOMBLK + LSBLK
    for candidate in (text, MAP + text, whole[:cut], whole[cut:]):
        assert 0.0 <= guests.recognise(candidate.split("\n")) <= 1.0
        read(candidate)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("gpu-[001-003]", ("gpu-001", "gpu-002", "gpu-003")),
        ("gpu-[08-10,12],login1", ("gpu-08", "gpu-09", "gpu-10", "gpu-12", "login1")),
        ("r[1-2]n[1-2]", ("r1n1", "r1n2", "r2n1", "r2n2")),
        ("n[5-2]", ("n[5-2]",)),
        ("", ()),
        ("a a,b", ("a", "b")),
    ],
)
def test_hostlists(text, names):
    assert expand_hostlist(text) == names


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_any_hostlist_is_bounded(text):
    assert len(expand_hostlist(text)) <= 65536


JOBS = """\
job_id,name,user,state,start,end,nodes,gpus_per_node
4711,train,ada,RUNNING,2026-03-04T01:00:00,,"gpu-[001-002],gpu-007",8
4712,infer,bob,COMPLETED,2026-03-04T01:00:00,2026-03-04T02:00:00,gpu-003,1
"""


def test_jobs_run_on_their_nodes():
    assert jobs.recognise(JOBS.splitlines()) > 0.9
    assert links(read(JOBS, jobs)) == {
        ("job:4711", "runs_on", "node:gpu-001"),
        ("job:4711", "runs_on", "node:gpu-002"),
        ("job:4711", "runs_on", "node:gpu-007"),
        ("job:4712", "runs_on", "node:gpu-003"),
    }


INVENTORY = """\
node,site,rack,gpu_model,gpus,nics,state,owner,aliases
gpu-001,fra,r07,H100,8,9,production,ml,gpu-001.example.net;10.0.0.1
gpu-002,fra,r07,H100,8,,burn_in,ml,
"""


def test_inventory_among_the_evidence_counts_rows_that_do_not_fit():
    assert inventory.recognise(INVENTORY.splitlines()) > 0.9
    parsed = read(INVENTORY + "gpu-003,fra,r07,H100,many,,production,,\n", inventory)
    assert [entry.node for entry in parsed.facts.inventory] == ["gpu-001", "gpu-002"]
    assert parsed.facts.inventory[0].aliases == ("gpu-001.example.net", "10.0.0.1")
    assert parsed.facts.inventory[1].nics is None and parsed.facts.inventory[1].state == "burn_in"
    assert (parsed.unread.unread, parsed.unread.total) == (1, 3)


def test_inventory_of_the_site(tmp_path):
    path = tmp_path / "inventory.csv"
    path.write_text(INVENTORY, encoding="utf-8")
    entries = read_inventory(path)
    assert [(entry.node, entry.gpus) for entry in entries] == [("gpu-001", 8), ("gpu-002", 8)]
    assert entries[0].quote is not None and entries[0].quote.place == "inventory.csv:2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("host,gpus\na,8\n", "no column `node`"),
        ("node,gpus\na,eight\n", "line 2: gpus 'eight' is no count"),
        ("node,state\na,broken\n", "state 'broken' is none of"),
        ("node,gpus\n,8\n", "no node name"),
        ("node,gpus\na,8\na,8\n", "stands there twice"),
    ],
)
def test_wrong_inventory_names_the_line_and_the_fix(tmp_path, text, words):
    path = tmp_path / "inventory.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SiteConfigError) as caught:
        read_inventory(path)
    assert words in str(caught.value) and "Next: " in str(caught.value)


def test_absent_inventory(tmp_path):
    with pytest.raises(SiteConfigError, match="cannot be read"):
        read_inventory(tmp_path / "no.csv")


@pytest.mark.parametrize(("state", "code"), [("-b----", "guests:quiet"), ("----c-", "guest:crashed")])
def test_a_guest_that_crashed_is_told(state, code):
    text = f"Name        ID   Mem VCPUs\tState\tTime(s)\nDomain-0     0  4096  4  r-----  11.0\nfit-2        3  2048  2  {state}  9.4\n"
    assert [event.code for event in guests.parse(TextDocument("x", "", text)).facts.events] == [code]
