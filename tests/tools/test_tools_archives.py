"""Archives of every kind are unpacked by content, within bounds, and never outside their folder."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.errors import EvidenceUnreadable
from tools.sources import _archives, _pieces
from tools.sources.recording import RecordingSource

KERNEL = """\
[  100.000001] nvidia-nvlink: Nvlink Core is being initialized, major device number 240
[  812.334455] NVRM: Xid (PCI:0000:3b:00): 79, pid=4242, name=python3, GPU has fallen off the bus.
"""


def read(*paths, max_bytes=10**9):
    return RecordingSource([Path(path) for path in paths], max_bytes=max_bytes).read_facts()


def sources(facts):
    return {event.quote.source for event in facts.events if event.code == "xid:79"}


def make_tar(*names, text=KERNEL):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def make_zip(*names, text=KERNEL, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name in names:
            archive.writestr(name, text)
    return out.getvalue()


def compress_zst(data):
    return zstandard.ZstdCompressor().compress(data)


PACKERS = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "zst": compress_zst}


@pytest.mark.parametrize("form", PACKERS)
@pytest.mark.parametrize("name", ["kern.log.packed", "evidence", "a.zip"])
def test_a_packed_file_is_read_whatever_its_name(tmp_path, form, name):
    path = tmp_path / name
    path.write_bytes(PACKERS[form](KERNEL.encode()))
    assert sources(read(path)) == {name}


@pytest.mark.parametrize("form", [*PACKERS, "plain"])
def test_a_tar_is_read_in_every_packing(tmp_path, form):
    path = tmp_path / "logs.x"
    path.write_bytes(PACKERS.get(form, bytes)(make_tar("n/dmesg", "n/old/dmesg.1")))
    assert sources(read(path)) == {"logs.x/n/dmesg", "logs.x/n/old/dmesg.1"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_is_read_in_every_method(tmp_path, method):
    path = tmp_path / "logs.bin"
    path.write_bytes(make_zip("n/dmesg", "n/k.log", method=method))
    assert sources(read(path)) == {"logs.bin/n/dmesg", "logs.bin/n/k.log"}


def test_several_frames_of_zstandard_are_one_file(tmp_path):
    path = tmp_path / "k.zst"
    path.write_bytes(compress_zst(KERNEL.encode()[:120]) + compress_zst(KERNEL.encode()[120:]))
    assert sources(read(path)) == {"k.zst"}


def test_archives_in_archives_are_read(tmp_path):
    inner = gzip.compress(make_tar("var/log/kern.log"))
    path = tmp_path / "case.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("node.tgz", inner)
        archive.writestr("old.log.xz", lzma.compress(KERNEL.encode()))
    assert sources(read(path)) == {"case.zip/node.tgz/var/log/kern.log", "case.zip/old.log.xz"}


def test_what_is_packed_twice_is_read(tmp_path):
    path = tmp_path / "k"
    path.write_bytes(compress_zst(gzip.compress(KERNEL.encode())))
    assert sources(read(path)) == {"k"}


def test_archives_in_archives_end_at_a_depth(tmp_path):
    data = KERNEL.encode()
    for _ in range(_pieces.MAX_DEPTH + 2):
        data = make_zip_of(data)
    path = tmp_path / "deep.zip"
    path.write_bytes(data)
    with pytest.raises(EvidenceUnreadable, match="packed more than"):
        read(path)


def make_zip_of(data):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x", data)
    return out.getvalue()


@pytest.mark.parametrize("form", ["xz", "zst", "bz2", "gz", "zip", "tar.gz"])
def test_a_bomb_is_cut_and_said(tmp_path, form, monkeypatch):
    monkeypatch.setattr(_archives, "FREE_BYTES", 1_000_000)
    monkeypatch.setattr(_archives, "MAX_RATIO", 3)
    text = KERNEL + "[  900.1] usb 1-1: quiet\n" * 400_000
    make = {
        "zip": lambda: make_zip("dmesg", text=text),
        "tar.gz": lambda: gzip.compress(make_tar("dmesg", text=text)),
    }
    path = tmp_path / "bomb"
    path.write_bytes(make[form]() if form in make else PACKERS[form](text.encode()))
    facts = read(path)
    told = [row for row in facts.coverage if row.status == "partial" and row.domain == "input"]
    assert told and told[0].fix, facts.coverage
    assert sources(facts), "what stands before the limit is read"


def test_after_the_limit_no_member_is_named_one_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr(_archives, "FREE_BYTES", 1000)
    monkeypatch.setattr(_archives, "MAX_RATIO", 1)
    path = tmp_path / "many.zip"
    path.write_bytes(make_zip(*(f"{number}/dmesg" for number in range(300)), text=KERNEL * 40))
    facts = read(path)
    assert 0 < sum("cut: more than" in row.reason for row in facts.coverage) <= 1


def test_a_zip_cannot_write_outside(tmp_path):
    path = tmp_path / "in" / "e.zip"
    path.parent.mkdir()
    path.write_bytes(make_zip("../../outside.log", "/abs.log", "..\\..\\win.log", "ok/dmesg"))
    before = sorted(tmp_path.rglob("*"))
    names = sources(read(path))
    assert sorted(tmp_path.rglob("*")) == before
    assert {"e.zip/outside.log", "e.zip/abs.log", "e.zip/ok/dmesg"} <= names


def test_a_link_in_a_zip_is_left_out(tmp_path):
    path = tmp_path / "e.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("passwd")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("dmesg", KERNEL)
    assert sources(read(path)) == {"e.zip/dmesg"}


def test_a_member_with_a_password_is_named_and_the_others_are_read(tmp_path):
    data = bytearray(make_zip("a.log", "b.log"))
    place = data.find(b"PK\x01\x02")
    data[place + 8] |= 1
    path = tmp_path / "e.zip"
    path.write_bytes(bytes(data))
    facts = read(path)
    assert sources(facts) == {"e.zip/b.log"}
    assert [row.entity for row in facts.coverage if row.status == "missing"] == ["e.zip/a.log"]


def test_names_that_no_file_can_have_lose_nothing_else(tmp_path):
    path = tmp_path / "e.tar"
    path.write_bytes(make_tar("x" * 90 + "/" + "y" * 300, "a\x01b/dmesg", "ok"))
    assert "e.tar/ok" in sources(read(path))


@pytest.mark.parametrize("form", [*PACKERS, "zip", "tar.zst"])
def test_damage_is_said_and_what_comes_before_it_is_read(tmp_path, form):
    text = KERNEL + "".join(f"[  900.1] usb 1-1: {os.urandom(16).hex()}\n" for _ in range(5000))
    whole = {
        "zip": lambda: make_zip("dmesg", text=text),
        "tar.zst": lambda: compress_zst(make_tar("dmesg", text=text)),
    }.get(form, lambda: PACKERS[form](text.encode()))()
    path = tmp_path / "cut"
    path.write_bytes(whole[: len(whole) * 3 // 4])
    try:
        facts = read(path)
    except EvidenceUnreadable as error:
        # A zip that is cut has lost its list of members; small blocks of bzip2 and Zstandard hold all of it.
        assert error.fix and form in ("zip", "bz2", "zst", "tar.zst")
    else:
        assert any(row.status != "read" for row in facts.coverage), facts.coverage


def test_a_pipe_of_the_shell_is_read(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(gzip.compress(KERNEL.encode())))
    writer.start()
    facts = read(path)
    writer.join()
    assert sources(facts) == {"pipe"}


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/tty"])
def test_a_device_is_refused_at_once(device):
    if not Path(device).exists():
        device = "/dev/null"
    with pytest.raises(EvidenceUnreadable, match="a device or a socket"):
        read(device)


def test_a_link_that_names_itself_is_harmless(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dmesg").write_text(KERNEL)
    (tmp_path / "same").symlink_to("dmesg")
    assert sources(read(tmp_path)) == {"dmesg"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    form=st.sampled_from([*PACKERS, "zip", "tar", "tar.gz"]),
    place=st.floats(0, 1),
    noise=st.binary(min_size=1, max_size=4),
)
def test_any_damage_is_read_or_refused_in_words(tmp_path, form, place, noise):
    make = {
        "zip": lambda: make_zip("a/dmesg", "b"),
        "tar": lambda: make_tar("a/dmesg", "b"),
        "tar.gz": lambda: gzip.compress(make_tar("a", "b"), mtime=0),
    }
    data = bytearray(make[form]() if form in make else PACKERS[form](KERNEL.encode()))
    at = int(place * (len(data) - 1))
    data[at : at + len(noise)] = noise
    path = tmp_path / "x"
    path.write_bytes(bytes(data))
    try:
        facts = read(path)
    except EvidenceUnreadable as error:
        assert error.fix
    else:
        assert facts.coverage
