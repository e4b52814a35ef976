"""Reads `df` of coreutils 8 and 9 and of busybox (`-h`, `-k`, `-T`, `-i`, `-P`, `-a`, `--output`), and its complaints.

Heads are translated in every locale but the C one: what is read is the last column with a per cent sign and the mount
point behind it. A full image that is mounted read-only (squashfs, ISO) is as it should be.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "filesystems"
DOMAIN: Domain = "host"

FULL_PERCENT = 100
"""What `df` rounds up to where a user can write nothing more; root may still have the reserve (df(1), mke2fs -m)."""
_HEAD = Lazy(
    r"^(?:Filesystem|File ?system|Dateisystem|Sys\. de fichiers|Sist\. Arq\.|S\.ficheros|Файл\.система|文件系统|"
    r"ファイルシス)\S*\s+.*(?:%|Capacity|Mounted)"
)
_INODES = Lazy(r"\bI(?:nodes|node|-?[Kk]noten|used)|\bIUse%")
_ROW = Lazy(
    r"^(?P<fs>\S+)(?:\s+(?P<type>[a-z][\w.-]*))?(?:\s+(?:[\d.,]+[A-Za-z]{0,3}|-)){3}\s+"
    r"(?P<use>\d{1,3}|-)\s?%?\s+(?P<mount>/.*?)\s*$"
)
_COMPLAINT = Lazy(r"^df: [^/:]?(?P<place>/[^:'\u2019]*)['\u2019]?: (?P<why>.+?)\s*$")
_LONE = Lazy(r"^(?:/|[\w.-]+:/|//)\S+$")
_FULL_OK = Lazy(
    r"squashfs|^/dev/(?:loop|sr)|iso9660|udf|/snap/|^/(?:mnt/)?cdrom|/media/|erofs|cramfs|efivarfs|^none$|/nix/store|"
    r"^overlay$|rootfs\.img|/usr/lib/live|^portal$|fuse\.(?:snapfuse|portal)"
)
_STALE = Lazy(r"stale (?:nfs )?file handle")
_IO = Lazy(r"input/output error|transport endpoint|structure needs cleaning")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the head of the table, else rows that end in a percentage and a mount point."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    if any(_HEAD.match(text) for text in kept):
        return 0.9
    rows = sum(bool(_ROW.match(text)) or bool(_COMPLAINT.match(text)) for text in kept)
    return 0.8 if rows and rows * 2 >= len(kept) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each file system that is full, and of each that does not answer."""
    table = _Table(document)
    parsed = table.sheet.read(table.read_head, table.read_row)
    if not table.rows:
        table.sheet.miss("a table without a row", "df -h; df -i")
    return Parsed(table.sheet.build_facts(), parsed.unread)


class _Table:
    """State of reading: whether the table counts inodes, and a device whose row goes on in the next line."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.node = self.sheet.make_node()
        self.unit = "blocks"
        self.rows = 0
        self.lone_device = ""

    def read_head(self, line: Line) -> bool:
        head, complaint = _HEAD.match(line.text), _COMPLAINT.match(line.text)
        if complaint is not None:
            self._complain(line, complaint["place"], complaint["why"])
        elif head is not None:
            self.unit = "inodes" if _INODES.search(line.text) else "blocks"
        return head is not None or complaint is not None

    def _complain(self, line: Line, place: str, why: str) -> None:
        fields = {"mount": place, "error": why}
        if _STALE.search(why):
            self.sheet.add(line, Entity("storage", self.sheet.node, place), "job:stale_file", fields)
        elif _IO.search(why):
            self.sheet.add(line, self.node, "job:io_error", fields)

    def read_row(self, line: Line) -> bool:
        if _LONE.match(line.text.strip()) and line.text[:1] != " ":
            # Old df breaks the line after a long device name.
            self.lone_device = line.text.strip()
            return True
        text = f"{self.lone_device} {line.text.strip()}" if self.lone_device and line.text[:1] in " \t" else line.text
        self.lone_device = ""
        match = _ROW.match(text)
        if match is None:
            return False
        self.rows += 1
        is_real = not any(_FULL_OK.search(cell or "") for cell in (match["fs"], match["type"], match["mount"]))
        if match["use"].isdecimal() and int(match["use"]) >= FULL_PERCENT and is_real:
            fields = {"mount": match["mount"], "device": match["fs"], "of": self.unit}
            self.sheet.add(line, self.node, "limit:disk_space", fields)
        return True
