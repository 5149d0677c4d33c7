"""Weights that are read while the model runs: equal results, from files and from readers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import tilecast
import torch
from tilecast.dialects.errors import OptionError, PackageError
from torch import nn

# A reader of the file as it lies in memory, which fails after as many reads as it is told.
PROGRAM = """
#include "small.h"
#include <string.h>
extern const unsigned char FILE_START[], FILE_END[];
extern const float EXAMPLE[], EXPECTED[];
static int reads_left;

static int from_memory(void *source, uint64_t offset, void *to, size_t bytes) {
  const unsigned char *file = (const unsigned char *)source;
  if (reads_left-- <= 0 || offset + bytes > (uint64_t)(FILE_END - FILE_START)) return 1;
  memcpy(to, file + offset, bytes);
  return 0;
}

int main(void) {
  static small_context context;
  static float result[96];
  const void *inputs[] = {EXAMPLE};
  void *outputs[] = {result};
  int i, code;
  reads_left = 1;
  code = small_init_reader(&context, from_memory, (void *)(uintptr_t)FILE_START, NULL);
  if (code != SMALL_ERROR_FILE && code != SMALL_ERROR_WEIGHTS) return 1;
  reads_left = 1000;
  code = small_init_reader(&context, from_memory, (void *)(uintptr_t)FILE_START, NULL);
  if (code != SMALL_OK) return 2;
  for (i = 0; i < 2; i++) { /* a call that fails does no harm to the next one */
    reads_left = 2;
    if (small_run(&context, inputs, outputs) != SMALL_ERROR_FILE) return 3;
    reads_left = 1000;
    if (small_run(&context, inputs, outputs) != SMALL_OK) return 4;
    if (memcmp(result, EXPECTED, sizeof result) != 0) return 5;
  }
  small_free(&context);
  reads_left = 1000;
  code = small_init_reader(&context, from_memory, (void *)(uintptr_t)(FILE_START + 1), NULL);
  return code == SMALL_ERROR_WEIGHTS ? 0 : 6;
}
"""


class Twice(nn.Module):
    """One layer is used twice, an embedding is a table in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(48, 48), nn.Linear(48, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.second(self.first(self.first(x).relu()).tanh())
        return found


@pytest.fixture(scope="module")
def compiled(cache_folder: Path) -> tilecast.CompiledModel:
    torch.manual_seed(0)
    return tilecast.compile(
        Twice().eval(), (torch.randn(3, 48),), target="c99", name="small", stream_weights=True
    )


def test_the_arena_holds_the_weights_of_one_kernel(compiled: tilecast.CompiledModel) -> None:
    weights = compiled.artifact.weights.values()
    largest, total = 4 * (48 * 48 + 48), sum(array.nbytes for array in weights)
    assert total == largest + 4 * (32 * 48 + 32)
    assert largest < compiled.artifact.arena_bytes < total
    x = torch.randn(3, 48)
    torch.manual_seed(0)
    torch.testing.assert_close(compiled(x), Twice().eval()(x), rtol=1e-5, atol=1e-5)
    text = compiled.artifact.sources["small.c"]
    assert text.count("small_fetch(") == 1 + 3 * 2
    assert "memcpy" not in text


def test_a_package_reads_its_file(compiled: tilecast.CompiledModel, tmp_path: Path) -> None:
    package = compiled.save(tmp_path / "out")
    done = subprocess.run(["make", "-C", package, "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    loaded, x = tilecast.load(package), torch.randn(3, 48)
    torch.testing.assert_close(loaded(x), compiled(x), rtol=0, atol=0)
    with pytest.raises(PackageError, match="streamed weights are those of a file"):
        compiled.save(tmp_path / "inline", inline_weights=True)
    file = package / "weights.safetensors"
    content = file.read_bytes()
    check = [package / "build" / "check", package]
    for damaged in (content[:-200], b"\x40" + content[1:], content[:10].ljust(len(content))):
        file.write_bytes(damaged)
        done = subprocess.run(check, capture_output=True, text=True)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "weights file" in done.stderr


def test_weights_come_from_any_reader(compiled: tilecast.CompiledModel, tmp_path: Path) -> None:
    """Without stdio: nothing of it is linked."""
    package = compiled.save(tmp_path / "out")
    x = torch.randn(3, 48)
    blob = ".section .rodata\n.global FILE_START\n.global FILE_END\n"
    blob += f'FILE_START: .incbin "{package}/weights.safetensors"\nFILE_END: .byte 0\n'
    for name, tensor in (("EXAMPLE", x), ("EXPECTED", compiled(x))):
        (tmp_path / name).write_bytes(tensor.numpy().tobytes())
        blob += f'.global {name}\n.balign 64\n{name}: .incbin "{tmp_path / name}"\n'
    (tmp_path / "data.s").write_text(blob)
    (tmp_path / "main.c").write_text(PROGRAM)
    sources = [tmp_path / "main.c", tmp_path / "data.s", *sorted((package / "src").glob("*.c"))]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-ffp-contract=off"]
    flags += ["-fno-math-errno", "-DSMALL_WITHOUT_FILES", f"-I{package / 'include'}"]
    program = tmp_path / "program"
    built = subprocess.run(
        ["cc", *flags, *sources, "-o", program, "-lm"], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    symbols = subprocess.run(["nm", "-u", program], capture_output=True, text=True).stdout
    assert not any(name in symbols for name in ("fopen", "fread", "malloc"))
    assert subprocess.run([program], check=False).returncode == 0


def test_a_device_keeps_its_weights() -> None:
    with pytest.raises(OptionError, match="stream_weights: expected a target with weights"):
        tilecast.compile(
            nn.Linear(4, 4), (torch.randn(2, 4),), target="sm_80", stream_weights=True,
            stop_after="emit",
        )  # fmt: skip
