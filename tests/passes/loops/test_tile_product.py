"""`quant.linear` on a GPU: the launch, and the weight as its program reads it."""

from __future__ import annotations

import numpy as np
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.quant.scale_types import SCALE_TYPES
from tilecast.dialects.reference.tile import run_program
from tilecast.dialects.tile.launch import LaunchOp
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.kernel_interface import KernelInterface
from tilecast.passes.loops.lower_opaque import LowerOpaquePass
from tilecast.passes.loops.pack_weights import pack_array
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

KERNEL = """
func.func private @k(
    %x: tensor<2x5x48xf32>, %codes: tensor<40x48xi8> {tilecast.weight},
    %scales: tensor<40x3xi16> {tilecast.weight}, %zeros: tensor<40x3xi8> {tilecast.weight},
    %bias: tensor<40xf32> {tilecast.weight}) -> tensor<2x40xf32> {
  %v = "graph.view"(%x) <{map = affine_map<(d0, d1) -> (d0, 0, d1)>}>
      : (tensor<2x5x48xf32>) -> tensor<2x48xf32>
  %y = "quant.linear"(%v, %codes, %scales, %zeros, %bias) <{
      format = "u4:g16:sf16:zint", activations = "f32",
      operandSegmentSizes = array<i32: 1, 1, 1, 1, 0, 1>}>
      : (tensor<2x48xf32>, tensor<40x48xi8>, tensor<40x3xi16>, tensor<40x3xi8>, tensor<40xf32>)
      -> tensor<2x40xf32>
  func.return %y : tensor<2x40xf32>
}
"""


def test_a_launch_on_packed_weights_is_the_product_to_f32_accuracy() -> None:
    ctx = CompileContext()
    ctx.machine = Machine("sm_80", "scalar")
    module = Parser(ctx, KERNEL).parse_module()
    LowerOpaquePass().apply(ctx, module)
    module = Parser(CompileContext(), str(module)).parse_module()
    module.verify()
    func = module.body.block.first_op
    assert isinstance(func, FuncOp)
    (launch,) = [op for op in func.body.walk() if isinstance(op, LaunchOp)]
    rng = np.random.default_rng(0)
    codes, zeros = (rng.integers(0, 16, n).astype(np.uint8) for n in ((40, 48), (40, 3)))
    scales = SCALE_TYPES["f16"].encode(rng.uniform(0.5, 1.5, (40, 3)).astype(np.float32))
    x, bias = (rng.normal(size=n).astype(np.float32) for n in ((2, 48), 40))
    interface = KernelInterface(func)
    stored = {1: codes.view(np.int8), 2: scales, 3: zeros.view(np.int8)}
    packed = [
        pack_array(array, interface.packs[k], interface.type_of(k).get_shape())
        for k, array in stored.items()
    ]
    for k, array in zip(stored, packed, strict=True):
        assert array.shape == tuple(interface.type_of(k).get_shape())
    result = np.full((2, 40), np.nan, np.float32)
    run_program(launch.program, [x, *packed, bias, result])
    numbers = codes.reshape(40, 3, 16).astype(np.float64) - zeros[..., None]
    weight = numbers * SCALE_TYPES["f16"].decode(scales).astype(np.float64)[..., None]
    expected = x.astype(np.float64) @ weight.reshape(40, 48).T + bias
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
