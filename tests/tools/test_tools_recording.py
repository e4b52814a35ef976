import gzip
import io
import lzma
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.errors import EvidenceNotFound, EvidenceUnreadable
from tools.sources.recording import RecordingSource
from tools.types import Inventory

KERNEL = """\
[  100.000001] nvidia-nvlink: Nvlink Core is being initialized, major device number 240
[  812.334455] NVRM: Xid (PCI:0000:3b:00): 79, pid=4242, name=python3, GPU has fallen off the bus.
[  812.334466] NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.
"""
TABLE = """\
+-----------------------------------------------------------------------------+
| NVIDIA-SMI 470.57.02    Driver Version: 470.57.02    CUDA Version: 11.4     |
|===============================+======================+======================|
|   0  NVIDIA A100-SXM...  On   | 00000000:07:00.0 Off |                    0 |
| N/A   31C    P0    51W / 400W |      0MiB / 40536MiB |      0%      Default |
|                               |                      |             Disabled |
+-------------------------------+----------------------+----------------------+

+-----------------------------------------------------------------------------+
| Processes:                                                                  |
|  GPU   GI   CI        PID   Type   Process name                  GPU Memory |
|        ID   ID                                                   Usage      |
|=============================================================================|
|  No running processes found                                                 |
+-----------------------------------------------------------------------------+
"""
IOSTAT = """\
Linux 5.15.0-91-generic (hv-12) \t03/04/2026 \t_x86_64_\t(64 CPU)

Device            r/s     w/s     rkB/s     wkB/s r_await w_await aqu-sz  %util
sdb              1.00    2.00      8.00     16.00    0.50    0.70   0.00   0.30

Device            r/s     w/s     rkB/s     wkB/s r_await w_await aqu-sz  %util
sdb            100.00  400.00   4096.00  51200.00   20.00   90.00  48.10  99.70
"""
INVENTORY = "node,rack,gpus,aliases\ngpu-001,r07,8,gpu-001.example.net\n"
SYSLOG = "Mar  4 04:12:0{second} {host} kernel: [  812.3] NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off\n"


def read(*paths, stdin=None, max_bytes=10**9, **more):
    return RecordingSource([Path(path) for path in paths], stdin=stdin, max_bytes=max_bytes, **more).read_facts()


