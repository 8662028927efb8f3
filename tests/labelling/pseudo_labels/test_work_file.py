"""The work file: shares cover everything once, an interrupted file is continued to the same bytes, others refused."""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pcrpose.keypoints.skeleton import COCO_17, LSP_14, Skeleton
from pcrpose.labelling.pseudo_labels.work_file import (
    CHUNK_IMAGES,
    Shard,
    Work,
    WorkFile,
    WorkHeader,
    read_shards,
    read_work,
)

Write: TypeAlias = Callable[..., Path]

IMAGES = 3 * CHUNK_IMAGES + 2


def header(shard: str = "1/1", skeleton: Skeleton = COCO_17, images: int = IMAGES, **settings: object) -> WorkHeader:
    """Describe a run."""
    return WorkHeader(
        settings={"model": "tiny", **settings}, skeleton=skeleton, images=images, shard=Shard.parse(shard)
    )


def records(chunk: Iterable[int]) -> list[dict[str, Any]]:
    """Make the records of a chunk."""
    return [{"index": index, "file_name": f"{index}.jpg", "persons": []} for index in chunk]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give a function that writes work files as a run would, as far as it is told."""

    def run(name: str, shard: str = "1/1", chunks: int | None = None, **settings: object) -> Path:
        file = WorkFile(tmp_path / name, header(shard, **settings))  # type: ignore[arg-type] # settings alone
        for chunk in file.chunks[:chunks]:
            file.append(records(chunk))
        return tmp_path / name

    return run


def test_files_of_the_first_version_go_on(tmp_path: Path) -> None:
    """They call images otherwise; a run goes on with one, and it can be read and merged with others."""

    def run(name: str, shard: str, chunks: int | None = None, digest: str = "0") -> Path:
        begun = replace(header(shard), settings={"model": "tiny", "images": {"count": IMAGES, "sha256": digest}})
        file = WorkFile(tmp_path / name, begun)
        for chunk in file.chunks[:chunks]:
            file.append(records(chunk))
        return tmp_path / name

    path = run("old", "1/2", 1)
    first, *rest = path.read_bytes().splitlines(keepends=True)
    old = first.replace(b'"images":', b'"pictures":')
    assert old.count(b'"pictures":') == 2
    path.write_bytes(b"".join([old, *rest]))

    assert run("old", "1/2").read_bytes().startswith(old)
    assert read_work(path).header.images == IMAGES
    assert len(read_shards([path, run("new", "2/2")]).records) == IMAGES
    with pytest.raises(ValueError, match="was begun with other settings"):
        run("old", "1/2", digest="1")


@example(images=0, count=1)
@example(images=CHUNK_IMAGES, count=1)
@example(images=CHUNK_IMAGES + 1, count=2)
@example(images=2 * CHUNK_IMAGES, count=9)
@given(images=st.integers(0, 100), count=st.integers(1, 9))
def test_shards_share_out_everything_once(images: int, count: int) -> None:
    """No image is done twice or forgotten, and chunks are the same however many shards there are."""
    chunks = [chunk for number in range(1, count + 1) for chunk in Shard(number=number, count=count).chunks(images)]

    assert sorted(index for chunk in chunks for index in chunk) == list(range(images))
    assert sorted(chunks, key=lambda chunk: chunk.start) == Shard().chunks(images)


def test_shard_is_written_as_it_is_read() -> None:
    """Text and value are the same."""
    assert Shard.parse("2/4") == Shard(number=2, count=4)
    assert str(Shard.parse("2/4")) == "2/4"


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "-1/4", "", "1/0", "1/2/3"])
def test_no_shard(text: str) -> None:
    """Shares that do not exist are refused."""
    with pytest.raises(ValueError, match="shard: expected"):
        Shard.parse(text)


def test_written_work_is_read(write: Write) -> None:
    """A finished file gives back its header and every record."""
    work = read_work(write("a.work"))

    assert work.header.differences(header()) == []
    assert work.header == WorkHeader(
        settings=work.header.settings, skeleton=work.header.skeleton, images=IMAGES, shard=Shard()
    )
    assert work.records == records(range(IMAGES))


@pytest.mark.parametrize("cut", [*range(0, 2400, 67), 10**6])
def test_file_cut_anywhere_is_continued_to_the_same_bytes(write: Write, cut: int) -> None:
    """Whatever a crash has left of it, in the header too."""
    path = write("a.work")
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])

    assert write("a.work").read_bytes() == whole


def test_only_what_is_missing_is_done(write: Write) -> None:
    """Whole chunks stay; of a chunk that was begun nothing does."""
    path = write("a.work", chunks=2)
    with path.open("ab") as stream:
        stream.write(b'{"index":16,"file_name":"16.jpg","persons":[]}\n{"index":17')

    file = WorkFile(path, header())

    assert (file.done, [chunk.start for chunk in file.chunks]) == (2 * CHUNK_IMAGES, [16, 24])
    assert len(path.read_bytes().splitlines()) == 1 + file.done
    assert WorkFile(write("b.work"), header()).chunks == []


def test_shards_together_are_the_whole(write: Write) -> None:
    """In whatever order they are given."""
    together = read_shards([write(f"{number}.work", shard=f"{number}/3") for number in (3, 1, 2)])

    assert together.records == read_work(write("whole.work")).records


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        (["1/3", "2/3"], "expected each of the 3 shards once, found 1/3, 2/3"),
        (["1/2", "2/2", "2/2"], "expected each of the 2 shards once, found 1/2, 2/2, 2/2"),
        (["1/2", "2/3"], "expected each of the 2 shards once, found 1/2, 2/3"),
        ([], "expected work files, found none"),
    ],
)
def test_shares_that_do_not_make_a_whole(write: Write, shards: list[str], message: str) -> None:
    """A share that is missing or comes twice is refused."""
    with pytest.raises(ValueError, match=message):
        read_shards([write(f"{place}.work", shard=shard) for place, shard in enumerate(shards)])


def test_shares_of_different_runs(write: Write, tmp_path: Path) -> None:
    """What differs is named: settings, or the skeleton."""
    first = write("1.work", shard="1/2")

    with pytest.raises(ValueError, match=r"2\.work: was made with other settings than .*1\.work: model: tiny and big"):
        read_shards([first, write("2.work", shard="2/2", model="big")])
    other = WorkFile(tmp_path / "3.work", header("2/2", LSP_14))
    for chunk in other.chunks:
        other.append(records(chunk))
    with pytest.raises(ValueError, match=r"3\.work: was made with other settings than .*: skeleton: "):
        read_shards([first, other.path])


def test_unfinished_work_is_no_result(write: Write, tmp_path: Path) -> None:
    """Labels are not made of a part, and not of nothing."""
    with pytest.raises(ValueError, match=f"expected {IMAGES} images, found 8; the run is not finished"):
        read_work(write("a.work", chunks=1))
    with pytest.raises(FileNotFoundError, match=r"none\.work: no such work file"):
        read_work(tmp_path / "none.work")


def test_another_run_does_not_go_on(write: Write) -> None:
    """Other settings and another share are refused, and the file stays as it was."""
    path = write("a.work", chunks=1)
    before = path.read_bytes()

    with pytest.raises(ValueError, match=r"was begun with other settings \(model: tiny and big\)"):
        write("a.work", model="big")
    with pytest.raises(ValueError, match=r"was begun with other settings \(shard: 1/1 and 2/2\)"):
        write("a.work", shard="2/2")
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ['{"a": 1}\n', '{"a": 1}', "hello\n", '["format"]\n', '{"format": "x"}\n'])
def test_other_files_are_left_alone(write: Write, tmp_path: Path, content: str) -> None:
    """A file of something else is neither continued nor read nor written over."""
    path = tmp_path / "a.work"
    path.write_text(content)

    for use in (lambda: write("a.work"), lambda: read_work(path)):
        with pytest.raises(ValueError, match=r"a\.work: expected a work file of pseudo-labels"):
            use()
    assert path.read_text() == content


@pytest.mark.parametrize("line", [b"nonsense", b'{"index":7}', b"[]"])
def test_damage_in_the_middle_is_no_crash(write: Write, line: bytes) -> None:
    """A crash spoils the end only; a wrong line before it is an error that names it."""
    path = write("a.work")
    lines = path.read_bytes().splitlines()
    lines[3] = line
    path.write_bytes(b"\n".join(lines) + b"\n")

    for use in (lambda: write("a.work"), lambda: read_work(path)):
        with pytest.raises(ValueError, match="line 4: expected the record of image 2, found"):
            use()


def test_two_writers_are_noticed(tmp_path: Path) -> None:
    """The second process of a share stops instead of mixing its lines in."""
    first, second = (WorkFile(tmp_path / "a.work", header()) for _ in range(2))
    first.append(records(first.chunks[0]))

    with pytest.raises(OSError, match=r"a\.work: another process writes into it"):
        second.append(records(second.chunks[0]))
    first.append(records(first.chunks[1]))


def test_broken_numbers_are_not_written(tmp_path: Path) -> None:
    """JSON has no infinity; the file stays as it was."""
    file = WorkFile(tmp_path / "a.work", header())
    before = file.path.read_bytes()

    with pytest.raises(ValueError, match="Out of range float values"):
        file.append([{"index": 0, "score": float("inf")}])
    assert file.path.read_bytes() == before


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """File names are bytes; those that are not UTF-8 survive."""
    file = WorkFile(tmp_path / "a.work", header(images=1))
    name = b"caf\xe9\r\n.jpg".decode(errors="surrogateescape")
    file.append([{"index": 0, "file_name": name}])

    assert read_work(file.path) == Work(read_work(file.path).header, [{"index": 0, "file_name": name}])
    assert json.loads(file.path.read_bytes().splitlines()[1])["file_name"] == name


def test_a_chunk_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is flushed before the next one is predicted: a power cut costs one chunk."""
    file = WorkFile(tmp_path / "a.work", header())
    lines: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda _: lines.append(len(file.path.read_bytes().splitlines())))

    for chunk in file.chunks[:2]:
        file.append(records(chunk))

    assert lines == [1 + CHUNK_IMAGES, 1 + 2 * CHUNK_IMAGES]
