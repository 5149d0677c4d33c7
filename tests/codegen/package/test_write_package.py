"""write_package: layout, determinism, atomicity, refusals."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tilecast.codegen.package import (
    CheckData,
    PackageContent,
    TensorSignature,
    read_package,
    write_package,
)
from tilecast.codegen.package import write as write_module
from tilecast.dialects.errors import PackageError


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()
    }


def test_layout(tmp_path: Path, content: PackageContent) -> None:
    out = write_package(tmp_path / "out", content)
    assert sorted(tree(out)) == [
        "CMakeLists.txt",
        "Makefile",
        "README.txt",
        "include/affine.h",
        "ir/00-import.mlir",
        "manifest.json",
        "src/affine.c",
        "src/affine_api.c",
        "src/affine_private.h",
        "src/affine_weights.c",
        "src/kernels_0.c",
        "test/check.c",
        "test/input_0.bin",
        "test/input_1.bin",
        "test/output_0.bin",
        "test/output_1.bin",
        "weights.safetensors",
    ]
    assert not any(
        b"@" + word in data for data in tree(out).values() for word in (b"name", b"NAME")
    )


def test_bytes_depend_on_the_content_only(tmp_path: Path, content: PackageContent) -> None:
    first = tree(write_package(tmp_path / "a", content))
    assert first == tree(write_package(tmp_path / "elsewhere" / "b", content))


def test_manifest_lists_the_digest_of_every_file(tmp_path: Path, content: PackageContent) -> None:
    files = tree(write_package(tmp_path / "out", content))
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["files"] == {n: hashlib.sha256(b).hexdigest() for n, b in files.items()}
    assert manifest["arena_bytes"] == 64
    assert manifest["inputs"][0] == {"name": "x", "dtype": "float32", "shape": [5]}


def test_weights_are_safetensors_with_aligned_data(tmp_path: Path, content: PackageContent) -> None:
    path = write_package(tmp_path / "out", content) / "weights.safetensors"
    loaded = load_file(path)
    for symbol, array in content.weights.items():
        np.testing.assert_array_equal(loaded[symbol], array)
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    for symbol in content.weights:
        assert (start + header[symbol]["data_offsets"][0]) % 64 == 0


def test_a_package_is_replaced(
    tmp_path: Path, content: PackageContent, changed: Callable[..., PackageContent]
) -> None:
    out = write_package(tmp_path / "out", content)
    (out / "build").mkdir()
    (out / "build" / "stale.o").write_text("old")
    write_package(out, changed(content, arena_bytes=128))
    assert not (out / "build").exists()
    assert read_package(out).arena_bytes == 128
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_other_folders_are_refused_untouched(tmp_path: Path, content: PackageContent) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(PackageError, match="no tilecast package"):
        write_package(tmp_path / "out", content)
    assert tree(tmp_path) == {"out/thesis.tex": b"precious"}


def test_an_empty_folder_is_used(tmp_path: Path, content: PackageContent) -> None:
    (tmp_path / "out").mkdir()
    write_package(tmp_path / "out", content)
    assert read_package(tmp_path / "out").name == "affine"


def test_a_file_in_the_way_is_refused(tmp_path: Path, content: PackageContent) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(PackageError, match="not a folder"):
        write_package(tmp_path / "out", content)


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, content: PackageContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunks(weights: object) -> object:
        yield b"some bytes"
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(write_module, "weights_file_chunks", chunks)
    with pytest.raises(PackageError, match="No space left on device"):
        write_package(tmp_path / "out", content)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_replacement_keeps_the_old_package(
    tmp_path: Path,
    content: PackageContent,
    changed: Callable[..., PackageContent],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = write_package(tmp_path / "out", content)
    before = tree(out)

    def chunks(weights: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")
        yield b""

    monkeypatch.setattr(write_module, "weights_file_chunks", chunks)
    with pytest.raises(PackageError):
        write_package(out, changed(content, arena_bytes=128))
    assert tree(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_really_full_disk(content: PackageContent) -> None:
    """/dev/full answers every write with ENOSPC; a path below a device cannot be a folder."""
    with pytest.raises(PackageError, match="/dev/full"):
        write_package("/dev/full/out", content)


@pytest.mark.parametrize("name", ["1st", "a-b", "int", "", "a/../b"])
def test_names_must_be_c_identifiers(tmp_path: Path, content: PackageContent, name: str) -> None:
    with pytest.raises(PackageError, match="C identifier"):
        write_package(tmp_path / "out", replace(content, name=name))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", ["../evil.c", "affine_api.c", "x.py", "sub/x.c"])
def test_source_names_stay_in_src(
    tmp_path: Path, content: PackageContent, changed: Callable[..., PackageContent], file: str
) -> None:
    with pytest.raises(PackageError, match="source file name"):
        write_package(tmp_path / "out", changed(content, sources={file: ""}))


def test_check_data_must_fit_the_signatures(tmp_path: Path, content: PackageContent) -> None:
    with pytest.raises(PackageError, match=r"check input x: expected float32\[6\]"):
        write_package(
            tmp_path / "out",
            replace(content, inputs=(TensorSignature("x", "float32", (6,)), content.inputs[1])),
        )
    with pytest.raises(PackageError, match="expected 2 arrays, found 0"):
        write_package(tmp_path / "out", replace(content, check=CheckData((), ())))


def test_weights_of_unknown_type_are_refused(
    tmp_path: Path, content: PackageContent, changed: Callable[..., PackageContent]
) -> None:
    with pytest.raises(PackageError, match="weight w: element type complex64"):
        write_package(tmp_path / "out", changed(content, weights={"w": np.zeros(2, np.complex64)}))


@pytest.mark.parametrize("symbol", ["__metadata__", "__fill_0", "a\nb"])
def test_reserved_weight_names_are_refused(
    tmp_path: Path, content: PackageContent, changed: Callable[..., PackageContent], symbol: str
) -> None:
    with pytest.raises(PackageError, match="weight name"):
        write_package(tmp_path / "out", changed(content, weights={symbol: np.zeros(2)}))


def test_facts_must_be_json(
    tmp_path: Path, content: PackageContent, changed: Callable[..., PackageContent]
) -> None:
    with pytest.raises(PackageError, match="JSON"):
        write_package(tmp_path / "out", changed(content, facts={"x": object()}))
    assert list(tmp_path.iterdir()) == []
