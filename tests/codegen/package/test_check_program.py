"""The package builds and checks itself with a C compiler and nothing else, and finds mistakes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tilecast.codegen.package import (
    CheckData,
    CheckOutput,
    PackageContent,
    Program,
    TensorSignature,
    write_package,
)
from tilecast.codegen.package.weights_file import weights_file_chunks

TOOLS = ("cc", "make", "ar", "as", "ld", "sh", "mkdir", "rm", "echo")

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(scope="session")
def bare_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH that holds the C toolchain and the shell basics only: no Python."""
    folder = tmp_path_factory.mktemp("bin")
    for tool in TOOLS:
        found = shutil.which(tool)
        if found is not None:
            (folder / tool).symlink_to(found)
    return str(folder)


def make(package: Path, bare_path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-C", str(package), *arguments],
        env={"PATH": bare_path},
        capture_output=True,
        text=True,
        timeout=120,
    )


def run_check(package: Path) -> subprocess.CompletedProcess[str]:
    command = [str(package / "build" / "check"), str(package)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_check_passes_without_python(
    tmp_path: Path, content: PackageContent, bare_path: str
) -> None:
    result = make(write_package(tmp_path / "out", content), bare_path, "check")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "all outputs agree" in result.stdout
    assert "max ULP error" in result.stdout
    assert "exact comparison  ok" in result.stdout


@pytest.mark.parametrize("standard", ["c11", "c99"])
def test_inline_weights_need_no_file(
    tmp_path: Path, content: PackageContent, bare_path: str, standard: str
) -> None:
    package = write_package(
        tmp_path / "out",
        replace(content, inline_weights=True, static_arena=True, standard=standard),
    )
    assert not (package / "weights.safetensors").exists()
    result = make(package, bare_path, "check")
    assert result.returncode == 0, result.stdout + result.stderr


def test_libraries_are_built(tmp_path: Path, content: PackageContent, bare_path: str) -> None:
    package = write_package(tmp_path / "out", content)
    result = make(package, bare_path, "lib", "OPENMP=")
    assert result.returncode == 0, result.stderr
    assert (package / "build" / "libaffine.a").exists()
    assert (package / "build" / "libaffine.so").exists()


def test_a_wrong_reference_is_a_mismatch(
    tmp_path: Path, content: PackageContent, bare_path: str
) -> None:
    y, n = content.check.outputs
    wrong = CheckOutput(y.reference + np.array([0, 1e-3, 0], np.float32), 1e-5, 1e-5)
    check = CheckData(content.check.inputs, (wrong, n))
    result = make(
        write_package(tmp_path / "out", replace(content, check=check)), bare_path, "check"
    )
    assert result.returncode != 0
    assert "1 elements out of tolerance" in result.stdout
    assert "worst at index 1" in result.stdout


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("y[i] = product[i]", "if (i < 2) y[i] = product[i]", "MISMATCH"),
        ("n[0] = k[0]", "n[1] = 7; n[0] = k[0]", "written beyond its end"),
        ("n[0] = k[0]", "static float c; y[0] += (c += 1e-6f); n[0] = k[0]", "two runs"),
        ("n[0] = k[0]", "n[0] = 1 + k[0]", "MISMATCH"),
    ],
    ids=["unwritten", "overrun", "nondeterministic", "integer"],
)
def test_faulty_programs_are_found(
    tmp_path: Path,
    content: PackageContent,
    changed: Callable[..., PackageContent],
    bare_path: str,
    before: str,
    after: str,
    message: str,
) -> None:
    faulty = content.programs[0].sources["affine.c"].replace(before, after)
    assert faulty != content.programs[0].sources["affine.c"]
    package = write_package(
        tmp_path / "out",
        changed(content, sources={**content.programs[0].sources, "affine.c": faulty}),
    )
    result = make(package, bare_path, "check")
    assert result.returncode != 0
    assert message in result.stdout, result.stdout + result.stderr


