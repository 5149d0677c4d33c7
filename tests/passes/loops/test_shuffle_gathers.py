"""shuffle-gathers: near lanes that are known become loads and a shuffle, the bits stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tilecast
import torch
import torch.nn.functional as F
from tilecast.compiler.target import native_machine, resolve_target
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.shuffle_gathers import ShuffleGathersPass
from torch import Tensor, nn
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

LANES = 4
AVX2 = replace(resolve_target("x86-64-v3"), l1_bytes=1 << 15)


def kernel(offsets: str, mask: str = "%all", element: str = "f32", store: str = "") -> ModuleOp:
    """A gather from row 1, column n of a 6 x 10 array, n known at run time only."""
    vector = f"vector<{LANES}x{element}>"
    text = f"""
    func.func @k(%x: memref<6x10x{element}>, %i: memref<1xindex>, %y: memref<{LANES}x{element}>) {{
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %n = memref.load %i[%c0] : memref<1xindex>
      %true = arith.constant true
      %all = vector.broadcast %true : i1 to vector<4xi1>
      %some = "vector.constant_mask"() <{{count = #builtin.int<3>}}> : () -> vector<4xi1>
      %two = arith.constant 2 : index
      %twos = vector.broadcast %two : index to vector<4xindex>
      %ns = vector.broadcast %n : index to vector<4xindex>
      %unknown = arith.andi %some, %all : vector<4xi1>
      %z = arith.constant 0.0 : {element}
      %zero = vector.broadcast %z : {element} to {vector}
      %step = "vector.step"() : () -> vector<4xindex>
      {offsets}
      %v = "vector.gather"(%x, %c1, %n, %at, {mask}, %zero) : (memref<6x10x{element}>, index,
          index, vector<4xindex>, vector<4xi1>, {vector}) -> {vector}
      vector.store %v, %y[%c0] : memref<{LANES}x{element}>, {vector}
      {store}
      func.return
    }}"""
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    return module


def run(module: ModuleOp, dtype: type) -> bytes:
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    y = np.zeros(LANES, dtype)
    run_kernel(func, [np.arange(60, dtype=dtype).reshape(6, 10), np.array([1]), y])
    return y.tobytes()


def loads(module: ModuleOp, dtype: type = np.float32, isa: str = "avx2") -> list[str]:
    """The loads of vectors and gathers after the pass, which keeps every bit."""
    expected = run(module, dtype)
    ShuffleGathersPass().apply(CompileContext(machine=replace(AVX2, isa=isa)), module)
    module.verify()
    assert run(module, dtype) == expected
    kinds = ("vector.load", "vector.maskedload", "vector.gather")
    return [op.name.removeprefix("vector.") for op in module.walk() if op.name in kinds]


HALVES = "%at = arith.divsi %step, %twos : vector<4xindex>"
DOUBLES = "%at = arith.muli %step, %twos : vector<4xindex>"


def test_lanes_of_one_vector_take_one_load() -> None:
    assert loads(kernel(HALVES)) == ["maskedload"]
    turned = "%at = arith.remsi %step, %twos : vector<4xindex>"
    assert loads(kernel(turned)) == ["maskedload"]


def test_lanes_of_two_vectors_take_two_loads() -> None:
    assert loads(kernel(DOUBLES)) == ["load", "maskedload"]


def test_lanes_may_lie_before_the_place_of_the_gather() -> None:
    assert loads(kernel("%at = arith.subi %step, %twos : vector<4xindex>")) == ["load"]
    negative = "%minus = arith.subi %step, %twos : vector<4xindex>\n"
    negative += "%at = arith.muli %minus, %twos : vector<4xindex>"
    assert loads(kernel(negative)) == ["load", "maskedload"]


def test_lanes_that_are_not_live_pass_through() -> None:
    assert loads(kernel(HALVES, "%some")) == ["maskedload"]
    assert loads(kernel(DOUBLES, "%some")) == ["gather"]  # five elements


@pytest.mark.parametrize(
    "module",
    [
        kernel("%at = arith.muli %step, %ns : vector<4xindex>"),
        kernel(f"{DOUBLES.replace('%at', '%a')}\n%at = arith.muli %a, %twos : vector<4xindex>"),
        kernel(HALVES, "%unknown"),
        kernel(HALVES, store="memref.store %z, %x[%c0, %c0] : memref<6x10xf32>"),
    ],
    ids=["unknown", "far", "unknown mask", "written"],
)
def test_other_gathers_stay(module: ModuleOp) -> None:
    assert loads(module) == ["gather"]


def bytes_kernel(stride: int, lanes: int) -> ModuleOp:
    """Bytes `stride` apart, from the middle of an array on, whose last one is the last lane's."""
    vector, extent = f"vector<{lanes}xui8>", 7 + stride * (lanes - 1) + 1
    text = f"""
    func.func @k(%x: memref<{extent}xui8>, %y: memref<{lanes}xui8>) {{
      %c0 = arith.constant 0 : index
      %c7 = arith.constant 7 : index
      %n = arith.constant {stride} : index
      %ns = vector.broadcast %n : index to vector<{lanes}xindex>
      %true = arith.constant true
      %all = vector.broadcast %true : i1 to vector<{lanes}xi1>
      %z = memref.load %x[%c0] : memref<{extent}xui8>
      %zero = vector.broadcast %z : ui8 to {vector}
      %step = "vector.step"() : () -> vector<{lanes}xindex>
      %at = arith.muli %step, %ns : vector<{lanes}xindex>
      %v = "vector.gather"(%x, %c7, %at, %all, %zero) : (memref<{extent}xui8>, index,
          vector<{lanes}xindex>, vector<{lanes}xi1>, {vector}) -> {vector}
      vector.store %v, %y[%c0] : memref<{lanes}xui8>, {vector}
      func.return
    }}"""
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    return module


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("stride", [2, 3, 4, 5])
def test_bytes_a_few_apart_are_shuffled(stride: int, lanes: int) -> None:
    module = bytes_kernel(stride, lanes)
    ShuffleGathersPass().apply(CompileContext(machine=AVX2), module)
    module.verify()
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    x = np.arange(7 + stride * (lanes - 1) + 1, dtype=np.uint8)  # nothing behind it may be read
    y = np.zeros(lanes, np.uint8)
    run_kernel(func, [x, y])
    assert y.tolist() == x[7::stride].tolist()
    kinds = [op.name for op in module.walk()]
    is_far = stride * (lanes - 1) + 1 > 64
    assert ("vector.gather" in kinds) == is_far


def test_wide_elements_and_other_machines_keep_gathers() -> None:
    assert loads(kernel(HALVES, element="f64"), np.float64) == ["gather"]
    assert loads(kernel(HALVES), isa="neon") == ["gather"]


class Picks(nn.Module):
    """Elements twice, every second one, and blocks of pixels."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (
            F.interpolate(x, scale_factor=2),
            x.repeat_interleave(4, -1),
            x[..., :-1:2] + x[..., 1::2],
            x.flip(-1),
        )


class Image(nn.Module):
    """Pixels of bytes, channels innermost, become floats, channels outermost."""

    def forward(self, x: Tensor) -> Tensor:
        return (x.float() / 255).permute(2, 0, 1)


@pytest.mark.parametrize("target", ["x86-64-v4", "x86-64-v3", "c99"])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_images_agree_with_torch(target: str, channels: int) -> None:
    if target == "x86-64-v4" and native_machine().isa != "avx512":
        pytest.skip("the machine has no AVX-512")
    x = torch.randint(0, 256, (9, 37, channels), dtype=torch.uint8)
    compiled = tilecast.compile(Image(), (x,), target=target)
    torch.testing.assert_close(compiled(x), Image()(x))
    if target == "x86-64-v3":
        assert any("shuffle_epi8" in text for text in compiled.sources.values())


@pytest.mark.parametrize("target", ["x86-64-v4", "x86-64-v3", "c99"])
def test_pixels_agree_with_torch(target: str) -> None:
    if target == "x86-64-v4" and native_machine().isa != "avx512":
        pytest.skip("the machine has no AVX-512")
    x = torch.randn(1, 3, 5, 39)
    compiled = tilecast.compile(Picks(), (x,), target=target)
    for found, expected in zip(compiled(x), Picks()(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    if target != "c99":
        assert not any("gather" in text for text in compiled.sources.values())