def put(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def codes(facts):
    return [event.code for event in facts.events]


def rows_of(facts, entity):
    return [(row.domain, row.status) for row in facts.coverage if row.entity == entity]


def test_content_decides_not_the_name(tmp_path):
    put(tmp_path, "a.json", TABLE)
    put(tmp_path, "b.iostat", KERNEL)
    put(tmp_path, "c/gpu.txt", IOSTAT)
    facts = read(tmp_path)
    assert "xid:79" in codes(facts)
    assert {window.source for window in facts.windows} == {"a.json", "c/gpu.txt"}
    assert rows_of(facts, "a.json") == [("gpu", "read")]
    assert rows_of(facts, "b.iostat") == [("kernel_log", "read")]
    assert rows_of(facts, "c/gpu.txt") == [("disk", "read")]


def is_dented(facts):
    """Whether something is missing in a way that a person can mend: then nothing is called healthy."""
    return any(row.status == "missing" or (row.status == "partial" and row.fix) for row in facts.coverage)


@pytest.mark.parametrize("part", range(8))
def test_a_cut_nvidia_smi_is_never_healthy(part):
    second = "\n".join(TABLE.splitlines()[3:7]).replace("   0  NV", "   1  NV").replace(":07:", ":0F:") + "\n"
    whole = TABLE.replace("\n\n", "\n" + second + "\n", 1)
    assert not is_dented(read(Path("-"), stdin=io.BytesIO(whole.encode())))
    # Every place takes a minute where a folder is slow to remove; each row still is cut within each of its cells.
    for end in range(1 + 7 * part, len(whole) - 1, 7 * 8):
        try:
            facts = read(Path("-"), stdin=io.BytesIO(whole[:end].encode()))
        except EvidenceUnreadable:
            continue
        assert is_dented(facts), whole[:end][-200:]


def test_rows_of_nvidia_smi_that_were_copied_alone_are_whole():
    rows = "\n".join(TABLE.splitlines()[3:7])
    assert not is_dented(read(Path("-"), stdin=io.BytesIO(rows.encode())))


@pytest.mark.parametrize(("unread", "dented"), [(4, False), (5, True), (200, True)])
def test_a_log_of_which_much_is_unread_does_not_tell_that_all_is_well(unread, dented):
    known = max(6, unread // 2)
    text = "[  101.0] perf: fine\n" * known + "".join(f"QX {n} qqq zzz vorp\n" for n in range(unread))
    text += "[  102.0] perf: fine\n" * 2
    facts = read(Path("-"), stdin=io.BytesIO(text.encode()))
    assert is_dented(facts) == dented, facts.coverage
    assert any(f"{unread} of {unread + known + 2} lines unread" in row.reason for row in facts.coverage)


def test_lines_below_a_head_of_the_fabric_manager_belong_to_it():
    head = "[Mar 04 2025 09:25:03] [INFO] [tid 881] multicast group 3 is allocated, its members are\n"
    facts = read(Path("-"), stdin=io.BytesIO((head + "member: 4\nport: 17\n").encode() * 8))
    assert {row.status for row in facts.coverage} == {"read"}
    facts = read(Path("-"), stdin=io.BytesIO((head * 50 + "member: 4\n" * 90).encode()))
    assert is_dented(facts)


EMPTY_TABLES = {
    "cpu.txt": "avg-cpu:  %user   %nice %system %iowait  %steal   %idle\n  1.00 0.00 1.00 0.00 0.00 98.00\n",
    "guests.txt": "Name                                        ID   Mem VCPUs\tState\tTime(s)\n",
    "query.txt": "==============NVSMI LOG==============\n\nDriver Version                        : 550.54.15\n",
    "inventory.csv": "node,rack,gpus,aliases\n",
    "jobs.csv": "job_id,name,user,state,start,end,nodes,gpus_per_node\n",
    "head.txt": "\n".join(TABLE.splitlines()[:3]) + "\n",
}


@pytest.mark.parametrize("name", EMPTY_TABLES)
def test_a_table_without_a_row_is_missing(tmp_path, name):
    put(tmp_path, name, EMPTY_TABLES[name])
    put(tmp_path, "kern.log", KERNEL)
    facts = read(tmp_path)
    (row,) = [row for row in facts.coverage if row.entity == name]
    assert row.status == "missing" and row.fix


def test_members_of_one_name_do_not_hide_each_other(tmp_path):
    path = tmp_path / "evidence.tar"
    members = (("n1/kern.log", KERNEL), ("n1/kern.log", "[  1.0] perf: fine\n"), ("n1/kern.log/deep.txt", KERNEL))
    with tarfile.open(path, "w") as archive:
        for name, text in members:
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    facts = read(path)
    assert codes(facts).count("xid:79") == 1
    assert rows_of(facts, "evidence.tar/n1/kern.log") == [("kernel_log", "read")]
    assert rows_of(facts, "evidence.tar/n1/kern.log.2") == [("kernel_log", "read")]
    assert rows_of(facts, "evidence.tar/n1/kern.log/deep.txt") == [("input", "missing")]


def test_order_is_the_same_each_time(tmp_path):
    for name in "cab":
        put(tmp_path, f"{name}.log", KERNEL)
    first, again = read(tmp_path), read(tmp_path)
    assert [event.quote.place for event in first.events] == [event.quote.place for event in again.events]
    assert [row.entity for row in first.coverage] == ["a.log", "b.log", "c.log"]


def test_pasted_terminal_holds_several_forms_with_their_line_numbers(tmp_path):
    prompt = "admin@hv-12:~$"
    text = f"{prompt} nvidia-smi\n{TABLE}{prompt} dmesg | tail\n{KERNEL}{prompt} iostat -x 1 2\n{IOSTAT}"
    path = put(tmp_path, "ticket.txt", text)
    facts = read(path)
    assert [sorted(window.values)[0].partition("_")[0] for window in facts.windows] == ["gpu", "disk"]
    xid = next(event for event in facts.events if event.code == "xid:79")
    assert text.splitlines()[xid.quote.line - 1] == xid.quote.text
    assert {domain for domain, _ in rows_of(facts, "ticket.txt")} == {"gpu", "kernel_log", "disk"}
    assert {status for _, status in rows_of(facts, "ticket.txt")} == {"read"}


def test_table_pasted_into_a_kernel_log_without_a_prompt(tmp_path):
    facts = read(put(tmp_path, "x.log", KERNEL + TABLE + KERNEL))
    assert codes(facts).count("xid:79") == 2
    assert [event.quote.line for event in facts.events if event.code == "xid:79"] == [2, 5 + TABLE.count("\n")]
    (window,) = facts.windows
    assert window.quotes[0].line == 8


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_packed_files(tmp_path, pack):
    path = put(tmp_path, "kern.log.packed", pack(KERNEL.encode()))
    facts = read(path)
    assert "xid:79" in codes(facts) and facts.events[0].quote.source == "kern.log.packed"


def test_archives_cannot_write_outside(tmp_path):
    path = tmp_path / "sos.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("host/dmesg", "../../outside.log", "/abs.log"):
            member = tarfile.TarInfo(name)
            member.size = len(KERNEL)
            archive.addfile(member, io.BytesIO(KERNEL.encode()))
        link = tarfile.TarInfo("host/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    facts = read(path)
    assert {event.quote.source for event in facts.events} == {
        "sos.tar.gz/host/dmesg",
        "sos.tar.gz/outside.log",
        "sos.tar.gz/abs.log",
    }
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["sos.tar.gz"]


def test_standard_input():
    for paths in ([], ["-"]):
        facts = read(*paths, stdin=io.BytesIO(KERNEL.encode()))
        assert "xid:79" in codes(facts) and facts.events[0].quote.source == "-"


def test_two_files_of_one_name_have_labels_of_their_own(tmp_path):
    one, two = put(tmp_path, "a/kern.log", KERNEL), put(tmp_path, "b/kern.log", KERNEL)
    assert len({event.quote.source for event in read(one, two).events}) == 2


def test_node_comes_from_a_manifest_a_hostname_or_the_inventory_never_from_a_bare_name(tmp_path):
    put(tmp_path, "inventory.csv", INVENTORY)
    put(tmp_path, "gpu-001/dmesg.txt", KERNEL)
    put(tmp_path, "gpu-001.example.net.log", KERNEL.replace(":3b:", ":5e:"))
    put(tmp_path, "stranger/dmesg.txt", KERNEL)
    put(tmp_path, "sos/hostname", "gpu-009\n")
    put(tmp_path, "sos/logs/dmesg.txt", KERNEL)
    put(tmp_path, "rec/manifest.json", '{"node": "gpu-010"}')
    put(tmp_path, "rec/dmesg.txt", KERNEL)
    facts = read(tmp_path)
    assert {(event.quote.source, event.node) for event in facts.events if event.code == "xid:79"} == {
        ("gpu-001/dmesg.txt", "gpu-001"),
        ("gpu-001.example.net.log", "gpu-001"),
        ("stranger/dmesg.txt", ""),
        ("sos/logs/dmesg.txt", "gpu-009"),
        ("rec/dmesg.txt", "gpu-010"),
    }
    assert [entry.node for entry in facts.inventory] == ["gpu-001"]


def test_named_node_and_inventory_of_the_site(tmp_path):
    path = put(tmp_path, "k.log", KERNEL)
    assert read(path, node="n7").events[0].node == "n7"
    entry = Inventory("k")
    facts = read(path, inventory=(entry,))
    assert facts.inventory == (entry,) and facts.events[0].node == "k"


def test_guests_belong_to_the_host_of_the_iostat_text_beside_them(tmp_path):
    put(tmp_path, "a.txt", "# guest block devices\ndb-3 dm-7 sdb\n")
    put(tmp_path, "b.txt", IOSTAT)
    assert {str(link.subject) for link in read(tmp_path).links} == {"guest:hv-12/db-3", "disk:hv-12/dm-7"}
    put(tmp_path, "c.txt", IOSTAT.replace("hv-12", "hv-13"))
    assert {str(link.subject) for link in read(tmp_path).links} == {"guest:?/db-3", "disk:?/dm-7"}


def test_absent_path_says_so(tmp_path):
    with pytest.raises(EvidenceNotFound) as caught:
        read(tmp_path / "no.log")
    assert str(caught.value) == f"There is no {tmp_path}/no.log. Next: ls -l {tmp_path}"


def test_folder_without_evidence_names_the_kinds_and_the_command(tmp_path):
    with pytest.raises(EvidenceUnreadable) as caught:
        read(tmp_path)
    assert "there is no file in it" in str(caught.value)
    assert "nvidia-smi" in str(caught.value) and "daytwo triage ." in caught.value.fix


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"\n\n", "empty file"),
        (bytes(range(256)) * 40, "binary file"),
        (b"\x7fELF" + bytes(200), "binary file: a program"),
        (b"LPKSHHRH" + bytes(200), "binary file: a journal"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "cannot be opened"),
        (b"Dear all,\nsee you at lunch.\n", "of no form that is known: 2 of 2 lines unread: Dear all,"),
    ],
)
def test_what_cannot_be_read_is_missing_beside_what_can_and_an_error_alone(tmp_path, content, reason):
    alone = put(tmp_path, "x/thing", content)
    with pytest.raises(EvidenceUnreadable) as caught:
        read(alone)
    assert reason in str(caught.value) and "Next: " in str(caught.value)
    put(tmp_path, "x/kern.log", KERNEL)
    facts = read(tmp_path / "x")
    (row,) = [row for row in facts.coverage if row.entity == "thing"]
    assert row.status == "missing" and row.reason.startswith(reason) and "xid:79" in codes(facts)