def damaged_weights(content: PackageContent) -> dict[str, bytes]:
    """Weight files that must be refused, by what is wrong with them."""
    good = b"".join(weights_file_chunks(content.weights))
    w, bias, shift = content.weights.values()
    swapped = {"layer.weight": w.T, 'layer."bias"': bias, "shift": shift}
    retyped = {**content.weights, 'layer."bias"': bias.astype(np.float64)}
    header = int.from_bytes(good[:8], "little")
    return {
        "empty": b"",
        "short": good[:7],
        "no-data": good[: 8 + header],
        "truncated": good[:-64],
        "huge-header": (2**63).to_bytes(8, "little") + good[8:],
        "no-json": good[:8] + b"x" * header + good[8 + header :],
        "pickle": b"\x80\x04\x95" + good,
        "unclosed": good[:8] + good[8 : 8 + header].replace(b"}", b" ") + good[8 + header :],
        "shape": b"".join(weights_file_chunks(swapped)),
        "dtype": b"".join(weights_file_chunks(retyped)),
        "missing": b"".join(weights_file_chunks({"layer.weight": w})),
        "misaligned": good[:8] + good[8 : 8 + header] + b"\0" * 4 + good[8 + header : -4],
        "overflow": good.replace(b'"shape":[3,5]', b'"shape":[99999999999999999999,5]'),
        "twice": good.replace(b'"shift"', b'"layer.weight"'),
    }


def test_damaged_weight_files_are_refused(
    tmp_path: Path, content: PackageContent, bare_path: str
) -> None:
    """Refused with a message, and the parser stays inside the file (AddressSanitizer watches)."""
    package = write_package(tmp_path / "out", content)
    sanitize = "CFLAGS=-g -fsanitize=address,undefined -fno-sanitize-recover=all"
    built = make(package, bare_path, "check", sanitize, "LDFLAGS=-fsanitize=address,undefined")
    assert built.returncode == 0, built.stdout + built.stderr
    for what, data in damaged_weights(content).items():
        if what == "misaligned":
            header = int.from_bytes(data[:8], "little") + 4
            data = (
                header.to_bytes(8, "little") + data[8 : 4 + header] + b"    " + data[8 + header :]
            )
        (package / "weights.safetensors").write_bytes(data)
        result = run_check(package)
        assert result.returncode == 2, f"{what}: {result.stdout}{result.stderr}"
        assert "weights file" in result.stderr, what
        assert "Sanitizer" not in result.stderr, f"{what}: {result.stderr}"
    (package / "weights.safetensors").unlink()
    assert "cannot be opened or read" in run_check(package).stderr


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_cmake_builds_and_checks(tmp_path: Path, content: PackageContent) -> None:
    package = write_package(tmp_path / "out", content)
    build = tmp_path / "cmake"
    for command in (
        ["cmake", "-S", str(package), "-B", str(build)],
        ["cmake", "--build", str(build)],
        ["ctest", "--test-dir", str(build), "--output-on-failure"],
    ):
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stdout + result.stderr


def test_a_program_without_inputs_or_weights(tmp_path: Path, bare_path: str) -> None:
    program = """\
void one_program(const void *const *inputs, void *const *outputs, const void *const *weights,
                 unsigned char *arena);
void one_program(const void *const *inputs, void *const *outputs, const void *const *weights,
                 unsigned char *arena) {
  (void)inputs;
  (void)weights;
  (void)arena;
  *(float *)outputs[0] = 1.5f;
}
"""
    content = PackageContent(
        name="one",
        target="c99",
        inputs=(),
        outputs=(TensorSignature("y", "float32", ()),),
        programs=(Program("one", "c99", {"one.c": program}, {}, 0),),
        check=CheckData((), (CheckOutput(np.array(1.5, np.float32), 0.0, 0.0),)),
        standard="c99",
    )
    result = make(write_package(tmp_path / "out", content), bare_path, "check")
    assert result.returncode == 0, result.stdout + result.stderr


