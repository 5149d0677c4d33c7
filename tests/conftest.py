"""Golden IR tests (`.mlir` files), the `isa` marker, and what makes all tests faster.

A golden's first line is `// RUN: tilecast-opt %s -p pass,pass | filecheck %s`. It runs in process.
A file with `// EXPECT-ERROR: text` lines has one in each section between `// -----` lines; the
section must fail with an error that contains the text.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import torch
from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import Options
from filecheck.parser import Parser
from filelock import FileLock
from hypothesis import settings
from tilecast.compiler.opt import main as opt_command
from tilecast.compiler.opt import run_opt, split_sections
from tilecast.compiler.runtime.toolchain import find_toolchain
from tilecast.compiler.target import native_machine, resolve_target
from tilecast.dialects.errors import CompilerNotFoundError, TilecastError

# The same examples in every run: a red test is a change, never luck.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


EMULATED = pytest.StashKey[bool]()  # on tests of AVX-512 that run on a CPU without it
FEATURES = {
    "avx2": ("avx2", "fma"),
    "avx512": ("avx512f", "avx512bw", "avx512vl", "avx512dq"),
}  # of an instruction set, where its name is not the only one
RUN = re.compile(r"^// RUN: (?P<command>tilecast-opt .*?)(?P<check>\s*\|\s*filecheck %s.*)?$")
EXPECT_ERROR = re.compile(r"//\s*EXPECT-ERROR:\s*(.+?)\s*$", re.MULTILINE)


class GoldenError(Exception):
    """A golden that does not hold, with the text a developer needs to see."""


def check_text(golden: Path, actual: str, flags: list[str]) -> None:
    """Match the CHECK lines of `golden` against `actual` as `filecheck FLAGS golden` does."""
    options = Options(
        match_filename=str(golden),
        strict_whitespace="--strict-whitespace" in flags,
        enable_var_scope="--enable-var-scope" in flags,
    )
    messages = io.StringIO()
    with contextlib.redirect_stderr(messages), contextlib.redirect_stdout(messages):
        matcher = Matcher(options, FInput("<tilecast-opt>", actual), Parser.from_opts(options))
        matcher.stderr = messages
        failed = matcher.run() != 0
    if failed:
        raise GoldenError(f"{messages.getvalue()}\n--- output of tilecast-opt:\n{actual}")


def run_golden(golden: Path) -> None:
    """Run one golden file; GoldenError says what is wrong."""
    text = golden.read_text(encoding="utf-8")
    match = RUN.match(text.partition("\n")[0])
    if match is None:
        raise GoldenError(
            f"{golden}: expected first line '// RUN: tilecast-opt %s -p pass | filecheck %s', "
            f"found {text.partition(chr(10))[0]!r}"
        )
    arguments = shlex.split(match["command"])[1:]
    with opt_command.make_context("tilecast-opt", arguments) as context:
        parameters = context.params
    if EXPECT_ERROR.search(text):
        check_errors(golden, text, parameters["pipeline"])
        return
    if match["check"] is None:
        raise GoldenError(f"{golden}: neither '| filecheck %s' nor an EXPECT-ERROR line")
    actual = run_opt(
        text,
        parameters["pipeline"],
        split_input_file=parameters["split_input_file"],
        print_op_generic=parameters["print_op_generic"],
        source=golden.name,
    )
    check_text(golden, actual, match["check"].split())


def check_errors(golden: Path, text: str, pipeline: str) -> None:
    """Every section of `text` must fail with the text it expects."""
    for number, section in enumerate(split_sections(text), start=1):
        expected = EXPECT_ERROR.findall(section)
        if len(expected) != 1:
            raise GoldenError(f"section {number}: expected one EXPECT-ERROR line, found {expected}")
        try:
            run_opt(section, pipeline, source=golden.name)
        except TilecastError as error:
            if expected[0] not in str(error):
                raise GoldenError(
                    f"section {number}: expected an error with\n  {expected[0]}\nfound\n  {error}"
                ) from error
        else:
            raise GoldenError(f"section {number}: expected an error with {expected[0]!r}, got none")


class GoldenItem(pytest.Item):
    def runtest(self) -> None:
        run_golden(self.path)

    def repr_failure(self, excinfo, style=None):  # type: ignore[no-untyped-def]
        if isinstance(excinfo.value, GoldenError | TilecastError | click.ClickException):
            return f"{self.path}\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"golden: {self.name}"


class GoldenFile(pytest.File):
    def collect(self) -> Iterator[GoldenItem]:
        yield GoldenItem.from_parent(self, name=self.path.name)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> GoldenFile | None:
    """Collect `.mlir` files as golden tests."""
    if file_path.suffix != ".mlir":
        return None
    return GoldenFile.from_parent(parent, path=file_path)


def pytest_collection_finish() -> None:
    """Imported modules and collected tests stay: the garbage collector need not look at them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def precompiled_intrinsics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let gcc read <immintrin.h> precompiled, which takes 0.13 s less for each C file.

    It takes the form that fits its flags, and the header itself where there is none.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # once for all workers
    folder /= "precompiled"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            precompile_intrinsics(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPATH", str(folder))
        yield


def precompile_intrinsics(folder: Path) -> None:
    """Write `immintrin.h.gch/`, a folder of forms, for the flags that most files are built with."""
    forms = folder / "immintrin.h.gch"
    forms.mkdir(parents=True)
    source = folder / "intrinsics.h"
    source.write_text("#include <immintrin.h>\n")
    try:
        toolchain = find_toolchain()
    except CompilerNotFoundError:
        return
    if toolchain.kind != "gcc" or "sse2" not in cpu_features():
        return
    for name, machine in (("native", native_machine()), ("v3", resolve_target("x86-64-v3"))):
        command = [*toolchain.command, *toolchain.flags(machine), "-x", "c-header", str(source)]
        subprocess.run([*command, "-o", str(forms / name)], check=False, capture_output=True)


def cpu_features() -> frozenset[str]:
    """Feature names of this machine's CPU as archspec spells them."""
    import archspec.cpu

    return frozenset(archspec.cpu.host().features)


def lacking(isa: str) -> list[str]:
    """What the CPU lacks of the features of an instruction set."""
    return [name for name in FEATURES.get(isa, (isa,)) if name not in cpu_features()]


@pytest.fixture(scope="session")
def lacks() -> Callable[[str], list[str]]:
    """lacks(isa): the features that the CPU lacks."""
    return lacking


def missing_features(item: pytest.Item) -> list[str]:
    """What the CPU lacks of what the marks `isa(name)` of a test ask for."""
    return [name for mark in item.iter_markers("isa") for name in lacking(mark.args[0])]


def is_emulated(item: pytest.Item) -> bool:
    """Whether a test of AVX-512 builds C with the fixture that has its intrinsics in C for AVX2."""
    asked = {mark.args[0] for mark in item.iter_markers("isa")}
    is_built = {"machine", "build"} <= set(getattr(item, "fixturenames", ()))
    is_quick = item.get_closest_marker("slow") is None
    return asked == {"avx512"} and is_built and is_quick and not lacking("avx2") + lacking("f16c")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs by emulation is slow."""
    for item in items:
        if missing_features(item) and is_emulated(item):
            item.stash[EMULATED] = True
            item.add_marker("slow")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed torch, and skip a test marked `isa(name)` where the CPU lacks the feature."""
    torch.manual_seed(0)  # the same numbers whichever tests ran before on this worker
    missing = missing_features(item)
    if missing and EMULATED not in item.stash:
        pytest.skip(f"this CPU lacks {', '.join(missing)}")