def test_no_right_to_read(tmp_path, monkeypatch):
    path = put(tmp_path, "k.log", KERNEL)
    opened = Path.open

    def refuse(self, *more, **named):
        if self.name == "k.log":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *more, **named)

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything, so the right is taken here
    with pytest.raises(EvidenceUnreadable) as caught:
        read(path)
    assert "no right to read it" in str(caught.value) and caught.value.fix == f"sudo chmod a+r {path}"


def test_broken_encoding_is_read_and_said(tmp_path):
    facts = read(put(tmp_path, "k.log", b"[    1.000000] usb 1-1: Product: Caf\xe9\n" + KERNEL.encode()))
    assert "xid:79" in codes(facts)
    (row,) = [row for row in facts.coverage if row.domain == "input"]
    assert row.status == "partial" and row.reason.startswith("1 lines hold bytes that are no UTF-8")


def test_utf16_as_powershell_writes_it(tmp_path):
    (window,) = read(put(tmp_path, "gpu.txt", TABLE.encode("utf-16"))).windows
    assert window.latest(0, "gpu_temperature_celsius") == 31


def test_file_over_the_limit_is_read_to_the_limit(tmp_path):
    path = put(tmp_path, "k.log", KERNEL * 50)
    facts = read(path, max_bytes=len(KERNEL) * 10)
    assert codes(facts).count("xid:79") == 10
    (row,) = [row for row in facts.coverage if row.domain == "input"]
    assert row.status == "partial" and "only the first" in row.reason and row.fix.startswith("tail -c")


