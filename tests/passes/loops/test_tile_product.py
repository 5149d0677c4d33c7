"""`quant.linear` on a GPU: the launches, and the weight as their programs read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.quant import parse_format
from tilecast.dialects.quant.activations import quantize_rows
from tilecast.dialects.quant.quantized_tensor import zero_values
from tilecast.dialects.quant.scale_types import SCALE_TYPES
from tilecast.dialects.reference.tile import dtype_of, run_program
from tilecast.dialects.tile.atoms import F32
from tilecast.dialects.tile.launch import LaunchOp
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.kernel_interface import KernelInterface
from tilecast.passes.loops.lower_opaque import LowerOpaquePass
from tilecast.passes.loops.pack_weights import pack_array
from tilecast.passes.tile.pipeline import Warps
from tilecast.passes.tile.quantized_plan import LinearPlan, choose_plan
from xdsl.dialects.builtin import bf16, f16, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute
from xdsl.parser import Parser

N, K = 40, 96
Change = Callable[[LinearPlan], LinearPlan]


def kernel_text(format: str, element: Attribute, groups: int, activations: str) -> str:
    """A kernel whose source is seen through a view."""
    parsed = parse_format(format)
    arguments = {"codes": f"tensor<{N}x{K}xi8>", "scales": f"tensor<{N}x{groups}xi16>"}
    if parsed.scale == "f32":
        arguments["scales"] = f"tensor<{N}x{groups}xf32>"
    if parsed.zero != "none":
        kind = {"int": "i8", "f16": "i16", "f32": "f32"}[parsed.zero]
        arguments["zeros"] = f"tensor<{N}x{groups}x{kind}>"
    if not hasattr(parsed.element, "step"):
        arguments["levels"] = f"tensor<{1 << parsed.element.width}xf32>"
    arguments["bias"] = f"tensor<{N}x{element}>"
    sizes = [int(name in arguments) for name in ("zeros", "levels")]
    names = ", ".join(f"%{name}" for name in arguments)
    types = ", ".join(arguments.values())
    listed = ", ".join(f"%{name}: {type} {{tilecast.weight}}" for name, type in arguments.items())
    return f"""
