"""What operators do to real and imaginary parts: torch code by the name of the operator.

Most that move elements, or are linear with real coefficients, do the same to both parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.utils._pytree import tree_leaves, tree_map

from . import fourier

REAL_OF = {
    torch.complex128: torch.float64,
    torch.complex64: torch.float32,
    torch.complex32: torch.float16,
}
ON_EACH_NAMES = """
alias chunk clone constant_pad_nd contiguous cumsum detach diagonal expand flatten flip gather
getitem index index_select lift_fresh_copy mean movedim narrow neg permute repeat reshape
resolve_conj roll select slice split split_with_sizes squeeze sum t transpose tril triu unbind
unfold unsafe_split unsqueeze view zeros_like _unsafe_view
"""
ON_EACH = frozenset(ON_EACH_NAMES.split())


@dataclass(frozen=True)
class Parts:
    """A complex tensor as two real ones of its shape, or the two lists that an operator gives. To
    trees of arguments it is a leaf."""

    re: Any
    im: Any

    @staticmethod
    def of(value: Any) -> Parts:
        """Of a number or a tensor; what is real has zeros."""
        if isinstance(value, Parts):
            return value
        if isinstance(value, Tensor):
            return Parts(value, torch.zeros_like(value))
        return Parts(value.real, value.imag)

    def times(self, other: Parts) -> Parts:
        """The product."""
        re = self.re * other.re - self.im * other.im
        return Parts(re, self.re * other.im + self.im * other.re)

    def scaled(self, real: Any) -> Parts:
        """Times a real number or tensor."""
        return Parts(self.re * real, self.im * real)

    def conjugate(self) -> Parts:
        """The other root."""
        return Parts(self.re, -self.im)


def name_of(target: Any) -> str:
    """`mul` for aten.mul.Tensor."""
    packet = getattr(target, "overloadpacket", None)
    return getattr(target, "__name__", "") if packet is None else packet.__name__


def has_rule(target: Any) -> bool:
    """Whether complex numbers may go into `target`, or come out."""
    return name_of(target) in ON_EACH or name_of(target) in RULES


def is_complex(node: Node) -> bool:
    """Whether the value of a node is a complex tensor, or has some."""
    leaves = tree_leaves(node.meta.get("val"))
    return any(isinstance(leaf, Tensor) and leaf.is_complex() for leaf in leaves)


def reads_complex(node: Node) -> bool:
    """Whether an argument of a node is complex."""
    numbers = tree_leaves((node.args, node.kwargs))
    return any(map(is_complex, node.all_input_nodes)) or not all(map(is_real, numbers))


def touches_complex(node: Node) -> bool:
    """Whether complex numbers go into a node, or come out."""
    return is_complex(node) or reads_complex(node)


def is_real(value: Any) -> bool:
    """Whether an argument has no imaginary part."""
    return not isinstance(value, (Parts, complex))


def applied(target: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """`target` on arguments among which are `Parts`, or whose result is complex."""
    rule = RULES.get(name_of(target))
    return on_each(target, *args, **kwargs) if rule is None else rule(*args, **kwargs)


def on_each(target: Any, *args: Any, **kwargs: Any) -> Parts:
    """The same to both parts."""

    def part(name: str) -> Any:
        def of(x: Any) -> Any:
            if isinstance(x, torch.dtype):
                return REAL_OF.get(x, x)
            return getattr(x, name) if isinstance(x, Parts) else x

        own_args, own_kwargs = tree_map(of, (args, kwargs))
        return target(*own_args, **own_kwargs)

    return Parts(part("re"), part("im"))


def joined(join: Callable[..., Tensor]) -> Callable[..., Parts]:
    """Of a list of tensors, of which some may be real."""

    def rule(tensors: Sequence[Any], dim: int = 0) -> Parts:
        parts = [Parts.of(x) for x in tensors]
        return Parts(join([p.re for p in parts], dim), join([p.im for p in parts], dim))

    return rule


def add(x: Any, y: Any, alpha: Any = 1) -> Parts:
    """x + alpha y."""
    left, right = Parts.of(x), Parts.of(y)
    if alpha != 1:
        right = right.scaled(alpha) if is_real(alpha) else right.times(Parts.of(alpha))
    return Parts(left.re + right.re, left.im + right.im)


def subtract(x: Any, y: Any, alpha: Any = 1) -> Parts:
    """x - alpha y."""
    return add(x, y, -alpha)


def multiply(x: Any, y: Any) -> Parts:
    """By a real factor, or both complex."""
    if is_real(y):
        return Parts.of(x).scaled(y)
    return y.scaled(x) if is_real(x) and isinstance(y, Parts) else Parts.of(x).times(Parts.of(y))


def divide(x: Any, y: Any) -> Parts:
    """By a real number, or times the reciprocal."""
    if is_real(y):
        return Parts(Parts.of(x).re / y, Parts.of(x).im / y)
    return multiply(reciprocal(Parts.of(y)), x)


def reciprocal(z: Parts) -> Parts:
    """The conjugate over the square of the magnitude."""
    square = z.re * z.re + z.im * z.im
    return Parts(z.re / square, -z.im / square)


def products(multiply: Callable[..., Tensor]) -> Callable[[Any, Any], Parts]:
    """A product of matrices, of which one may be real."""

    def rule(x: Any, y: Any) -> Parts:
        if is_real(x):
            return Parts(multiply(x, y.re), multiply(x, y.im))
        if is_real(y):
            return Parts(multiply(x.re, y), multiply(x.im, y))
        re = multiply(x.re, y.re) - multiply(x.im, y.im)
        return Parts(re, multiply(x.re, y.im) + multiply(x.im, y.re))

    return rule


def polar(radius: Tensor, angle: Tensor) -> Parts:
    """From a magnitude and an angle."""
    return Parts(radius * angle.cos(), radius * angle.sin())


def power(z: Any, exponent: Any) -> Parts:
    """Squares by multiplication, others by logarithm and angle."""
    base = Parts.of(z)
    if exponent == 2:
        return base.times(base)
    return exponential(Parts(magnitude(base).log(), angle(base)).times(Parts.of(exponent)))


def exponential(z: Parts) -> Parts:
    """e to the real part, turned by the imaginary one."""
    return polar(z.re.exp(), z.im)


def magnitude(z: Parts) -> Tensor:
    """Without an overflow of squares."""
    return torch.hypot(z.re, z.im)


def angle(z: Parts) -> Tensor:
    """In radians."""
    return torch.atan2(z.im, z.re)


def select_by(condition: Tensor, x: Any, y: Any) -> Parts:
    """Both parts of one or the other."""
    x, y = Parts.of(x), Parts.of(y)
    return Parts(torch.where(condition, x.re, y.re), torch.where(condition, x.im, y.im))


def equal(x: Any, y: Any) -> Tensor:
    """Where both parts are."""
    x, y = Parts.of(x), Parts.of(y)
    both: Tensor = (x.re == y.re) & (x.im == y.im)
    return both


def converted(x: Any, **kwargs: Any) -> Any:
    """To or from a complex type; a real type takes the real part."""
    wanted = kwargs.pop("dtype", None)
    if wanted is not None and not wanted.is_complex:
        return x.re.to(wanted)
    x = Parts.of(x)
    return x if wanted is None else Parts(x.re.to(REAL_OF[wanted]), x.im.to(REAL_OF[wanted]))


RULES: dict[str, Callable[..., Any]] = {
    "_conj": Parts.conjugate,
    "_conj_physical": Parts.conjugate,
    "_fft_c2c": lambda z, *rest: Parts(*fourier.of_parts(z.re, z.im, *rest)),
    "_fft_c2r": lambda z, *rest: fourier.to_real(z.re, z.im, *rest),
    "_fft_r2c": lambda x, *rest: Parts(*fourier.of_real(x, *rest)),
    "_to_copy": converted,
    "abs": magnitude,
    "add": add,
    "angle": angle,
    "bmm": products(torch.bmm),
    "cat": joined(torch.cat),
    "complex": Parts,
    "conj": Parts.conjugate,
    "conj_physical": Parts.conjugate,
    "div": divide,
    "eq": equal,
    "exp": exponential,
    "imag": lambda z: z.im,
    "matmul": products(torch.matmul),
    "mm": products(torch.mm),
    "mul": multiply,
    "ne": lambda x, y: ~equal(x, y),
    "polar": polar,
    "pow": power,
    "real": lambda z: z.re,
    "reciprocal": reciprocal,
    "rsub": lambda x, y, alpha=1: add(multiply(x, -alpha), y),
    "square": lambda z: z.times(z),
    "stack": joined(torch.stack),
    "sub": subtract,
    "view_as_complex": lambda x: Parts(x[..., 0], x[..., 1]),
    "view_as_real": lambda z: torch.stack((z.re, z.im), -1),
    "where": select_by,
}
