"""`torch.compile(model, backend="tilecast")`: dynamo graphs in, compiled programs out.

A graph is compiled at its first call, from the real inputs: the graph that dynamo captured goes
through torch.export, so that named operators (linear, attention, layer norm) reach the importer.
Where gradients are needed, AOTAutograd makes a forward and a backward graph of it, which are
compiled one by one with the parameters as inputs. What cannot be compiled runs eagerly, with one
log line per graph.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ..dialects.errors import OptionError, TilecastError
from .logging import warn
from .options import check_names_are_known

MAX_SHAPES = 8
MAX_REFREEZES = 2

Outputs = Sequence[Any]


def backend(
    gm: torch.fx.GraphModule, example_inputs: Sequence[Any], **kwargs: Any
) -> Callable[..., Outputs]:
    """Compile one dynamo graph. `options` holds options of `tilecast.compile`.

    `mode` and `name` are accepted because torch.compile passes them on; they change nothing.
    """
    options = check_arguments(kwargs)
    if needs_gradients(example_inputs):
        return training_graphs(gm, example_inputs, options)
    return remembered(CompiledGraph(gm, example_inputs, options))


def remembered(graph: CompiledGraph) -> CompiledGraph:
    """`graph`, which `reset` will reach."""
    _graphs.add(graph)
    return graph


def training_graphs(
    gm: torch.fx.GraphModule, example_inputs: Sequence[Any], options: dict[str, Any]
) -> Callable[..., Outputs]:
    """The forward graph, with the values that the backward graph needs of it among its results."""
    from torch._functorch._aot_autograd.utils import make_boxed_func
    from torch._functorch.aot_autograd import aot_module_simplified
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def compiled(gm: torch.fx.GraphModule, example_inputs: Sequence[Any]) -> Any:
        for node in gm.graph.nodes:
            if node.target is torch.ops.aten.view.default:  # compiled results are always dense
                node.target = torch.ops.aten.reshape.default
        gm.recompile()
        return make_boxed_func(remembered(CompiledGraph(gm, example_inputs, options, frozen=False)))

    try:
        with sdpa_kernel(SDPBackend.MATH):  # torch's fused attention has a gradient of its own
            trained: Callable[..., Outputs] = aot_module_simplified(
                gm, list(example_inputs), fw_compiler=compiled, bw_compiler=compiled
            )
    except Exception as error:  # AOTAutograd refuses some graphs, in ways of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        warn(f"a graph of {_size(gm)} operators runs eagerly: no graph of gradients: {reason}")
        return gm
    return trained


def needs_gradients(inputs: Sequence[Any]) -> bool:
    """Whether autograd watches a call on `inputs`."""
    return torch.is_grad_enabled() and any(
        isinstance(value, torch.Tensor) and value.requires_grad for value in inputs
    )


def reset() -> None:
    """Forget every compiled graph; the next call of each compiles again."""
    for graph in list(_graphs):
        graph.forget()


backend.reset = reset  # type: ignore[attr-defined]


def check_arguments(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The compile options among the backend's arguments; OptionError for unknown ones."""
    unknown = sorted(kwargs.keys() - {"mode", "options", "name"})
    if unknown:
        raise OptionError(
            f"backend 'tilecast' has no argument {unknown[0]!r}; it takes mode, options, name"
        )
    options = dict(kwargs.get("options") or {})
    check_names_are_known(options, "torch.compile options")
    return options


