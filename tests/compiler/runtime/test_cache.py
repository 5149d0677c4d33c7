"""The cache: verified, atomic, private, explained."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import time
from pathlib import Path

import pytest
from tilecast.compiler.runtime import cache as cache_module
from tilecast.compiler.runtime.artifact import LIBRARY, WEIGHTS, Artifact
from tilecast.compiler.runtime.cache import Store, cache_directory, open_store, problem_of

FILES = {"a.bin": b"alpha" * 100, "b.bin": b""}
PARTS = {"graph": "g1", "threads": "2"}


def test_what_was_added_is_found(store):
    store.add("models", "k", FILES, PARTS)
    entry = store.find("models", "k")
    assert entry is not None
    assert {name: entry.read(name) for name in FILES} == FILES
    assert entry.parts == PARTS
    assert entry.read_aligned("a.bin").ctypes.data % 64 == 0


def test_unknown_key_is_a_miss(store):
    assert store.find("models", "nothing") is None


def test_entry_is_replaced(store):
    store.add("models", "k", FILES, PARTS)
    store.add("models", "k", {"a.bin": b"new"}, PARTS)
    entry = store.find("models", "k")
    assert entry.read("a.bin") == b"new"
    assert sorted(os.listdir(entry.path)) == ["a.bin", "entry.json"]
    assert os.listdir(entry.path.parent) == ["k"]


@pytest.mark.parametrize("damage", ["flip", "shorten", "lengthen", "remove"])
def test_damaged_file_is_never_read_and_the_entry_removed(store, damage, capsys):
    path = store.add("models", "k", FILES, PARTS).path / "a.bin"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[7] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes({"shorten": content[:-1], "lengthen": content + b"x"}.get(damage, content))
    assert store.find("models", "k").read("a.bin") is None
    assert store.find("models", "k") is None
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', "null", "\x00"])
def test_damaged_description_is_a_miss(store, text):
    entry = store.add("models", "k", FILES, PARTS)
    (entry.path / "entry.json").write_text(text)
    assert store.find("models", "k") is None
    assert not entry.path.exists()


def test_description_that_was_edited_is_a_miss(store):
    entry = store.add("models", "k", FILES, PARTS)
    file = entry.path / "entry.json"
    data = json.loads(file.read_text())
    data["files"]["a.bin"]["blake2b"] = data["files"]["b.bin"]["blake2b"]
    file.write_text(json.dumps(data))
    assert store.find("models", "k") is None


def test_failed_write_leaves_nothing(store, monkeypatch):
    def full_disk(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(cache_module.CacheError, match="No space left"):
        store.add("models", "k", FILES, PARTS)
    monkeypatch.undo()
    assert store.find("models", "k") is None
    assert os.listdir(store.root / "models") == []


def test_folder_is_private(tmp_path, monkeypatch):
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "new" / "cache"))
    store = open_store()
    assert store.root == cache_directory() == tmp_path / "new" / "cache"
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700


def test_folder_that_others_can_write_is_not_trusted(tmp_path):
    tmp_path.chmod(0o777)
    assert "other users" in (problem_of(tmp_path) or "")


def test_unwritable_folder_is_one_warning_and_a_temporary_cache(tmp_path, monkeypatch, capsys):
    # Nobody can make a folder below a file, not even root, who ignores permission bits.
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "file" / "cache"))
    first, second = open_store(), open_store()
    assert first.root == second.root != cache_directory()
    first.add("models", "k", FILES, PARTS)
    assert second.find("models", "k") is not None
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_switched_off_cache_does_not_touch_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "cache"))
    open_store(enabled=False).add("models", "k2", FILES, PARTS)
    assert not (tmp_path / "cache").exists()


def test_explain_names_what_differs(store):
    store.add("models", "aaaa", FILES, PARTS)
    store.add("models", "bbbb", FILES, {"graph": "g2", "threads": "8"})
    assert store.explain({"graph": "g1", "threads": "1"}) == ["threads: 2 in entry aaaa, now 1"]
    assert "hit" in store.explain(PARTS)[0]


def test_clear_removes_everything(store):
    entry = store.add("models", "k", FILES, PARTS)
    assert store.clear() == entry.bytes == 500
    assert store.entries() == []


def test_model_survives_the_round_trip_through_the_cache(build_model, store):
    model = build_model((5,))
    entry = store.find("models", "model5")
    signature = model.artifact.signature
    again = Artifact.from_entry(entry, signature.in_spec, signature.out_spec, [])
    assert again.signature == signature
    assert again.weights["w"].tolist() == [0, 1, 2, 3, 4]
    assert again.weights["w"].ctypes.data % 64 == 0
    assert again.machine == model.artifact.machine
    assert again.sources == model.artifact.sources


@pytest.mark.parametrize("file", [LIBRARY, WEIGHTS])
def test_model_with_a_damaged_file_is_not_loaded(build_model, store, file):
    model = build_model((5,))
    entry = store.find("models", "model5")
    path = entry.path / file
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x80
    path.unlink()  # the library is mapped by this process: do not write into it
    path.write_bytes(content)
    signature = model.artifact.signature
    assert Artifact.from_entry(entry, signature.in_spec, signature.out_spec, []) is None


def build_once(root: Path, log: Path) -> None:
    store = Store(root)
    with store.lock("k"):
        if store.find("models", "k") is None:
            with log.open("a") as file:
                file.write("built\n")
            time.sleep(0.3)
            store.add("models", "k", FILES, PARTS)


def test_two_processes_build_once(store, tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=build_once, args=(store.root, log)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert log.read_text() == "built\n"
