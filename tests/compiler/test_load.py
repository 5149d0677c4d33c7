"""load_package: built, called, verified; wrong calls and damaged packages are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tilecast.codegen.package import (
    CheckData,
    CheckOutput,
    PackageContent,
    Program,
    TensorSignature,
    write_package,
)
from tilecast.compiler import load as load_module
from tilecast.compiler.load import load_package
from tilecast.compiler.runtime import toolchain
from tilecast.compiler.runtime.signature import OutputLeaf, Signature, TensorSpec
from tilecast.dialects.errors import (
    CompilerNotFoundError,
    InvalidInputError,
    PackageError,
    VerifyFailure,
)

HEAD = (
    "void scale_program(const void *const *inputs, void *const *outputs,\n"
    "                   const void *const *weights, unsigned char *arena)"
)
PROGRAM = f"""\
{HEAD};
{HEAD} {{
  const float *x = (const float *)inputs[0];
  const float *factor = (const float *)weights[0];
  float *y = (float *)outputs[0];
  (void)arena;
  for (int i = 0; i < 4; i++) y[i] = x[i] * factor[0];
}}
"""


def scale_content(calling: dict[str, object] | None = None) -> PackageContent:
    x = np.array([1.0, -2.0, 0.5, np.nan], np.float32)
    return PackageContent(
        name="scale",
        target="x86-64",
        inputs=(TensorSignature("x", "float32", (4,)),),
        outputs=(TensorSignature("y", "float32", (4,)),),
        programs=(
            Program(
                "scale", "x86-64", {"scale.c": PROGRAM}, {"factor": np.array([3.0], np.float32)}, 0
            ),
        ),
        check=CheckData((x,), (CheckOutput(x * 3, 0.0, 0.0),)),
        calling=calling or {},
    )


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "out", scale_content())


def test_a_package_runs(package: Path) -> None:
    program = load_package(package)
    torch.testing.assert_close(program(torch.arange(4.0)), torch.arange(4.0) * 3, rtol=0, atol=0)
    strided = torch.arange(8.0)[::2]
    torch.testing.assert_close(program(strided), strided * 3, rtol=0, atol=0)


def test_the_python_signature_comes_back(tmp_path: Path) -> None:
    from torch.utils import _pytree as pytree

    spec = TensorSpec("x", "float32", (4,))
    signature = Signature(
        inputs=(spec,),
        results=(TensorSpec("y", "float32", (4,)),),
        leaves=(OutputLeaf("result", 0), OutputLeaf("input", 0), OutputLeaf("constant", 0, 7)),
        positions=(0,),
        constants={1: True},
        in_spec=pytree.tree_structure((({"x": 0},), {"flag": True})),
        out_spec=pytree.tree_structure({"y": 0, "same": [0, 0]}),
    )
    out = write_package(tmp_path / "out", scale_content(signature.to_json()))
    program = load_package(out)
    x = torch.arange(4.0)
    result = program({"x": x}, flag=True)
    assert set(result) == {"y", "same"}
    torch.testing.assert_close(result["y"], x * 3, rtol=0, atol=0)
    assert result["same"][1] == 7
    torch.testing.assert_close(result["same"][0], x)
    with pytest.raises(InvalidInputError, match="structure"):
        program(x)
    with pytest.raises(InvalidInputError, match="was True when the model was compiled"):
        program({"x": x}, flag=False)
    assert program.check_inputs()[0]["x"].shape == (4,)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (torch.zeros(5), r"float32\[5\]"),
        (torch.zeros(4, dtype=torch.float64), r"float64\[4\]"),
        ([1.0, 2.0], "list"),
        (torch.zeros(4, device="meta"), "meta"),
    ],
)
def test_wrong_inputs_are_named(package: Path, value: object, found: str) -> None:
    program = load_package(package)
    with pytest.raises(InvalidInputError, match=rf"input x: expected .*found {found}"):
        program(value)
    with pytest.raises(InvalidInputError, match="expected 1 inputs, found 2"):
        program(torch.zeros(4), torch.zeros(4))


def test_the_second_load_needs_no_compilation(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_package(package)
    monkeypatch.setattr(load_module, "_compile", lambda *_: pytest.fail("compiled again"))
    load_package(package)


def test_no_compiler(package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    toolchain.probe_candidates.cache_clear()
    with pytest.raises(CompilerNotFoundError, match="Install one"):
        load_package(package)
    toolchain.probe_candidates.cache_clear()


def test_verify_passes_and_reports(package: Path) -> None:
    report = load_package(package).verify()
    assert [row.mismatches for row in report.outputs] == [0]
    assert "y: 4 elements" in str(report)


def test_verify_finds_another_result(tmp_path: Path) -> None:
    content = scale_content()
    wrong = content.check.outputs[0].reference.copy()
    wrong[2] += 0.25
    check = CheckData(content.check.inputs, (CheckOutput(wrong, 0.1, 0.0),))
    from dataclasses import replace

    out = write_package(tmp_path / "out", replace(content, check=check))
    with pytest.raises(VerifyFailure, match=r"max abs error 0\.25, MISMATCH"):
        load_package(out).verify()


def test_verify_finds_a_package_changed_after_loading(package: Path) -> None:
    program = load_package(package)
    (package / "test" / "output_0.bin").write_bytes(bytes(16))
    with pytest.raises(PackageError, match=r"output_0\.bin was changed"):
        program.verify()


def test_damaged_weights_are_found_before_building(package: Path) -> None:
    data = (package / "weights.safetensors").read_bytes()
    (package / "weights.safetensors").write_bytes(data[:-1] + b"\x01")
    with pytest.raises(PackageError, match=r"weights\.safetensors was changed"):
        load_package(package)


def test_a_weights_file_that_does_not_fit_is_refused_by_the_program(package: Path) -> None:
    """With a forged digest the sha256 check passes; the C parser is the second line."""
    import hashlib

    header = b'{"other":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    data = len(header).to_bytes(8, "little") + header + bytes(4)
    (package / "weights.safetensors").write_bytes(data)
    manifest = json.loads((package / "manifest.json").read_text())
    manifest["files"]["weights.safetensors"] = hashlib.sha256(data).hexdigest()
    (package / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PackageError, match="does not belong to this model"):
        load_package(package)


def test_a_moved_package_loads(package: Path, tmp_path: Path) -> None:
    shutil.move(package, tmp_path / "moved")
    assert load_package(tmp_path / "moved")(torch.ones(4)).tolist() == [3.0] * 4
