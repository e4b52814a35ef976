"""The index: incremental, air-gapped, mended when broken, shared by processes."""

import multiprocessing
import shutil
import socket

import pytest
from pytest_socket import SocketBlockedError

from rag.chunks import SHIPPED
from rag.embed import BuiltinEmbedder
from rag.errors import IndexUnusable, RunbookInvalid
from rag.library import Library, open_library
from rag.store import StoreBroken, VectorStore

FEW = ("gpu_off_bus", "disk_lost", "io_noisy_neighbor", "shared_fs_stall")


@pytest.fixture
def folder(tmp_path):
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    for fault in FEW:
        shutil.copy(SHIPPED / f"{fault}.md", shipped)
    return shipped


@pytest.fixture
def open_small(tmp_path, folder):
    opened = []

    def build(embedder=None):
        embedder = embedder or BuiltinEmbedder()
        library = Library(
            VectorStore(tmp_path / "data" / "index", embedder.identity),
            embedder,
            shipped=folder,
            site=tmp_path / "data" / "runbooks",
        )
        opened.append(library)
        return library

    yield build
    for library in opened:
        library.close()


def counts(report):
    return report.added, report.changed, report.removed, report.unchanged


class Counting(BuiltinEmbedder):
    def __init__(self):
        super().__init__()
        self.embedded = 0

    def embed_passages(self, texts):
        self.embedded += len(texts)
        return super().embed_passages(texts)


class Other(BuiltinEmbedder):
    def __init__(self):
        super().__init__()
        self.identity = "other-1"


def test_second_run_does_no_work(open_small):
    assert counts(open_small().index()) == (4, 0, 0, 0)
    embedder = Counting()
    report = open_small(embedder).index()
    assert counts(report) == (0, 0, 0, 4)
    assert embedder.embedded == 0


def test_changed_file_is_one_changed_and_found_by_its_new_words(open_small, folder):
    open_small().index()
    path = folder / "disk_lost.md"
    path.write_text(path.read_text().replace("## Confirm it", "The quokka squeaks.\n\n## Confirm it"))
    embedder = Counting()
    library = open_small(embedder)
    assert counts(library.index()) == (0, 1, 0, 3)
    assert embedder.embedded == 5
    assert library.search("a quokka that squeaks")[0].id == "disk_lost#see"


def test_removed_file_is_removed(open_small, folder):
    open_small().index()
    (folder / "disk_lost.md").unlink()
    library = open_small()
    assert counts(library.index()) == (0, 0, 1, 3)
    assert library.section("disk_lost", "confirm") is None
    assert "disk_lost" not in {p.runbook for p in library.search("nvme controller timed out and was disabled", limit=9)}


def test_site_runbook_overrides_and_goes_back(open_small, tmp_path):
    open_small().index()
    site = tmp_path / "data" / "runbooks"
    site.mkdir(parents=True)
    text = (SHIPPED / "disk_lost.md").read_text().replace("## Do\n", "## Do\nCall the ops desk on 4242.\n\n")
    (site / "disk_lost.md").write_text(text)
    library = open_small()
    assert counts(library.index()) == (0, 1, 0, 3)
    assert "4242" in library.section("disk_lost", "do").text
    (site / "disk_lost.md").unlink()
    again = open_small()
    assert counts(again.index()) == (0, 1, 0, 3)
    assert "4242" not in again.section("disk_lost", "do").text


def test_half_written_index_is_completed(open_small, tmp_path):
    open_small().index()
    store = VectorStore(tmp_path / "data" / "index", BuiltinEmbedder().identity)
    store.remove_chunks(["disk_lost#do", "disk_lost#escalate"])
    store.close()
    library = open_small()
    assert counts(library.index()) == (0, 1, 0, 3)
    assert library.section("disk_lost", "escalate") is not None


def test_changed_embedding_indexes_anew_and_leaves_the_other(open_small):
    open_small().index()
    assert counts(open_small(Other()).index()) == (4, 0, 0, 0)
    assert counts(open_small().index()) == (0, 0, 0, 4)


def test_first_use_needs_no_network(tmp_path, socket_disabled):
    with pytest.raises(SocketBlockedError):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    library = open_library(tmp_path)
    try:
        assert library.search("one guest eats all iops of the host")[0].runbook == "io_noisy_neighbor"
    finally:
        library.close()
    downloads = [path for path in tmp_path.rglob("*") if path.suffix == ".onnx"]
    assert not downloads


@pytest.mark.parametrize("kind", ["garbage", "truncated", "vectors gone", "a folder in the way"])
def test_broken_index_is_built_anew(open_small, tmp_path, kind):
    library = open_small()
    library.index()
    library.close()
    index = tmp_path / "data" / "index"
    database = index / "chroma.sqlite3"
    if kind == "garbage":
        database.write_bytes(b"no database" * 1000)
    elif kind == "truncated":
        database.write_bytes(database.read_bytes()[:5000])
    elif kind == "vectors gone":
        for path in index.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
    else:
        database.unlink()
        database.mkdir()
    mended = open_small()
    assert mended.search("the drive dropped out and is gone from lsblk")[0].runbook == "disk_lost"
    assert mended.section("gpu_off_bus", "do") is not None


def test_index_that_cannot_be_written_says_what_to_do(tmp_path, folder):
    (tmp_path / "data").write_text("a file where the folder should be")
    library = Library(VectorStore(tmp_path / "data" / "index", "x"), BuiltinEmbedder(), shipped=folder)
    with pytest.raises(IndexUnusable, match="DAYTWO_DATA_DIR"):
        library.search("anything at all")


def test_index_that_stays_broken_is_an_error_with_a_way_out(open_small, monkeypatch):
    def fail(self):
        raise StoreBroken("no")

    monkeypatch.setattr(VectorStore, "read_digests", fail)
    with pytest.raises(IndexUnusable, match="daytwo index"):
        open_small().index()


def test_wrong_runbook_leaves_the_index_as_it_was(open_small, folder):
    open_small().index()
    (folder / "disk_lost.md").write_text("nothing")
    with pytest.raises(RunbookInvalid):
        open_small().index()
    store = open_small()._store
    assert len(store.read_digests()) == 20


def _index_in_child(data_dir, shipped, results):
    embedder = BuiltinEmbedder()
    library = Library(VectorStore(data_dir / "index", embedder.identity), embedder, shipped=shipped)
    report = library.index()
    results.put((report.added, report.unchanged, library.search("guest hammers the disk")[0].runbook))


def test_two_processes_at_once(tmp_path, folder):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    children = [context.Process(target=_index_in_child, args=(tmp_path / "d", folder, results)) for _ in range(2)]
    for child in children:
        child.start()
    got = sorted(results.get(timeout=60) for _ in children)
    for child in children:
        child.join(timeout=60)
    assert got == [(0, 4, "io_noisy_neighbor"), (4, 0, "io_noisy_neighbor")]
