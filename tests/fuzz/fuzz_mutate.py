"""Mutations that know what evidence looks like: lines, columns, numbers, heads, JSON and XML, archives."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from random import Random

import zstandard

Mutation = Callable[[Random, bytes, Sequence[bytes], Sequence[bytes]], bytes]

MAX_BYTES = 64 * 1024
NUMBERS = (
    b"0 -0 -1 1e308 1e999 -1e999 nan NaN inf -inf Infinity 99999999999999999999999999 0x7fffffffffffffff 4294967296 "
    b"18446744073709551616 0.0000000001 1,5 1.797693134862315807e+308 00000 1_000 .5 5. +3 --2 1e-400 9999-99-99 "
    b"\xd9\xa3\xd9\xa4 \xef\xbc\x91\xef\xbc\x92 \xc2\xb2 \xe0\xa5\xa7 \xe2\x85\xa3 [N/A] ERR! N/A - "
).split()
"""Numbers at the edge of every type, words that stand for one, and digits of other scripts."""
ODD = (
    b"\x00", b"\r", b"\r\n", b"\x1b[2J", b"\x1b]8;;http://a\x1b\\", b"\x1b]52;c;QUFB\x07", b"\x07", b"\x08", b"\x7f",
    b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xae", b"\xe2\x81\xa6",
    b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xff", b"\xfe", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\\ud800", b"\\u0000",
    b"\\", b"%s", b"{0}", b"{", b"}", b"[", b"]", b"(", b")", b"|", b"\t", b"\"", b"'", b"<", b">", b"&", b"$(x)", b"`",
)  # fmt: skip
HEADS = (
    b"[12.5] ", b"<4>", b"<6>[1.0] ", b"6,1,2,-;", b"Nov 18 09:41:02 h1 kernel: ", b"Nov 18 09:41:02 h1 app[1]: ",
    b"2026-11-18T06:40:33+0000 h1 kernel: ", b"2026-11-18T06:40:33.1Z stdout F ", b"<134>1 2026-11-18T06:40:33Z h1 - - - - ",
    b"[rank3]: ", b"h1:1:2 [0] NCCL ", b"> ", b"root@h1:~# ", b'{"MESSAGE":"', b'{"log":"', b"kern  :err   : ",
    b"[Mon Mar  2 06:41:41 2026] ", b"[ +0.1] ", b"- 1131566461 2005.11.09 h1 ", b"Feb 29 23:59:60 h1 kernel: ",
)  # fmt: skip


def cut_anywhere(rng: Random, data: bytes, *_: object) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] if rng.random() < 0.7 else data[place:]


def splice_lines(rng: Random, data: bytes, seeds: Sequence[bytes], _: object) -> bytes:
    lines = data.split(b"\n")
    other = rng.choice(seeds).split(b"\n")
    start = rng.randrange(len(other))
    place = rng.randrange(len(lines) + 1)
    return b"\n".join([*lines[:place], *other[start : start + rng.randint(1, 8)], *lines[place:]])


def splice_within_line(rng: Random, data: bytes, seeds: Sequence[bytes], _: object) -> bytes:
    other = rng.choice(seeds)
    start, place = rng.randrange(len(other) + 1), rng.randrange(len(data) + 1)
    return data[:place] + other[start : start + rng.randint(1, 200)] + data[place + rng.randint(0, 50) :]


def swap_columns(rng: Random, data: bytes, *_: object) -> bytes:
    lines = data.split(b"\n")
    number = rng.randrange(len(lines))
    cells = lines[number].split(rng.choice([b" ", b",", b"|", b":", b"\t"]))
    rng.shuffle(cells)
    lines[number] = rng.choice([b" ", b",", b" | ", b""]).join(cells)
    return b"\n".join(lines)


def change_number(rng: Random, data: bytes, *_: object) -> bytes:
    digits = [place for place, byte in enumerate(data[:4096]) if 48 <= byte <= 57]
    if not digits:
        return data + rng.choice(NUMBERS)
    start = end = rng.choice(digits)
    while end < len(data) and data[end : end + 1].isdigit():
        end += 1
    return data[:start] + rng.choice(NUMBERS) + data[end:]


def insert_odd(rng: Random, data: bytes, *_: object) -> bytes:
    for _number in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) + 1)
        data = data[:place] + rng.choice(ODD) * rng.choice([1, 1, 1, 2, 40]) + data[place:]
    return data


def insert_word(rng: Random, data: bytes, _: object, words: Sequence[bytes]) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice(words) + data[place:]


def repeat_part(rng: Random, data: bytes, *_: object) -> bytes:
    start = rng.randrange(len(data) + 1)
    part = data[start : start + rng.choice([1, 2, 8, 64, 400])]
    return data[:start] + part * rng.choice([2, 10, 100, 1000]) + data[start:]


def change_head(rng: Random, data: bytes, *_: object) -> bytes:
    lines = data.split(b"\n")
    number = rng.randrange(len(lines))
    lines[number] = rng.choice(HEADS) + lines[number][rng.choice([0, 0, 10, 20, 30]) :]
    return b"\n".join(lines)


def flip_bytes(rng: Random, data: bytes, *_: object) -> bytes:
    changed = bytearray(data)
    for _number in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def nest(rng: Random, data: bytes, *_: object) -> bytes:
    depth = rng.choice([3, 50, 1200, 5000])
    head, tail = rng.choice([(b"[", b"]"), (b'{"a":', b"}"), (b"<gpu>", b"</gpu>"), (b"(", b")"), (b'{"log":"', b'"}')])
    return (head * depth + data[:4096] + tail * (depth if rng.random() < 0.8 else 0))[:MAX_BYTES]


def drop_lines(rng: Random, data: bytes, *_: object) -> bytes:
    lines = data.split(b"\n")
    start = rng.randrange(len(lines))
    return b"\n".join([*lines[:start], *lines[start + rng.randint(1, 6) :]])


def turn_wide(_rng: Random, data: bytes, *_: object) -> bytes:
    return data.decode("utf-8", errors="replace").encode(_rng.choice(["utf-16", "utf-16-be", "utf-8-sig", "utf-32"]))


TEXT_MUTATIONS: tuple[Mutation, ...] = (
    cut_anywhere, splice_lines, splice_lines, splice_within_line, swap_columns, change_number, change_number, insert_odd,
    insert_word, repeat_part, change_head, change_head, flip_bytes, nest, drop_lines, turn_wide,
)  # fmt: skip


def pack_tar(names: Sequence[tuple[str, bytes]]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in names:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def pack_zip(names: Sequence[tuple[str, bytes]]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names:
            archive.writestr(name or "/", data)
    return sink.getvalue()


NAMES = (
    "kern.log", "a/b/dmesg", "../../etc/passwd", "/abs/x.log", "n\x1b[2Jx", "", ".", "slurm-4711.out", "x" * 300, "a//b",
    "manifest.json", "hostname", "etc/hostname", "jobs.csv", "inventory.csv", "\u202egol.nrek", "sos_commands/x/y",
)  # fmt: skip
PACKERS: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: gzip.compress(data, 1, mtime=0),
    lambda data: lzma.compress(data, preset=0),
    lambda data: bz2.compress(data, 1),
    lambda data: zstandard.compress(data, 1),
    lambda data: data,
)


def pack(rng: Random, data: bytes, seeds: Sequence[bytes], *_: object) -> bytes:
    """Put an input into one archive or several in each other, then maybe damage it."""
    for _number in range(rng.choice([1, 1, 2, 3, 6])):
        if rng.random() < 0.5:
            data = rng.choice(PACKERS)(data)
        else:
            names = rng.sample(NAMES, 3)
            members = [(names[0], data), *((name, rng.choice(seeds)) for name in names[1:])]
            data = pack_tar(members) if rng.random() < 0.5 else pack_zip(members)
    if rng.random() < 0.5:
        data = rng.choice([cut_anywhere, flip_bytes])(rng, data)
    return data


def mutate(rng: Random, data: bytes, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Change an input one to four times; same seed, same result."""
    for _number in range(rng.choice([1, 1, 2, 4])):
        data = rng.choice(TEXT_MUTATIONS)(rng, data, seeds, words)[:MAX_BYTES]
    return data
