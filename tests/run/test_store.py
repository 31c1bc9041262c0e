"""Part files and a stage's folder: content keys, footers, damage, full disks, other readers of Parquet."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from acemath.errors import UserError
from acemath.records import Chat, Dropped, Group, Response, to_table
from acemath.run.parts import GROUP, PartWriter, read_footer, write_part
from acemath.run.reasons import reason
from acemath.run.store import StageStore, added

RESPONSES = [
    Response(f"p{n}", n % 4, "é" * (n % 7), "m", status=[None, "correct", "wrong"][n % 3], reward=n / 7 if n % 2 else None)
    for n in range(5000)
]  # fmt: skip
GROUPS = [Group(f"p{n}", "x", ("a", "b" * n), (1, 0), () if n % 2 else ("m", "n")) for n in range(100)]
CHATS = [Chat(f"p{n}", ({"role": "user", "content": "c" * n},), meta={"n": n}) for n in range(100)]


def written(path: Path, table: pa.Table, sizes: list[int]) -> str:
    """A part from batches of these sizes; its content key."""
    with PartWriter(path, table.schema) as writer:
        start = 0
        for size in sizes:
            writer.write(table.slice(start, size))
            start += size
        assert start == table.num_rows
        return writer.commit("k").content


@pytest.mark.parametrize("rows", [RESPONSES, GROUPS, CHATS], ids=["responses", "groups", "chats"])
def test_content_does_not_depend_on_batches(tmp_path: Path, rows: list) -> None:
    """The same rows give the same key and the same bytes, whatever batches they come in; other rows another key."""
    kind = type(rows[0])
    table = to_table(rows, kind)
    first = write_part(tmp_path / "part-0.parquet", rows, kind, "k")
    draw = random.Random(1)
    for turn in range(4):
        sizes, left = [], len(rows)
        while left:
            sizes.append(draw.randint(0, min(left, GROUP + 99)))
            left -= sizes[-1]
        path = tmp_path / f"part-{turn + 1}.parquet"
        assert written(path, table, sizes) == first.content
        assert path.read_bytes() == (tmp_path / "part-0.parquet").read_bytes()
    assert written(tmp_path / "part-9.parquet", table.slice(1), [len(rows) - 1]) != first.content


def test_content_tells_like_rows_apart(tmp_path: Path) -> None:
    """Nulls, empty texts, moved boundaries, swapped rows and other columns are other content."""
    text = Response("p", 0, "ab", "c")
    variants = [
        [text],
        [Response("p", 0, "a", "bc")],
        [Response("pa", 0, "b", "c")],
        [Response("p", 0, "ab", "c", extracted="")],
        [Response("p", 0, "ab", "c", reason="")],
        [Response("p", 0, "ab", "c", reward=0.0)],
        [Response("p", 0, "ab", "c", meta={"x": 1})],
        [text, text],
        [text, Response("q", 0, "ab", "c")],
        [Response("q", 0, "ab", "c"), text],
        [],
    ]
    keys = [write_part(tmp_path / "part-0.parquet", rows, Response, "k").content for rows in variants]
    groups = [
        [Group("p", "x", ("a",), (1,))],
        [Group("p", "x", ("a", ""), (1, 0))],
        [Group("p", "x", (), ())],
    ]
    keys += [write_part(tmp_path / "part-0.parquet", rows, Group, "k").content for rows in groups]
    keys += [write_part(tmp_path / "part-0.parquet", [], Group, "k").content]
    assert len(set(keys)) == len(keys)


def test_rows_come_back(tmp_path: Path) -> None:
    """Rows, columns, dropped rows and facts are read as they were written."""
    store = StageStore(tmp_path, 2)
    write_part(
        store.part(0), iter(RESPONSES[:3000]), Response, "a", [Dropped("d", "s", "why", "t")], {"n": 1}
    )
    write_part(store.part(1), RESPONSES[3000:], Response, "b")
    assert store.rows(Response, 0) + store.rows(Response, 1) == RESPONSES
    batches = list(store.batches(["sample", "problem_id"], size=700))
    assert [name for batch in batches for name in batch.column("problem_id").to_pylist()] == [
        r.problem_id for r in RESPONSES
    ]
    assert (
        batches[0].schema.names == ["sample", "problem_id"]
        and max(batch.num_rows for batch in batches) == 700
    )
    assert [d.id for d in store.dropped()] == ["d"] and list(store.dropped([1])) == []
    footer = read_footer(store.part(0))
    assert footer is not None and (footer.key, footer.facts) == ("a", {"n": 1}) and footer.dropped
    assert store.stale(["a", "b"]) == [] and store.stale(["a", "c"]) == [1]


def test_a_generator_fills_what_was_dropped(tmp_path: Path) -> None:
    """Dropped rows and facts are read when the last row has come."""
    dropped, facts = list[Dropped](), dict[str, int]()

    def rows():
        yield RESPONSES[0]
        dropped.append(Dropped("d", "s", "why", "t"))
        facts["n"] = 1

    write_part(StageStore(tmp_path, 1).part(0), rows(), Response, "a", dropped, facts)
    footer = read_footer(tmp_path / "part-00000.parquet")
    assert (
        footer is not None and footer.facts == {"n": 1} and len(list(StageStore(tmp_path, 1).dropped())) == 1
    )


def test_dropped_rows_of_another_making_do_not_pass(tmp_path: Path) -> None:
    """A stop after new dropped rows and before their part leaves the old part: it is stale even for its own key."""
    store = StageStore(tmp_path, 1)
    write_part(store.part(0), RESPONSES, Response, "old", [Dropped("d", "s", "why", "old")])

    def stopped():
        yield RESPONSES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_part(store.part(0), stopped(), Response, "new", [Dropped("d", "s", "why", "new")])
    assert store.stale(["old"]) == [] and [p.name for p in tmp_path.iterdir() if p.name[0] == "."] == []
    write_part(tmp_path / "part-9.parquet", [], Response, "new", [Dropped("d", "s", "why", "new")])
    (tmp_path / "dropped-9.parquet").replace(tmp_path / "dropped-00000.parquet")
    assert store.stale(["old"]) == [0]
    write_part(store.part(0), RESPONSES, Response, "new")
    assert store.stale(["new"]) == [0] or not list(store.dropped())
    assert store.stale(["new"]) == []


@pytest.mark.parametrize("cut", [0, 3, 100, -1])
def test_damaged_files_are_stale_and_named(tmp_path: Path, cut: int) -> None:
    """A cut file is no part; reading it is one line."""
    store = StageStore(tmp_path, 1)
    write_part(store.part(0), RESPONSES, Response, "a")
    store.part(0).write_bytes(store.part(0).read_bytes()[:cut])
    assert store.stale(["a"]) == [0]
    with pytest.raises(
        UserError, match="part-00000.parquet is not a whole Parquet file .*; delete it and run"
    ):
        store.rows(Response, 0)
    store.part(0).unlink()
    with pytest.raises(UserError, match="part-00000.parquet' does not exist"):
        list(store.batches())


def test_a_flipped_bit_is_noticed_on_reading(tmp_path: Path) -> None:
    """Pages have checksums: wrong rows are never read."""
    store = StageStore(tmp_path, 1)
    write_part(store.part(0), [Response("p", 0, str(n) * 9, "m") for n in range(900)], Response, "a")
    data = bytearray(store.part(0).read_bytes())
    column = pq.read_metadata(store.part(0)).row_group(0).column(2)
    data[(column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size // 2] ^= 4
    store.part(0).write_bytes(data)
    with pytest.raises(UserError, match="not a whole Parquet file"):
        store.rows(Response, 0)


def test_a_file_that_another_program_wrote_is_no_part(tmp_path: Path) -> None:
    """Rows that were changed by hand and written back have no key, so that their partition is made again."""
    store = StageStore(tmp_path, 1)
    write_part(store.part(0), RESPONSES, Response, "a")
    pq.write_table(pa.table({"x": [1]}), store.part(0))
    assert store.stale(["a"]) == [0]


def test_other_programs_read_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pandas and `datasets` read the part files, one and all, without acemath."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    import datasets
    import pandas as pd

    store = StageStore(tmp_path, 2)
    write_part(store.part(0), RESPONSES[:3000], Response, "a", [Dropped("d", "s", "why", "t")])
    write_part(store.part(1), RESPONSES[3000:], Response, "b")
    frame = pd.read_parquet(store.part(0))
    assert list(frame["problem_id"]) == [r.problem_id for r in RESPONSES[:3000]]
    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "part-*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert loaded.num_rows == 5000 and loaded[4999]["text"] == RESPONSES[4999].text


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """No traceback, no half file under any name."""
    code = (
        "import random, sys\nfrom pathlib import Path\nfrom acemath.errors import UserError\n"
        "from acemath.records import Problem\nfrom acemath.run.parts import write_part\n"
        "rows = [Problem(str(n), random.Random(n).randbytes(900).hex()) for n in range(5000)]\n"
        "try:\n    write_part(Path(sys.argv[1]) / 'part-00000.parquet', rows, Problem, 'k')\n"
        "except UserError as error:\n    print(error)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)), env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(
        f"cannot write {tmp_path}/part-00000.parquet: File too large; free some space"
    )
    assert found.stdout.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_a_model_is_whole_or_not_there(tmp_path: Path) -> None:
    """An error leaves the model of before; a finished one carries its key, and a missing file makes it stale."""
    store = StageStore(tmp_path, 1, "model")
    with store.making("a", {"steps": np.int64(3).item()}) as out:
        (out / "deep").mkdir()
        (out / "deep" / "w.bin").write_bytes(b"first")
    with pytest.raises(ConnectionError, match="hub"), store.making("b", {}) as out:
        raise ConnectionError("the hub is down")
    assert store.stale(["a"]) == [] and (store.model / "deep" / "w.bin").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (store.model / "deep" / "w.bin").write_bytes(b"cut")
    assert store.stale(["a"]) == [0]


def test_a_models_key_is_of_its_files(tmp_path: Path) -> None:
    """Other bytes are another model; settings, the card and its facts are not among them."""

    def content(key: str, weight: bytes, card: str) -> str:
        store = StageStore(tmp_path / "a", 1, "model")
        with store.making(key, {}) as out:
            (out / "w.bin").write_bytes(weight)
            (out / "README.md").write_text(card)
            (out / "training.json").write_text(card)
        (store.model / "training.json").write_text("evaluation adds to it")
        (footer,) = store.footers()
        assert footer is not None and footer.key == key
        return footer.content

    first = content("a", b"w", "x")
    assert content("b", b"w", "y") == first != content("b", b"v", "y")


@pytest.mark.parametrize("writer", ["safetensors", "torch", "python"])
def test_full_disk_while_weights_are_written(tmp_path: Path, writer: str) -> None:
    """Libraries that write from native code hide the disk's error; it is one line all the same."""
    saves = {
        "safetensors": "from safetensors.numpy import save_file; import numpy; save_file({'x': numpy.zeros(90000)}, out / 'w')",
        "torch": "import torch; torch.save({'x': torch.zeros(90000)}, out / 'w')",
        "python": "(out / 'w').write_bytes(bytes(90000))",
    }
    code = (
        "import sys, resource, signal; from pathlib import Path; from acemath.run.store import StageStore\n"
        "from acemath.errors import UserError\n"
        f"store = StageStore(Path({str(tmp_path / 'a')!r}), 1, 'model')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        f"try:\n    with store.making('k', {{}}) as out:\n        {saves[writer]}\n"
        "except UserError as error:\n    print(error); sys.exit(2)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stdout and "free some space" in done.stdout and done.stdout.count("\n") == 1
    assert not list((tmp_path / "a").iterdir())


def test_damaged_manifests(tmp_path: Path) -> None:
    """A manifest that is no JSON, no UTF-8 or no object is one line with the file in it, and says what to delete."""
    for content in (b"{", b"\xff\xfe{", b"[1]"):
        (tmp_path / "manifest.json").write_bytes(content)
        with pytest.raises(UserError, match=r"manifest\.json .*delete it and run the same command"):
            _ = StageStore(tmp_path, 1).finished


def test_facts_add_up() -> None:
    """Numbers add, mappings by key, equal values stay; values that differ are refused."""
    one = {"n": 1, "by": {"a": 1.5}, "name": "x", "flag": True}
    assert added(one, {"n": 2, "by": {"b": 1}, "name": "x", "flag": True}) == {
        "n": 3, "by": {"a": 1.5, "b": 1}, "name": "x", "flag": True,
    }  # fmt: skip
    with pytest.raises(ValueError, match="fact 'name' is 'x' in one part and 'y' in another"):
        added(one, {"name": "y"})


def test_checkpoints_that_a_change_removes_are_told_of(tmp_path: Path) -> None:
    """Before they are removed; checkpoints of the same training go on."""
    store = StageStore(tmp_path, 1, "model")
    old, new = {"settings": {"rate": 1}, "inputs": {}}, {"settings": {"rate": 2}, "inputs": {}}
    store.begin(old, "old")
    (store.work("old") / "checkpoint-3").mkdir()
    assert store.why(old, [0], "old") == "was stopped; its checkpoints are kept"
    assert store.why(new, [0], "new") == "rate changed from 1 to 2; checkpoints from before the change are removed"
    assert (store.work("old") / "checkpoint-3").is_dir()
    store.begin(new, "new")
    assert list((tmp_path / "work").iterdir()) == []


def test_reasons() -> None:
    """Each cause has its line."""
    now = {"settings": {"lcs": 0.6}, "inputs": {"problems": "a"}}
    done = {**now, "output": "o"}
    assert reason({}, now, range(4), 4, []) == "runs for the first time"
    assert reason({**done, "settings": {}}, now, [0], 1, []) == "lcs is new"
    assert reason({**done, "settings": {"lcs": 0.6, "old": 1}}, now, [0], 1, []) == "old is no longer set"
    assert reason({**done, "inputs": {"problems": "b"}}, now, range(4), 4, []) == "its input problems changed"
    found = reason({**done, "inputs": {"problems": "b"}}, now, range(1, 9), 16, [])
    assert found == "its input problems changed in 8 of 16 partitions (1, 2, 3, 4, 5 …)"
    assert reason(now, now, [0], 1, []) == "was stopped before its end"
    assert reason(now, now, [], 16, []) == "was stopped; 16 of 16 partitions are kept"
