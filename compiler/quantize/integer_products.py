"""Products with stored integers that are scaled afterwards, as linear layers with a scaled weight.

before: mm(x, q^T) * scale               or one operator for both, such as `_weight_int8pack_mm`
        _int_mm(i, q^T) * s_i * scale    i [M, K] integers, s_i [M, 1]
after:  linear(x, q * scale)             the weight computed from stored tensors, to be looked
        linear(i * s_i, q * scale)       through by `stored_integers`

This is how torchao's weights of 8 bits, and of 4 bits packed for the CPU, multiply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from ..frontend.states import copied_graph, rebuilt
from .computed_weights import evaluated, is_computed, is_fixed
from .folding import arguments

aten = torch.ops.aten
TYPE_CHECK = "aten._assert_tensor_metadata.default"


class Edit:
    """New nodes before `node`, with the meta data that export would have given them."""

    def __init__(self, module: GraphModule, node: Node, values: Mapping[str, Tensor]) -> None:
        self.graph, self.node, self.values = module.graph, node, values

    def call(self, operator: Any, *args: Any) -> Node:
        """A call of `operator`."""
        with self.graph.inserting_before(self.node):
            made = self.graph.call_function(operator, args)
        given = torch.fx.map_arg(args, lambda node: node.meta["val"])
        with self.node.meta["val"].fake_mode:
            made.meta = {**self.node.meta, "val": operator(*given)}
        return made


Rule = Callable[[Edit, Node], Node | None]


def with_scaled_weights(program: ExportedProgram, values: Mapping[str, Tensor]) -> ExportedProgram:
    """`program` with such products as linear layers; itself where it has none."""
    module = copied_graph(program)
    changed = False
    for node in list(module.graph.nodes):
        rule = RULES.get(str(node.target))
        new = None if rule is None else rule(Edit(module, node, values), node)
        if new is not None:
            node.replace_all_uses_with(new)
            module.graph.erase_node(node)
            new.name = node.name  # which is in the signature where it is a result
            changed = True
    if not changed:
        return program
    for node in list(module.graph.nodes):
        if str(node.target) == TYPE_CHECK:
            module.graph.erase_node(node)  # it would keep alive what it checks
    module.graph.eliminate_dead_code()
    module.recompile()
    signature = program.graph_signature
    return rebuilt(program, module, list(signature.input_specs), list(signature.output_specs))


def scaled_product(edit: Edit, node: Node) -> Node | None:
    """mm(x, w) * s with stored w of integers, and stored s: one number, or one per column."""
    sides = [side for side in arguments(node)[:2] if isinstance(side, Node)]
    for product, scale in (sides, sides[::-1]) if len(sides) == 2 else ():
        if not is_fixed(scale, edit.values) or is_fixed(product, edit.values):
            continue
        x, weight = operands(edit, product)
        if x is None or not is_computed(weight, edit.values):
            continue
        shape, columns = scale.meta["val"].shape, weight.meta["val"].shape[-1]
        if len(weight.meta["val"].shape) != 2 or (shape.numel() != 1 and shape[-1:] != (columns,)):
            continue
        if shape.numel() not in (1, columns) or len(shape) > len(node.meta["val"].shape):
            continue
        rows = edit.call(aten.permute.default, weight, [1, 0])
        rows = edit.call(aten.to.dtype, rows, node.meta["val"].dtype)
        return scaled_linear(edit, x, rows, scale)
    return None


def scaled_linear(edit: Edit, x: Node, rows: Node, scale: Node) -> Node:
    """linear(x, rows * scale), with a scale for each row of the weight, or one for all."""
    factor = edit.call(aten.reshape.default, scale, [-1, 1])
    return edit.call(aten.linear.default, x, edit.call(aten.mul.Tensor, rows, factor))


def operands(edit: Edit, node: Node) -> tuple[Node | None, Any]:
    """(x, w) of mm(x, w), or of a product of integers that is scaled row by row."""
    if str(node.target) in ("aten.mm.default", "aten.matmul.default"):
        return arguments(node)[0], arguments(node)[1]
    if str(node.target) != "aten.mul.Tensor":
        return None, None
    product, scale = (through_casts(side) for side in arguments(node)[:2])
    columns = scale.meta["val"].shape[-1:] if isinstance(scale, Node) else ()
    integers, weight = integer_operands(edit, product)
    if integers is None or is_fixed(scale, edit.values) or columns != (1,):
        return None, None
    wide = edit.call(aten.to.dtype, integers, node.meta["val"].dtype)
    return edit.call(aten.mul.Tensor, wide, arguments(node)[1]), weight


def integer_operands(edit: Edit, node: Any) -> tuple[Node | None, Any]:
    """(i, w) of `_int_mm(i, w)`, or of the same with bytes: `_int_mm(i + 128, w) - 128 sum(w)`."""
    if not isinstance(node, Node):
        return None, None
    if str(node.target) == "aten._int_mm.default":
        return arguments(node)[0], arguments(node)[1]
    if str(node.target) != "aten.sub.Tensor" or not is_fixed(arguments(node)[1], edit.values):
        return None, None
    product, correction = arguments(node)
    if not isinstance(product, Node) or str(product.target) != "aten._int_mm.default":
        return None, None
    moved, weight = through_casts(arguments(product)[0]), arguments(product)[1]
    if str(moved.target) != "aten.add.Tensor" or not isinstance(arguments(moved)[1], int):
        return None, None
    if not is_computed(weight, edit.values):
        return None, None
    expected = arguments(moved)[1] * evaluated(weight, edit.values).sum(dim=0, dtype=torch.int32)
    found = evaluated(correction, edit.values).reshape(-1)
    return (
        (through_casts(arguments(moved)[0]), weight)
        if torch.equal(found, expected)
        else (None, None)
    )


def through_casts(node: Any) -> Any:
    """What a value was before its type changed."""
    while isinstance(node, Node) and str(node.target) in ("aten.to.dtype", "aten._to_copy.default"):
        node = arguments(node)[0]
    return node


def packed_bytes(edit: Edit, node: Node) -> Node | None:
    """_weight_int8pack_mm(x, q [N, K], scales [N])."""
    x, codes, scale = arguments(node)[:3]
    if not is_fixed(codes, edit.values) or not is_fixed(scale, edit.values):
        return None
    numbers = edit.call(aten.to.dtype, codes, node.meta["val"].dtype)
    return scaled_linear(edit, x, numbers, scale)


def packed_nibbles(edit: Edit, node: Node) -> Node | None:
    """_weight_int4pack_mm_for_cpu(x, packed, group, [scale, zero] [K / group, N, 2]).

    How codes are packed depends on the machine; the product with the unit matrix, all scales 1 and
    all zeros 0, is the codes less 8. The weight is (code - 8) scale + zero.
    """
    x, packed, group, scales = arguments(node)[:4]
    if not is_fixed(packed, edit.values) or not is_fixed(scales, edit.values):
        return None
    columns, dtype = x.meta["val"].shape[-1], node.meta["val"].dtype
    groups, outputs = scales.meta["val"].shape[:2]
    unit = edit.call(aten.eye.default, columns)
    ones = edit.call(aten.ones.default, [groups, outputs, 1])
    plain = edit.call(aten.cat.default, [ones, edit.call(aten.zeros_like.default, ones)], 2)
    rows = edit.call(node.target, unit, packed, group, plain)
    codes = edit.call(aten.to.dtype, edit.call(aten.permute.default, rows, [1, 0]), torch.int8)
    grouped = edit.call(aten.reshape.default, codes, [outputs, groups, group])
    by_row = edit.call(aten.permute.default, scales, [1, 0, 2])
    scale, zero = (edit.call(aten.slice.Tensor, by_row, 2, k, k + 1) for k in (0, 1))
    point = edit.call(aten.neg.default, edit.call(aten.div.Tensor, zero, scale))
    numbers = edit.call(aten.to.dtype, grouped, dtype)
    weight = edit.call(aten.mul.Tensor, edit.call(aten.sub.Tensor, numbers, point), scale)
    weight = edit.call(aten.reshape.default, weight, [outputs, columns])
    return edit.call(aten.linear.default, x, weight)


RULES: dict[str, Rule] = {
    "aten.mul.Tensor": scaled_product,
    "aten._weight_int8pack_mm.default": packed_bytes,
    "aten._weight_int4pack_mm_for_cpu.default": packed_nibbles,
}