def test_inline_literals_are_exact(tmp_path: Path, bare_path: str) -> None:
    """Every kind of special value survives the way through C source, bit for bit."""
    values = {
        "f32": np.array(
            [0.0, -0.0, 1e-45, -1.17549421e-38, 3.4028235e38, np.inf, -np.inf, 0.1], np.float32
        ),
        "f64": np.array([5e-324, -1.7976931348623157e308, 1 / 3, -np.inf], np.float64),
        "i64": np.array([-(2**63), 2**63 - 1, 0], np.int64),
        "i32": np.array([-(2**31), 2**31 - 1], np.int32),
        "i8": np.array([-128, 127], np.int8),
        "f16": np.array([0.1, -65504.0, np.inf], np.float16),
        "flag": np.array([True, False]),
    }
    copies = "\n".join(
        f"  memcpy(outputs[{n}], weights[{n}], {a.nbytes});" for n, a in enumerate(values.values())
    )
    head = (
        "void copy_program(const void *const *inputs, void *const *outputs,\n"
        "                  const void *const *weights, unsigned char *arena)"
    )
    source = (
        f"#include <string.h>\n{head};\n{head} {{\n  (void)inputs;\n  (void)arena;\n{copies}\n}}\n"
    )
    content = PackageContent(
        name="copy",
        target="c99",
        inputs=(),
        outputs=tuple(TensorSignature(s, a.dtype.name, a.shape) for s, a in values.items()),
        programs=(Program("copy", "c99", {"copy.c": source}, values, 0),),
        check=CheckData((), tuple(CheckOutput(a, 0.0, 0.0) for a in values.values())),
        inline_weights=True,
    )
    result = make(write_package(tmp_path / "out", content), bare_path, "check")
    assert result.returncode == 0, result.stdout + result.stderr


def test_environment_of_the_check_has_no_python(bare_path: str) -> None:
    assert shutil.which("python3", path=bare_path) is None
    assert os.listdir(bare_path)


CONSUMER = """\
#include <affine.h>

#include <cstdint>
#include <cstdio>

int main(int, char **argv) {
  affine_context context;
  const int code = affine_init(&context, argv[1]);
  if (code != AFFINE_OK) {
    std::fprintf(stderr, "%s\\n", affine_error(code));
    return 1;
  }
  const float x[5] = {0, 0, 0, 0, 0};
  const std::int64_t k = 1;
  float y[3];
  std::int64_t n;
  const void *const inputs[] = {x, &k};
  void *const outputs[] = {y, &n};
  if (affine_run(&context, inputs, outputs) != AFFINE_OK) return 1;
  affine_free(&context);
  std::printf("%g %g %g\\n", y[0], y[1], y[2]);
}
"""
CONSUMER_BUILD = """\
cmake_minimum_required(VERSION 3.16)
project(consumer LANGUAGES CXX)
find_package(affine REQUIRED)
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE affine::affine)
"""


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_a_cpp_program_uses_the_installed_library(tmp_path: Path, content: PackageContent) -> None:
    package = write_package(tmp_path / "out", content)
    consumer = tmp_path / "consumer"
    consumer.mkdir()
    (consumer / "main.cpp").write_text(CONSUMER)
    (consumer / "CMakeLists.txt").write_text(CONSUMER_BUILD)
    build, prefix = tmp_path / "build", tmp_path / "prefix"
    commands = (
        ["cmake", "-S", package, "-B", build, f"-DCMAKE_INSTALL_PREFIX={prefix}"],
        ["cmake", "--build", build, "--target", "install"],
        ["cmake", "-S", consumer, "-B", consumer / "b", f"-DCMAKE_PREFIX_PATH={prefix}"],
        ["cmake", "--build", consumer / "b"],
        [consumer / "b" / "consumer", prefix / "share" / "affine" / "weights.safetensors"],
    )
    for command in commands:
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout == "0.5 -1.25 3\n"