class CompiledGraph:
    """One graph: compiled per input shape, with parameters frozen into the program if `frozen`.

    Frozen parameters are guarded by address and version counter at every call: after an in-place
    update the graph is compiled again, and after several updates (training) it stays eager. Writes
    through `parameter.data` do not move the counter; call `torch.compiler.reset()` after those.
    """

    def __init__(
        self,
        gm: torch.fx.GraphModule,
        example_inputs: Sequence[Any],
        options: dict[str, Any],
        frozen: bool = True,
    ) -> None:
        self._gm = gm
        self._options = options
        self._static = [i for i, v in enumerate(example_inputs) if frozen and is_static(v)]
        static = set(self._static)
        self._dynamic = [i for i in range(len(example_inputs)) if i not in static]
        self._numbers = number_inputs(gm)
        self._refreezes = 0
        self._eager = False
        self.forget()

    def forget(self) -> None:
        """Drop all compiled programs."""
        self._programs: dict[tuple[Any, ...], Callable[..., Any]] = {}
        self._stamp: tuple[tuple[int, int], ...] = ()

    def __call__(self, *inputs: Any) -> Outputs:
        if self._eager:
            return self._run_eager(inputs)
        if needs_gradients(inputs):
            return self._fall_back("it was made for inference, and now gradients are needed")(
                *inputs
            )
        stamp = tuple(_stamp(inputs[i]) for i in self._static)
        if stamp != self._stamp:
            if self._programs:
                self._refreezes += 1
                if self._refreezes > MAX_REFREEZES:
                    return self._fall_back("its parameters keep changing")(*inputs)
            self.forget()
            self._stamp = stamp
        key = tuple(_key(inputs[i], by_value=i in self._numbers) for i in self._dynamic)
        program = self._programs.get(key)
        if program is None:
            program = self._compile(inputs)
            if self._eager:
                return program(*inputs)
            self._programs[key] = program
        result = program(*self._tensors(inputs))
        return result if isinstance(result, tuple | list) else (result,)

    def _tensors(self, inputs: Sequence[Any]) -> tuple[torch.Tensor, ...]:
        """What a program takes: the tensors that are neither parameters nor wrapped numbers."""
        values = ((i, inputs[i]) for i in self._dynamic if i not in self._numbers)
        return tuple(value for _, value in values if isinstance(value, torch.Tensor))

    def _run_eager(self, inputs: Sequence[Any]) -> Outputs:
        result: Outputs = self._gm(*inputs)
        return result

    def _fall_back(self, reason: str) -> Callable[..., Outputs]:
        self._eager = True
        self.forget()
        warn(f"a graph of {_size(self._gm)} operators runs eagerly: {reason}")
        return self._gm

    def _compile(self, inputs: Sequence[Any]) -> Callable[..., Any]:
        from .driver import compile as compile_model

        if len(self._programs) >= MAX_SHAPES:
            return self._fall_back(f"it was called with more than {MAX_SHAPES} input shapes")
        frozen = FrozenGraph(self._gm, inputs, self._static, self._numbers)
        arguments = self._tensors(inputs)
        try:
            if any(value.device.type != "cpu" for value in arguments):
                raise TilecastError("an input is not on the CPU")
            # a thread of its own: gradients are computed below keys of torch's dispatcher that
            # tracing must not see
            with ThreadPoolExecutor(1) as pool:
                compiling = partial(compile_model, frozen, arguments, **self._options)
                program: Callable[..., Any] = pool.submit(compiling).result()
        except OptionError:
            raise  # the user asked for something that does not exist: say so
        except TilecastError as error:
            return self._fall_back(str(error).partition("\n")[0])
        return program


class FrozenGraph(torch.nn.Module):
    """A dynamo graph as a module of its tensor inputs: parameters and numbers are held inside."""

    def __init__(
        self,
        gm: torch.fx.GraphModule,
        inputs: Sequence[Any],
        static: Sequence[int],
        numbers: frozenset[int],
    ) -> None:
        super().__init__()
        self._inner = gm
        self._slots: list[Any] = []
        for index, value in enumerate(inputs):
            if index in static:
                name = f"p{index}"
                self.register_buffer(name, value.detach())
                self._slots.append(name)
            elif index in numbers:
                self._slots.append((Number(value.item()),))
            elif isinstance(value, torch.Tensor):
                self._slots.append(None)
            else:
                self._slots.append((value,))  # a size: fixed for this program

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The graph on its tensor inputs."""
        remaining = iter(inputs)
        values: list[Any] = []
        for slot in self._slots:
            if slot is None:
                values.append(next(remaining))
            elif isinstance(slot, str):
                values.append(getattr(self, slot))
            else:
                values.append(slot[0])
        return self._inner(*values)


@dataclass(frozen=True)
class Number:
    """Stands for a zero-dimensional tensor that a graph only asks for its value."""

    value: float

    def item(self) -> float:
        """The value, as a constant of the trace."""
        return self.value


def number_inputs(gm: torch.fx.GraphModule) -> frozenset[int]:
    """Inputs by which dynamo passes Python floats: tensors that are used by `.item()` alone."""
    placeholders = [node for node in gm.graph.nodes if node.op == "placeholder"]
    return frozenset(
        index
        for index, node in enumerate(placeholders)
        if node.users and all(u.op == "call_method" and u.target == "item" for u in node.users)
    )


def is_static(value: Any) -> bool:
    """Whether dynamo lifted `value` out of a module: a parameter or a buffer."""
    return isinstance(value, torch.nn.Parameter) or (
        isinstance(value, torch.Tensor) and hasattr(value, "_dynamo_static_input_type")
    )


def _key(value: Any, by_value: bool) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.item() if by_value else (tuple(value.shape), value.dtype)


def _stamp(value: torch.Tensor) -> tuple[int, int]:
    # Inference tensors have no version counter; they cannot be changed outside inference mode.
    return value.data_ptr(), 0 if value.is_inference() else value._version


def _size(gm: torch.fx.GraphModule) -> int:
    return sum(node.op.startswith("call_") for node in gm.graph.nodes)


_graphs: weakref.WeakSet[CompiledGraph] = weakref.WeakSet()
