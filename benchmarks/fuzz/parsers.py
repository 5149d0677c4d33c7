"""Readers of files and text under damaged input: every error but the project's own is a defect.

A target takes bytes and raises nothing for bytes of any kind; its seeds are valid input.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tilecast.compiler.opt import run_opt, split_sections
from tilecast.dialects.errors import TilecastError

ROOT = Path(__file__).parents[2]
LOOPS = """\
func.func @gemm(%A: memref<4x8xf64>, %B: memref<8x5xf64>, %C: memref<4x5xf64>) {
  affine.for %i = 0 to 4 {
    affine.for %j = 0 to min affine_map<(d0) -> (5, d0 + 3)>(%i) step 2 {
      affine.for %k = 0 to 8 {
        %a = affine.load %A[%i, %k] : memref<4x8xf64>
        %b = affine.load %B[%k, %j] : memref<8x5xf64>
        %c = affine.load %C[%i, %j floordiv 2] : memref<4x5xf64>
        %p = arith.mulf %a, %b : f64
        %s = arith.addf %c, %p : f64
        affine.store %s, %C[%i, %j floordiv 2] : memref<4x5xf64>
      }
    }
  }
  func.return
}
"""
SCHEDULE = """\
skew(S0.i1, S0.i0, -1)
shift(S0, S0.i2, 3)
split(S0.i0, 2, io, ii)
tile(S0.i1+S0.i2, 2+4)
vectorize(S0.i1, 4)
parallelize(io)
rearrange(for a[S0: i0] { for b[S0: i1] { for c[S0: i2] { S0 } } })
"""
MODEL_PARTS = {
    "gbdt": ("ranker", "regressor"),
    "ensemble": ("member0",),
    "recursive": ("weights",),
    "tokens": ("weights",),
}
FORMATS = ("u4:g128", "i3:g64:zf16", "nf4:g32:sf32", "head=none,*=u4:g128", "e3m2:mx", "ternary")


@dataclass(frozen=True)
class Target:
    """What is fed: `run` may raise a TilecastError, and nothing else."""

    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], Any]

    def __call__(self, data: bytes) -> None:
        """Feed `data`."""
        with suppress(TilecastError):
            self.run(data)


@cache
def folder() -> Path:
    """A folder for files that are read again at once."""
    return Path(tempfile.mkdtemp(prefix="tilecast-parsers-"))


def written(name: str, data: bytes) -> Path:
    """A file with this content."""
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def text_of(data: bytes) -> str:
    """Bytes as text."""
    return data.decode(errors="replace")


def read_loops(data: bytes) -> None:
    """An .mlir file of affine loops, up to its statements and domains."""
    from tilecast.compiler.kernels.program import read_program
    from tilecast.passes.poly.extraction.extract_affine import extract_affine
    from xdsl.dialects.func import FuncOp

    func = read_program(written("loops.mlir", data)).module.body.block.first_op
    assert isinstance(func, FuncOp)
    extract_affine(func)


def golden_files() -> list[bytes]:
    """The small ones of the golden tests: every dialect in its own syntax."""
    files = sorted((ROOT / "tests").rglob("*.mlir"))
    texts = [path.read_text() for path in files if path.stat().st_size < 20_000]
    return [part.encode() for text in texts for part in split_sections(text) if len(part) < 2000]


def read_ir(data: bytes) -> None:
    """IR text of any dialect."""
    run_opt(text_of(data))


@cache
def some_scop() -> Any:
    """Three loops around a sum."""
    from tilecast.passes.context import CompileContext
    from tilecast.passes.poly.extraction.extract_affine import extract_affine
    from xdsl.parser import Parser

    text = LOOPS.replace("min affine_map<(d0) -> (5, d0 + 3)>(%i) step 2", "5")
    module = Parser(CompileContext(), text.replace(" floordiv 2", "")).parse_module()
    return extract_affine(module.body.block.first_op)  # type: ignore[arg-type]


def read_schedule(data: bytes) -> None:
    """Schedule steps, parsed and applied."""
    from tilecast.dialects.schedule import parse_steps
    from tilecast.passes.poly.scheduled import apply_schedule

    steps = parse_steps(text_of(data))
    apply_schedule(some_scop(), steps)


def read_format(data: bytes) -> None:
    """A weight format, or several by layer."""
    from tilecast.compiler.quantize.model import parse_spec

    parse_spec(text_of(data))


@cache
def gguf_file() -> bytes:
    """A GGUF file with a few tensors."""
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    path = folder() / "seed.gguf"
    writer = GGUFWriter(path, "llama")
    rng = np.random.default_rng(0)
    writer.add_tensor("norm", rng.normal(size=8).astype(np.float32))
    for kind in (GGMLQuantizationType.Q4_0, GGMLQuantizationType.Q8_0):
        matrix = rng.normal(size=(2, 64)).astype(np.float32)
        writer.add_tensor(f"w{int(kind)}", quantize(matrix, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def read_gguf(data: bytes) -> None:
    """A GGUF file."""
    from tilecast.compiler.quantize.gguf import from_gguf

    from_gguf(written("model.gguf", data))


@cache
def package() -> Path:
    """A small package."""
    import tilecast
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    return tilecast.emit(model, (torch.ones(2, 3),), folder() / "package", target="c99")


def manifest() -> bytes:
    """Its manifest."""
    return (package() / "manifest.json").read_bytes()


def read_manifest(data: bytes) -> None:
    """A package under a damaged manifest."""
    from tilecast.codegen.package import read_package

    seed = manifest()
    try:
        (package() / "manifest.json").write_bytes(data)
        read_package(package())
    finally:
        (package() / "manifest.json").write_bytes(seed)


def pretrained() -> list[bytes]:
    """A description of a model, and one of its parts."""
    home = ROOT / "costmodel" / "pretrained"
    part = (home / "member0").read_bytes()
    return [(home / "model.json").read_bytes(), part[:6000], part[-3000:], part]


def read_cost_model(data: bytes) -> None:
    """A cost model: the bytes as its description, and as one of its parts with the right digest."""
    from tilecast.costmodel.models.files import write_description
    from tilecast.costmodel.models.load import load_model

    home = folder() / "cost_model"
    with suppress(TilecastError):
        home.mkdir(exist_ok=True)
        (home / "model.json").write_bytes(data)
        load_model(home)
    for kind, parts in MODEL_PARTS.items():
        write_description(home, kind, **dict.fromkeys(parts, data))
        with suppress(TilecastError):
            load_model(home)


def records() -> bytes:
    """Tuning records as JSON lines."""
    from tilecast.compiler.records.exchange import write_records
    from tilecast.compiler.records.record import Record

    lines = io.StringIO()
    rows = [("vectorize(S0.i1, 8)", 1e-3, None), ("", None, "slow")]
    write_records([Record("0" * 40, "a", "b", "gcc", 2, *r[:2], failure=r[2]) for r in rows], lines)
    return lines.getvalue().encode()


def read_tuning(data: bytes) -> None:
    """A file of tuning records, or a database of them."""
    from tilecast.compiler.records.exchange import read_records

    read_records(written("records.jsonl", data))


def damaged_database() -> bytes:
    """A database of tuning records."""
    from tilecast.compiler.records.database import Database

    path = folder() / "seed.sqlite"
    path.unlink(missing_ok=True)
    with Database(path):
        pass
    return path.read_bytes()


TARGETS: dict[str, Target] = {
    "loops": Target(lambda: [LOOPS.encode()], read_loops),
    "ir": Target(golden_files, read_ir),
    "schedule": Target(lambda: [SCHEDULE.encode(), *map(str.encode, SCHEDULE.splitlines())],
                       read_schedule),
    "format": Target(lambda: [text.encode() for text in FORMATS], read_format),
    "gguf": Target(lambda: [gguf_file()], read_gguf),
    "manifest": Target(lambda: [manifest()], read_manifest),
    "costmodel": Target(pretrained, read_cost_model),
    "records": Target(lambda: [records(), damaged_database()], read_tuning),
}  # fmt: skip


def check_seeds(name: str) -> None:
    """Fail where none of a target's seeds is read: what is fed would not get far."""
    target, errors = TARGETS[name], []
    for seed in target.seeds():
        try:
            target.run(seed)
            return
        except TilecastError as error:
            errors.append(error)
    raise AssertionError(f"the seeds of {name} are refused: {errors[0]}")