def test_damaged_gzip_is_read_up_to_the_damage(tmp_path):
    packed = gzip.compress((KERNEL * 400 + os.urandom(4000).hex()).encode())
    facts = read(put(tmp_path, "k.log.gz", packed[: len(packed) * 2 // 3]))
    assert "xid:79" in codes(facts)
    assert any(row.status == "partial" and "up to the damage" in row.reason for row in facts.coverage)


def test_clock_that_jumps_back_is_said(tmp_path):
    text = SYSLOG.format(second=9, host="n1") + SYSLOG.format(second=1, host="n1")
    facts = read(put(tmp_path, "k.log", text))
    (row,) = [row for row in facts.coverage if "clock" in row.reason]
    assert row.status == "partial" and "jumps back at line 2" in row.reason and "by 8 s" in row.reason


def test_truncated_table_is_partial_not_healthy(tmp_path):
    facts = read(put(tmp_path, "gpu.txt", "\n".join(TABLE.splitlines()[:4])))
    assert rows_of(facts, "gpu.txt") == [("gpu", "partial")]


def test_unread_lines_are_counted_and_quoted(tmp_path):
    facts = read(put(tmp_path, "io.txt", IOSTAT + "what is this\n"))
    (row,) = facts.coverage
    assert (row.status, row.reason) == ("partial", "1 of 6 lines unread: what is this")


def test_since_drops_older_events_and_says_which_clock_it_could_not_use(tmp_path):
    zoned = "2026-03-04T04:12:0{n}.000000+00:00 n1 kernel: NVRM: Xid (PCI:0000:3b:00): {code}, pid=1, x\n"
    put(tmp_path, "a.log", zoned.format(n=1, code=31) + zoned.format(n=5, code=79))
    put(tmp_path, "b.log", KERNEL)
    from datetime import UTC, datetime

    facts = read(tmp_path, since=datetime(2026, 3, 4, 4, 12, 3, tzinfo=UTC).timestamp())
    assert "xid:31" not in codes(facts) and codes(facts).count("xid:79") == 2
    (row,) = [row for row in facts.coverage if row.entity == "--since"]
    assert row.status == "partial" and "no wall time" in row.reason


@pytest.mark.parametrize("margin", ["> ", ">", "> > ", "    "])
@pytest.mark.parametrize("text", [TABLE, IOSTAT, KERNEL])
def test_what_a_mail_put_before_every_line_is_removed(tmp_path, margin, text):
    plain = read(put(tmp_path, "a.txt", text))
    quoted = read(put(tmp_path, "a.txt", "".join(f"{margin}{line}".rstrip() + "\n" for line in text.splitlines())))
    assert codes(quoted) == codes(plain) and rows_of(quoted, "a.txt") == rows_of(plain, "a.txt")
    assert [sorted(window.values) for window in quoted.windows] == [sorted(window.values) for window in plain.windows]


def test_colours_are_removed(tmp_path):
    facts = read(put(tmp_path, "k.log", KERNEL.replace("NVRM", "\x1b[31mNVRM\x1b[0m")))
    assert "xid:79" in codes(facts)
    assert all("\x1b" not in event.quote.text for event in facts.events)


def test_form_that_changes_behind_the_scanned_part_is_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.sources.recording.SCAN_BYTES", 2000)
    filler = "".join(f"[  {100 + n}.000000] usb 1-1: new device number {n}\n" for n in range(500))
    text = TABLE + "\n" + filler + KERNEL
    facts = read(put(tmp_path, "x.log", text))
    xid = next(event for event in facts.events if event.code == "xid:79")
    assert text.splitlines()[xid.quote.line - 1] == xid.quote.text
    assert facts.windows


@pytest.mark.timeout(20)
@pytest.mark.parametrize("filler", ["a", " ", "\t", "-", "1 ", "a.", "/a", "a: ", "| ", "{", '{"a":', "(", "GPU "])
def test_long_lines_do_not_make_a_pattern_run_for_minutes(tmp_path, filler):
    line = ("x" + filler * 60000)[:60000] + "x\n"
    facts = read(put(tmp_path, "x.log", TABLE + "\n" + line * 3 + "\n" + KERNEL))
    assert "xid:79" in codes(facts) and facts.windows


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    put(tmp_path, "secret/k.log", KERNEL)
    put(tmp_path, "in/k.log", KERNEL)
    (tmp_path / "in" / "out.log").symlink_to(tmp_path / "secret" / "k.log")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    facts = read(tmp_path / "in")
    assert {event.quote.source for event in facts.events} == {"k.log"}
    assert rows_of(facts, "out.log") == [("input", "missing")]
    assert rows_of(facts, "loop") == [], "what a link names inside the folder is read at its own place"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(content=st.binary(max_size=300) | st.text(max_size=200).map(lambda text: (TABLE + text + KERNEL).encode()))
def test_any_bytes_are_read_or_refused_in_words(tmp_path, content):
    path = put(tmp_path, "x", content)
    try:
        facts = read(path)
    except EvidenceUnreadable as error:
        assert error.fix
    else:
        assert facts.coverage
