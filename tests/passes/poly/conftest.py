"""A family of kernels, as graph text for given sizes, and the ones that every test set runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest


class KernelText:
    """Writes a kernel function on graph level; values are called %v0, %v1, ..."""

    def __init__(self, **arguments: str) -> None:
        self.types: dict[str, str] = {}
        self.arguments: list[str] = []
        self.lines: list[str] = []
        for name, text in arguments.items():
            kind, _, shape = text.rpartition(" ")
            self.types[f"%{name}"] = f"tensor<{shape}>"
            mark = " {tilecast.weight}" if kind == "weight" else ""
            self.arguments.append(f"%{name}: tensor<{shape}>{mark}")

    def op(self, name: str, operands: str, type: str, properties: str = "") -> str:
        """Append `graph.name`; the value it defines."""
        value = f"%v{len(self.lines)}"
        values = operands.split()
        types = ", ".join(self.types[v] for v in values)
        self.types[value] = f"tensor<{type}>"
        self.lines.append(
            f'{value} = "graph.{name}"({", ".join(values)}) <{{{properties}}}> '
            f": ({types}) -> tensor<{type}>"
        )
        return value

    def returns(self, *values: str) -> str:
        """The function."""
        types = ", ".join(self.types[v] for v in values)
        body = "\n  ".join([*self.lines, f"func.return {', '.join(values)} : {types}"])
        return f"func.func private @k({', '.join(self.arguments)}) -> ({types}) {{\n  {body}\n}}\n"


def ints(*values: int) -> str:
    return "[" + ", ".join(f"#builtin.int<{v}>" for v in values) + "]"


def matmul(m: int, k: int, n: int) -> str:
    t = KernelText(a=f"{m}x{k}xf32", b=f"{k}x{n}xf32")
    return t.returns(t.op("matmul", "%a %b", f"{m}x{n}xf32"))


def batched_matmul(b: int, m: int, k: int, n: int) -> str:
    t = KernelText(a=f"{b}x{m}x{k}xf32", b=f"{b}x{k}x{n}xf32")
    return t.returns(t.op("matmul", "%a %b", f"{b}x{m}x{n}xf32"))


def linear(m: int, k: int, n: int) -> str:
    t = KernelText(x=f"{m}x{k}xf32", w=f"weight {n}x{k}xf32", b=f"weight {n}xf32")
    y = t.op("linear", "%x %w %b", f"{m}x{n}xf32")
    return t.returns(t.op("pointwise", y, f"{m}x{n}xf32", 'fn = "relu"'))


def softmax(rows: int, columns: int, dim: int = 1) -> str:
    t = KernelText(x=f"{rows}x{columns}xf32")
    properties = f"dim = #builtin.int<{dim}>, log = false"
    return t.returns(t.op("softmax", "%x", f"{rows}x{columns}xf32", properties))


def layer_norm(rows: int, columns: int) -> str:
    shape = f"{rows}x{columns}xf32"
    t = KernelText(x=shape, g=f"weight {columns}xf32", b=f"weight {columns}xf32")
    properties = (
        'kind = "layer", rank = #builtin.int<1>, eps = 1.0e-05 : f64, '
        "operandSegmentSizes = array<i32: 1, 1, 1>"
    )
    return t.returns(t.op("norm", "%x %g %b", shape, properties))


def attention(batch: int, queries: int, keys: int, depth: int, masked: bool) -> str:
    mask = {"m": f"{batch}x{queries}x{keys}xi1"} if masked else {}
    t = KernelText(
        q=f"{batch}x{queries}x{depth}xf32",
        k=f"{batch}x{keys}x{depth}xf32",
        v=f"{batch}x{keys}x{depth}xf32",
        **mask,
    )
    properties = "scale = 5.0e-01 : f64, causal = false"
    operands = "%q %k %v %m" if masked else "%q %k %v"
    return t.returns(t.op("attention", operands, f"{batch}x{queries}x{depth}xf32", properties))


def conv(
    channels: int, out: int, size: int, kernel: int, stride: int, padding: int, groups: int = 1
) -> str:
    result = (size + 2 * padding - kernel) // stride + 1
    t = KernelText(
        x=f"1x{channels}x{size}x{size}xf32",
        w=f"weight {out}x{channels // groups}x{kernel}x{kernel}xf32",
        b=f"weight {out}xf32",
    )
    properties = (
        f"stride = {ints(stride, stride)}, padding = {ints(padding, padding)}, "
        f"dilation = {ints(1, 1)}, groups = #builtin.int<{groups}>"
    )
    return t.returns(t.op("conv", "%x %w %b", f"1x{out}x{result}x{result}xf32", properties))


def pool(fn: str, channels: int, size: int, kernel: int, stride: int, padding: int) -> str:
    result = (size + 2 * padding - kernel) // stride + 1
    t = KernelText(x=f"1x{channels}x{size}x{size}xf32")
    properties = (
        f'fn = "{fn}", kernel = {ints(kernel, kernel)}, stride = {ints(stride, stride)}, '
        f"padding_low = {ints(padding, padding)}, padding_high = {ints(padding, padding)}, "
        f"dilation = {ints(1, 1)}"
    )
    return t.returns(t.op("pool", "%x", f"1x{channels}x{result}x{result}xf32", properties))


def transpose(rows: int, columns: int) -> str:
    t = KernelText(x=f"{rows}x{columns}xf32")
    v = t.op("view", "%x", f"{columns}x{rows}xf32", "map = affine_map<(d0, d1) -> (d1, d0)>")
    return t.returns(t.op("pointwise", v, f"{columns}x{rows}xf32", 'fn = "neg"'))


def copy_through_view(rows: int, columns: int) -> str:
    t = KernelText(x=f"{rows}x{columns}xf32")
    v = t.op(
        "view",
        "%x",
        f"{columns}x{rows}xf32",
        f"map = affine_map<(d0, d1) -> ({rows - 1} - d1, d0)>",
    )
    return t.returns(v)


def reshape_add(rows: int, heads: int, depth: int) -> str:
    """Split the last dim, swap, and add: a reshape whose map needs floordiv and mod."""
    t = KernelText(x=f"{rows}x{heads * depth}xf32", y=f"{heads}x{rows * depth}xf32")
    a = t.op("reshape", "%x", f"{rows}x{heads}x{depth}xf32")
    b = t.op(
        "view", a, f"{heads}x{rows}x{depth}xf32", "map = affine_map<(d0, d1, d2) -> (d1, d0, d2)>"
    )
    c = t.op("reshape", b, f"{heads}x{rows * depth}xf32")
    return t.returns(t.op("pointwise", f"{c} %y", f"{heads}x{rows * depth}xf32", 'fn = "add"'))


def cat(rows: int, first: int, second: int) -> str:
    t = KernelText(x=f"{rows}x{first}xf32", y=f"{rows}x{second}xf32")
    c = t.op("cat", "%x %y", f"{rows}x{first + second}xf32", "dim = #builtin.int<1>")
    return t.returns(t.op("pointwise", f"{c} {c}", f"{rows}x{first + second}xf32", 'fn = "mul"'))


def pad(rows: int, columns: int) -> str:
    t = KernelText(x=f"{rows}x{columns}xf32")
    properties = f"low = {ints(1, 2)}, high = {ints(0, 1)}, value = 2.5 : f32"
    return t.returns(t.op("pad", "%x", f"{rows + 1}x{columns + 3}xf32", properties))


def embedding(words: int, table: int, depth: int) -> str:
    t = KernelText(i=f"{words}xi64", t=f"weight {table}x{depth}xf32", p=f"{words}x{depth}xf32")
    e = t.op("embedding", "%t %i", f"{words}x{depth}xf32")
    return t.returns(t.op("pointwise", f"{e} %p", f"{words}x{depth}xf32", 'fn = "add"'))


def reduce(fn: str, rows: int, columns: int, *dims: int) -> str:
    shape = [str(n) for d, n in enumerate((rows, columns)) if d not in dims]
    t = KernelText(x=f"{rows}x{columns}xf32")
    properties = f'fn = "{fn}", dims = {ints(*dims)}'
    return t.returns(t.op("reduce", "%x", "x".join([*shape, "f32"]), properties))


def sum_and_max(rows: int, columns: int) -> str:
    """Two outputs of one input."""
    t = KernelText(x=f"{rows}x{columns}xf32")
    a = t.op("reduce", "%x", f"{rows}xf32", f'fn = "sum", dims = {ints(1)}')
    b = t.op("reduce", "%x", f"{columns}xf32", f'fn = "max", dims = {ints(0)}')
    return t.returns(a, b)


BUILDERS: dict[str, Callable[..., str]] = {
    f.__name__: f
    for f in (
        matmul, batched_matmul, linear, softmax, layer_norm, attention, conv, pool, transpose,
        copy_through_view, reshape_add, cat, pad, embedding, reduce, sum_and_max,
    )
}  # fmt: skip

INEXACT = {"softmax", "layer_norm", "attention"}

FAMILY: dict[str, tuple[str, tuple[object, ...]]] = {
    "matmul": ("matmul", (5, 7, 19)),
    "matmul_one_row": ("matmul", (1, 13, 37)),
    "matmul_one_column": ("matmul", (17, 5, 1)),
    "matmul_k_one": ("matmul", (3, 1, 17)),
    "matmul_full_tiles": ("matmul", (8, 4, 64)),
    "batched_matmul": ("batched_matmul", (3, 4, 5, 17)),
    "linear_epilogue": ("linear", (7, 9, 35)),
    "linear_one_row": ("linear", (1, 18, 21)),
    "softmax": ("softmax", (3, 37)),
    "softmax_short": ("softmax", (5, 3)),
    "softmax_columns": ("softmax", (7, 18, 0)),
    "layer_norm": ("layer_norm", (3, 70)),
    "attention": ("attention", (2, 5, 7, 4, False)),
    "attention_mask": ("attention", (2, 3, 18, 5, True)),
    "conv3x3": ("conv", (3, 5, 7, 3, 1, 1)),
    "conv3x3_stride2": ("conv", (2, 4, 9, 3, 2, 1)),
    "conv1x1": ("conv", (5, 17, 4, 1, 1, 0)),
    "conv_depthwise": ("conv", (6, 6, 5, 3, 1, 1, 6)),
    "conv_grouped": ("conv", (4, 6, 5, 3, 1, 1, 2)),
    "max_pool": ("pool", ("max", 3, 8, 3, 2, 1)),
    "sum_pool": ("pool", ("sum", 2, 7, 2, 2, 0)),
    "transpose": ("transpose", (5, 19)),
    "copy_through_view": ("copy_through_view", (3, 17)),
    "reshape_add": ("reshape_add", (3, 2, 5)),
    "cat": ("cat", (3, 5, 14)),
    "pad": ("pad", (3, 17)),
    "embedding": ("embedding", (5, 3, 21)),
    "column_sums": ("reduce", ("sum", 7, 19, 0)),
    "row_sums": ("reduce", ("sum", 3, 39, 1)),
    "row_max": ("reduce", ("max", 3, 70, 1)),
    "sum_all": ("reduce", ("sum", 7, 19, 0, 1)),
    "product": ("reduce", ("prod", 3, 17, 1)),
    "two_outputs": ("sum_and_max", (3, 19)),
}


@pytest.fixture(params=list(FAMILY))
def family_kernel(request: pytest.FixtureRequest, kernel: Callable[..., object]) -> object:
    """Each kernel of the family at its own size."""
    builder, sizes = FAMILY[request.param]
    return kernel(BUILDERS[builder](*sizes), exact=builder not in INEXACT)


@pytest.fixture(scope="session")
def build(kernel: Callable[..., object]) -> Callable[..., object]:
    """build(builder, *sizes): one kernel of the family at other sizes."""
    return lambda name, *sizes: kernel(BUILDERS[name](*sizes), exact=name not in INEXACT)


@pytest.fixture(scope="session")
def kernel_text() -> type[KernelText]:
    """The writer of kernel functions on graph level."""
    return KernelText
