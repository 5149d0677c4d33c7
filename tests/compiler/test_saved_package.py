"""A compiled model's package checks itself without Python, and loads to equal results."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import tilecast
import torch
from tilecast.compiler.target import native_machine, resolve_target

from examples import keyword_spotting

TOOLS = ("cc", "make", "ar", "as", "ld", "sh", "mkdir", "rm", "echo")


class SmallNet(torch.nn.Module):
    """Linear layers, a norm, a softmax, an integer input and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.table = torch.nn.Embedding(11, 12)
        self.norm = torch.nn.LayerNorm(12)
        self.head = torch.nn.Linear(12, 5)

    def forward(self, ids: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.norm(torch.nn.functional.gelu(self.table(ids) + x))
        return {"hidden": hidden, "classes": self.head(hidden).softmax(-1)}


@pytest.fixture(scope="module", params=["native", "x86-64-v3", "c99"])
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tilecast.CompiledModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILECAST_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        inputs = (torch.randint(0, 11, (3, 7)), torch.randn(3, 7, 12))
        try:
            return tilecast.compile(SmallNet().eval(), inputs, name="small", target=request.param)
        except tilecast.TilecastError as error:
            if "which this machine lacks" in str(error):
                pytest.skip(str(error))
            raise


def check_without_python(package: Path, tmp_path: Path) -> str:
    """Run `make check` where PATH holds the C toolchain only; its output."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):
            (folder / tool).symlink_to(found)
    done = subprocess.run(
        ["make", "-C", str(package), "check"],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("inline_weights", [False, True], ids=["file", "inline"])
def test_the_package_checks_itself(
    compiled: tilecast.CompiledModel, tmp_path: Path, inline_weights: bool
) -> None:
    package = compiled.save(tmp_path / "out", inline_weights=inline_weights)
    assert "all outputs agree" in check_without_python(package, tmp_path)


def test_the_loaded_package_gives_the_same_bits(
    compiled: tilecast.CompiledModel, tmp_path: Path
) -> None:
    loaded = tilecast.load(compiled.save(tmp_path / "out"))
    ids, x = torch.randint(0, 11, (3, 7)), torch.randn(3, 7, 12)
    expected, actual = compiled(ids, x), loaded(ids, x)
    assert set(actual) == {"hidden", "classes"}
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=0, atol=0)
    loaded.verify()


def test_saving_twice_gives_the_same_bytes(
    compiled: tilecast.CompiledModel, tmp_path: Path
) -> None:
    first, second = compiled.save(tmp_path / "a"), compiled.save(tmp_path / "b")
    for path in first.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path


def test_two_packages_link_into_one_program(tmp_path: Path) -> None:
    """Every global symbol of a package starts with its name."""
    model, x = torch.nn.Linear(4, 3).eval(), torch.randn(2, 4)
    objects = []
    for name in ("first", "second"):
        folder = tilecast.emit(model, (x,), tmp_path / name, name=name, target="c99")
        for source in sorted((folder / "src").glob("*.c")):
            built = tmp_path / f"{source.stem}.o"
            include = ["-I", str(folder / "include"), "-I", str(folder / "src")]
            subprocess.run(
                ["cc", "-std=c11", "-c", *include, str(source), "-o", str(built)], check=True
            )
            objects.append(str(built))
    listing = subprocess.run(
        ["nm", "--defined-only", "-g", *objects], capture_output=True, text=True, check=True
    )
    symbols = [line.split()[-1] for line in listing.stdout.splitlines() if len(line.split()) == 3]
    assert len(symbols) == len(set(symbols)) > 0
    assert all(symbol.startswith(("first", "second")) for symbol in symbols)


@pytest.fixture(scope="module")
def portable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Code for AVX-512, AVX2 and any CPU, whatever this machine has; only sources are made."""
    torch.manual_seed(3)
    inputs = (torch.randint(0, 11, (3, 7)), torch.randn(3, 7, 12))
    return tilecast.emit(
        SmallNet().eval(),
        inputs,
        tmp_path_factory.mktemp("portable") / "out",
        name="small",
        target="x86-64-v4",
        portable=True,
        inline_weights=False,
    )


def test_a_portable_package_checks_all_levels_of_this_cpu(portable: Path, tmp_path: Path) -> None:
    output = check_without_python(portable, tmp_path)
    levels = ("x86-64-v4", "x86-64-v3", "generic")
    for level in levels:
        assert f"small ({level}): " in output
    runs = set(native_machine().features)
    for level in levels[:2]:
        fits = set(resolve_target(level).features) <= runs
        words = "all outputs agree" if fits else "left out, this CPU lacks its instructions"
        assert f"small ({level}): {words}" in output
    assert "small (generic): all outputs agree" in output


def test_one_level_can_be_asked_for(portable: Path, tmp_path: Path) -> None:
    check_without_python(portable, tmp_path)
    check = [str(portable / "build" / "check"), str(portable)]
    for level, status in (("generic", 0), ("x86-64-v9", 2)):
        done = subprocess.run(check, env={"TILECAST_LEVEL": level}, capture_output=True, text=True)
        assert done.returncode == status
        assert done.stdout.count("small (") == (status == 0)


@pytest.mark.parametrize("compiler", ["aarch64-linux-gnu-gcc", "riscv64-linux-gnu-gcc"])
def test_other_architectures_build_the_plain_code(
    portable: Path, tmp_path: Path, compiler: str
) -> None:
    emulator = "qemu-" + compiler.split("-")[0]
    if not (shutil.which(compiler) and shutil.which(emulator)):
        pytest.skip(f"needs {compiler} and {emulator}")
    folder = shutil.copytree(portable, tmp_path / "out", ignore=shutil.ignore_patterns("build"))
    make = ["make", "-C", str(folder), "build/check", f"CC={compiler}", "LDFLAGS=-static"]
    built = subprocess.run(make, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    done = subprocess.run(
        [emulator, str(folder / "build" / "check"), str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("all outputs agree") == 1


@pytest.mark.parametrize(
    ("target", "prefix", "emulator"),
    [
        ("c99", "arm-linux-gnueabihf", "qemu-arm"),  # 32 bits
        pytest.param(
            "aarch64", "aarch64-linux-gnu", "qemu-aarch64", marks=pytest.mark.slow
        ),  # NEON
    ],
)
def test_convolutions_within_a_budget_run_on_arm(
    tmp_path: Path, target: str, prefix: str, emulator: str
) -> None:
    if not (shutil.which(f"{prefix}-gcc") and shutil.which(emulator)):
        pytest.skip(f"needs {prefix}-gcc and {emulator}")
    model, inputs = keyword_spotting.model()
    folder = tilecast.emit(
        model, inputs, tmp_path / "out", target=target, max_memory="48KB", name="words"
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (
        manifest["arena_bytes"]
        <= 48 * 1024
        < manifest["programs"][0]["facts"]["memory"]["plain_bytes"]
    )
    make = ["make", "-C", str(folder), "build/check", f"CC={prefix}-gcc", "LDFLAGS=-static"]
    built = subprocess.run([*make, "OPTIMIZE=-O2"], capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    check = [emulator, str(folder / "build" / "check"), str(folder)]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all outputs agree" in done.stdout
    if target == "aarch64":
        objects = sorted(map(str, (folder / "build").glob("*.o")))
        code = subprocess.run([f"{prefix}-objdump", "-d", *objects], capture_output=True, text=True)
        assert "fmla" in code.stdout
    else:
        sources = [file.read_text() for file in (folder / "src").glob("words_*conv*.c")]
        assert sources
        assert not any("int64_t" in text for text in sources)


def test_a_portable_package_loads_to_the_best_level(portable: Path) -> None:
    loaded = tilecast.load(portable)
    loaded.verify()