func.func private @k(%x: tensor<3x5x{K}x{element}>, {listed}) -> tensor<3x{N}x{element}> {{
  %v = "graph.view"(%x) <{{map = affine_map<(d0, d1) -> (d0, 0, d1)>}}>
      : (tensor<3x5x{K}x{element}>) -> tensor<3x{K}x{element}>
  %y = "quant.linear"(%v, {names}) <{{format = "{format}", activations = "{activations}",
      operandSegmentSizes = array<i32: 1, 1, 1, {sizes[0]}, {sizes[1]}, 1>}}>
      : (tensor<3x{K}x{element}>, {types}) -> tensor<3x{N}x{element}>
  func.return %y : tensor<3x{N}x{element}>
}}
"""


def in_stripes(plan: LinearPlan) -> LinearPlan:
    return replace(plan, blocks=3, dense=None)


def expanded(plan: LinearPlan) -> LinearPlan:
    return replace(plan, blocks=0, dense=Warps(plan.linear.activation, 2, 2, (1, 2, 2)))


@pytest.mark.parametrize(
    ("format", "element", "change", "launches", "activations"),
    [
        ("u4:g16:sf16:zint", f32, None, 1, "f32"),
        ("u4:g16:sf16:zint", f32, in_stripes, 1, "f32"),
        ("u4:g16:sf16:zint", f16, expanded, 2, "f32"),
        ("i3:g8:sf16:zf16", f32, None, 1, "f32"),
        ("i3:g8:sf16:zf16", f16, expanded, 2, "f32"),
        ("kmeans4:channel:sf32:znone", f32, in_stripes, 1, "f32"),
        ("kmeans5:g32:sf16:zf16", bf16, expanded, 2, "f32"),
        ("nf4:g32:sf16:znone", f32, None, 1, "f32"),
        ("nf4:g32:sf16:znone", bf16, None, 1, "f32"),
        ("u6:channel:sf32:zf32", f16, in_stripes, 1, "f32"),
        ("u4:g32:sf16:zint", f32, None, 2, "int8"),
        ("i3:g96:sf16:znone", f32, in_stripes, 2, "int8"),
        ("u8:channel:sf32:zf32", f16, None, 2, "int8"),
        ("u5:channel:sf32:znone", bf16, None, 2, "int8"),
        ("bipolar8:channel:sf32:znone", f32, None, 2, "int8"),
        ("u4:g32:sf16:zint", f32, None, 2, "fp8"),
        ("bipolar3:g96:sf16:zf16", f32, in_stripes, 2, "fp8"),
        ("e4m3:channel:sf32:znone", f32, None, 2, "fp8"),
        ("e5m2:channel:sf32:znone", bf16, in_stripes, 2, "fp8"),
        ("e2m1:g32:sf16:zf16", f16, None, 2, "fp8"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_launches_on_packed_weights_are_the_product(
    format: str, element: Attribute, change: Change | None, launches: int, activations: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if change is not None:
        place = "tilecast.passes.loops.lowbit.tile_product.choose_plan"
        monkeypatch.setattr(place, lambda *given: change(choose_plan(*given)))
    ctx = CompileContext()
    ctx.machine = Machine("sm_80", "scalar")
    parsed, groups = parse_format(format), parse_format(format).groups(K)
    module = Parser(ctx, kernel_text(format, element, groups, activations)).parse_module()
    LowerOpaquePass().apply(ctx, module)
    module = Parser(CompileContext(), str(module)).parse_module()
    module.verify()
    func = module.body.block.first_op
    assert isinstance(func, FuncOp)
    found = [op for op in func.body.walk() if isinstance(op, LaunchOp)]
    assert len(found) == launches

    rng, dtype = np.random.default_rng(0), dtype_of(element)
    width = 1 << parsed.element.width
    usable = np.flatnonzero(np.isfinite(parsed.element.levels)) if width == 256 else width
    codes = rng.choice(usable, (N, K)).astype(np.uint8)
    scales = SCALE_TYPES[parsed.scale].encode(rng.uniform(0.5, 1.5, (N, groups)).astype("f4"))
    stored = [codes.view(np.int8), scales]
    zeros = np.zeros((N, groups))
    if parsed.zero == "int":
        stored.append(rng.integers(0, width, (N, groups)).astype(np.uint8).view(np.int8))
    elif parsed.zero != "none":
        stored.append(SCALE_TYPES[parsed.zero].encode(rng.normal(size=(N, groups)).astype("f4")))
    if parsed.zero != "none":
        zeros = zero_values(parsed, stored[-1]).astype(np.float64)
    levels = np.arange(width) * 1.0
    if not hasattr(parsed.element, "step"):
        known = parsed.element.levels
        levels = known if known.size else np.sort(rng.normal(size=width)).astype(np.float32)
        stored.append(levels)
    else:
        levels = levels * parsed.element.step + parsed.element.offset
    x, bias = (rng.normal(size=n).astype(dtype) for n in ((3, K), N))
    arrays = [x, *stored, bias]
    interface = KernelInterface(func)
    for k in range(1, len(arrays) - 1):
        if k in interface.packs:
            shape = interface.type_of(k).get_shape()
            arrays[k] = pack_array(arrays[k], interface.packs[k], shape)
            assert arrays[k].shape == tuple(shape)
    block = func.body.block
    for argument in block.args[len(arrays) :]:
        start = 0 if argument.index in interface.semaphores else 7
        shape, element_type = argument.type.get_shape(), argument.type.element_type
        arrays.append(np.full(shape, start, dtype_of(element_type)))
    for launch in found:
        chosen = [arrays[0] if "copy" in a.name_hint else arrays[a.index] for a in launch.arrays]
        run_program(launch.program, chosen)
    assert not any(arrays[k].any() for k in interface.semaphores)
    each = K // groups
    weight = (levels[codes].astype(float) - zeros.repeat(each, 1)) * SCALE_TYPES[
        parsed.scale
    ].decode(scales).astype(float).repeat(each, 1)
    if activations != "f32":
        rounded, steps = quantize_rows(x, activations)
        x = rounded.astype(np.float64) * steps
    expected = x.astype(float) @ weight.T + bias.astype(float)
    result = arrays[len(stored) + 2].astype(float)
    bound = 4e-7 if element == F32 else float(2 * np.finfo(dtype).eps if element == f16 else 2**-7)
    assert (np.abs(result - expected) <= bound * (np.abs(x.astype(float)) @ np.abs(weight).T)).all()
