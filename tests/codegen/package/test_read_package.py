"""read_package: what is stored comes back; damaged and foreign folders are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tilecast.codegen.package import PackageContent, read_package, write_package
from tilecast.dialects.errors import PackageError

PROGRAM = {"level": "x86-64", "features": [], "arch_flags": [], "sources": []}


@pytest.fixture
def package(tmp_path: Path, content: PackageContent) -> Path:
    return write_package(tmp_path / "out", content)


def edit_manifest(package: Path, **changes: object) -> None:
    path = package / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_signatures_come_back(package: Path, content: PackageContent) -> None:
    stored = read_package(package)
    assert (stored.inputs, stored.outputs) == (content.inputs, content.outputs)
    assert stored.weights == package / "weights.safetensors"
    (program,) = stored.programs
    assert [p.name for p in program.sources] == ["affine.c", "kernels_0.c"]
    assert [p.name for p in stored.shared_sources] == ["affine_api.c", "affine_weights.c"]


def test_a_folder_that_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="no package"):
        read_package(tmp_path)


def test_every_damaged_file_is_named(package: Path) -> None:
    (package / "src" / "affine.c").write_text("int x;")
    (package / "weights.safetensors").unlink()
    with pytest.raises(
        PackageError, match=r"src/affine\.c was changed; weights\.safetensors is mis"
    ):
        read_package(package)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "another"}, "not the manifest of a tilecast package"),
        ({"schema_version": 99}, "expected schema version 2, found 99"),
        ({"files": {"/etc/passwd": "0"}}, "outside the package"),
        ({"files": {"../x": "0"}}, "outside the package"),
        ({"files": []}, "list of files is missing"),
        ({"inputs": [{"name": "x"}]}, "field missing"),
        ({"programs": [{**PROGRAM, "arch_flags": ["-o/tmp/x"]}]}, "not a machine flag"),
        ({"programs": [{**PROGRAM, "sources": ["../x.c"]}]}, "is not among its files"),
    ],
)
def test_foreign_manifests(package: Path, changes: dict[str, object], message: str) -> None:
    edit_manifest(package, **changes)
    with pytest.raises(PackageError, match=message):
        read_package(package)


def test_a_manifest_that_is_no_json(package: Path) -> None:
    (package / "manifest.json").write_bytes(b"\x80\x04not json")
    with pytest.raises(PackageError, match="cannot be read"):
        read_package(package)
