"""`CompiledModel`: call it like the model it was made from."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils._pytree import tree_flatten, tree_unflatten

from ...dialects.errors import InvalidInputError, PackageError
from ..target import portable_targets
from ..timing import CompileTiming
from ..verify.report import VerifyReport
from .artifact import Artifact
from .cache import aligned_bytes
from .call_sizes import CallSizes, shape_at
from .library import Library
from .pool import OutputPool
from .signature import TensorSpec, dtype_name

STRIDED = torch.strided


class Frame:
    """Arena and argument arrays of one running call; calls at the same time have one each."""

    def __init__(self, inputs: int, outputs: int, arena_bytes: int) -> None:
        self.inputs = (ctypes.c_void_p * max(1, inputs))()
        self.outputs = (ctypes.c_void_p * max(1, outputs))()
        self.memory = aligned_bytes(arena_bytes)
        self.arena = ctypes.c_void_p(self.memory.ctypes.data)

    def set_sizes(self, position: int, values: Sequence[int]) -> None:
        """Put the sizes of the call after the inputs."""
        self.sizes = (ctypes.c_int64 * len(values))(*values)
        self.inputs[position] = ctypes.addressof(self.sizes)


class CompiledModel:
    """A model compiled to C. Calls are thread-safe and never record gradients.

    `program` and `example` (the flat leaves of its arguments) are kept for `verify` and `save`;
    `compile_for` gives the same model for another target. `states` are the buffers that the model
    changes, which are first among its inputs.
    """

    def __init__(
        self,
        artifact: Artifact,
        program: ExportedProgram | None = None,
        example: Sequence[Any] | None = None,
        compile_for: Callable[[str], Artifact] | None = None,
        states: Mapping[str, Tensor] | None = None,
    ) -> None:
        assert artifact.library is not None, "the artifact has not been built"
        signature = artifact.signature
        self.artifact = artifact
        self._program, self._example = program, example
        self._compile_for = compile_for
        self._initial = dict(states or {})
        self.states = {name: value.clone() for name, value in self._initial.items()}
        self._library = Library(artifact.library, artifact.name, artifact.weights, artifact.threads)
        self._call = self._library.program
        self._specs = [
            (k, position, spec, spec.torch_dtype, static_shape(spec))
            for k, (position, spec) in enumerate(
                zip(signature.positions, signature.inputs, strict=True)
            )
        ]
        self._pools = [OutputPool(spec) for spec in signature.results]
        pairs = () if signature.sizes else artifact.in_place
        self._updated = signature.updated_in_place(pairs)
        self._sizes = CallSizes(signature.sizes, signature.inputs) if signature.sizes else None
        self._leaf_count = signature.in_spec.num_leaves
        self._constants = list(signature.constants.items())
        self._only_results = (
            all(
                leaf.kind == "result" and leaf.index == k for k, leaf in enumerate(signature.leaves)
            )
            and len(signature.leaves) == len(signature.results)
            and not signature.mutations
        )
        self._positional = is_flat_positional(signature.in_spec)
        self._single = self._only_results and signature.out_spec.is_leaf()
        self._frames: list[Frame] = []

    @property
    def timing(self) -> CompileTiming:
        """Where the time of the compilation went; of the earlier one, if this was in the cache."""
        artifact = self.artifact
        launches = sum(kernel.calls for kernel in artifact.kernels)
        return CompileTiming(artifact.seconds, len(artifact.kernels), launches, artifact.is_stored)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the model returns for these arguments; InvalidInputError where they do not fit."""
        if self.states:
            args = (tuple(self.states.values()), *args)
        if self._positional and not kwargs and len(args) == self._leaf_count:
            leaves: list[Any] | tuple[Any, ...] = args
        else:
            leaves = self._flatten(args, kwargs)
        if self._constants:
            self._check_constants(leaves)
        frame = self._frames.pop() if self._frames else self._new_frame()
        try:
            pointers = frame.inputs
            copies = []  # keeps contiguous copies alive during the call
            for k, position, spec, dtype, shape in self._specs:
                tensor = leaves[position]
                if not isinstance(tensor, Tensor) or tensor.dtype is not dtype:
                    raise mismatch(spec, tensor)
                if shape is None:
                    if tensor.dim() != len(spec.shape):
                        raise mismatch(spec, tensor)
                elif tensor.shape != shape:
                    raise mismatch(spec, tensor)
                if not tensor.is_cpu or tensor.layout is not STRIDED:
                    raise mismatch(spec, tensor)
                if not tensor.is_contiguous() or tensor.is_neg():
                    tensor = tensor.detach().resolve_neg().contiguous()
                    copies.append(tensor)
                pointers[k] = tensor.data_ptr()
            if self._updated:
                results = self._results_in_place(leaves, pointers)
            elif self._sizes is None:
                results = [pool.take() for pool in self._pools]
            else:
                results = self._sized_results(frame, leaves)
            for k, result in enumerate(results):
                frame.outputs[k] = result.data_ptr()
            library = self._library
            self._call(pointers, frame.outputs, library.weights, frame.arena, library.threads)
        finally:
            self._frames.append(frame)
        if self._single:
            return results[0]
        return self._unflatten(results, leaves)

    def _results_in_place(self, leaves: Sequence[Any], pointers: Any) -> list[Tensor]:
        """Tensors for results; changed inputs that the program reads where they are get their new
        values there."""
        results: list[Tensor] = []
        for j, pool in enumerate(self._pools):
            k = self._updated.get(j)
            tensor: Tensor | None = None if k is None else leaves[self._specs[k][1]]
            if tensor is not None and tensor.data_ptr() == pointers[k]:
                results.append(tensor)
            else:
                results.append(pool.take())
        return results

    def _sized_results(self, frame: Frame, leaves: Sequence[Any]) -> list[Tensor]:
        """Tensors for results whose shapes follow from the inputs; the sizes go into `frame`."""
        assert self._sizes is not None
        signature = self.artifact.signature
        values = self._sizes.bind([leaves[position].shape for position in signature.positions])
        frame.set_sizes(len(signature.inputs), list(values.values()))
        return [
            torch.empty(shape_at(spec, values), dtype=spec.torch_dtype)
            for spec in signature.results
        ]

    def _new_frame(self) -> Frame:
        signature = self.artifact.signature
        return Frame(len(signature.inputs) + 1, len(signature.results), self.artifact.arena_bytes)

    def _flatten(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        spec = self.artifact.signature.in_spec
        ordered = kwargs
        wanted = spec.child(1).context if spec.num_children == 2 else []
        if list(kwargs) != wanted and set(kwargs) == set(wanted):
            ordered = {name: kwargs[name] for name in wanted}
        leaves, found = tree_flatten((args, ordered))
        if found != spec:
            raise InvalidInputError(
                f"the arguments do not have the structure the model was compiled for:\n"
                f"  expected {spec}\n  found    {found}"
            )
        return leaves

    def _check_constants(self, leaves: list[Any] | tuple[Any, ...]) -> None:
        for position, value in self._constants:
            found = leaves[position]
            if type(found) is not type(value) or found != value:
                raise InvalidInputError(
                    f"argument leaf {position} is compiled in: expected {value!r}, got {found!r}; "
                    "compile the model again for another value"
                )

    def _unflatten(self, results: list[Tensor], leaves: list[Any] | tuple[Any, ...]) -> Any:
        signature = self.artifact.signature
        if self._only_results:
            return tree_unflatten(results, signature.out_spec)
        inputs = [leaves[position] for position in signature.positions]
        return tree_unflatten(signature.values(results, inputs), signature.out_spec)

    def reset(self) -> None:
        """Give `states`, the buffers that the model changes from call to call, their first values.

        A model with states serves one caller at a time.
        """
        for name, value in self._initial.items():
            self.states[name].copy_(value)

    @property
    def sources(self) -> Mapping[str, str]:
        """The C files, by name."""
        return self.artifact.sources

    @property
    def report(self) -> VerifyReport | None:
        """The report of the last verification."""
        return self.artifact.report

    def verify(self, seed: int = 0) -> VerifyReport:
        """Check every kernel and the whole model again; VerifyFailure on a mismatch."""
        from ..verify.artifact import verify_artifact  # needs the IR packages, calls do not

        if self._program is None or self._example is None:
            raise PackageError("a model without its original can only be checked by `make check`")
        report = verify_artifact(self.artifact, self._library, self._program, self._example, seed)
        report.check()
        return report

    def save(
        self, directory: str | Path, *, inline_weights: bool = False, portable: bool = False
    ) -> Path:
        """Write the standalone source package; PackageError where that fails.

        A `portable` package holds code for less able CPUs too, down to plain C, and chooses at run
        time. `inline_weights` are C arrays, for machines without files.
        """
        from .save import save_artifact  # needs the package writer, calls do not

        if self._program is None or self._example is None or self._compile_for is None:
            raise PackageError("a loaded package cannot be saved again; copy its folder")
        targets = portable_targets(self.artifact.machine) if portable else ()
        others = [self._compile_for(target) for target in targets]
        return save_artifact(
            self.artifact,
            directory,
            self._program,
            self._example,
            inline_weights,
            others,
            list(self._initial.values()),
        )

    def __repr__(self) -> str:
        signature = self.artifact.signature
        inputs = ", ".join(f"{spec.name}: {spec}" for spec in signature.inputs)
        outputs = ", ".join(map(str, signature.results))
        return f"CompiledModel({self.artifact.name}: ({inputs}) -> ({outputs}))"


def static_shape(spec: TensorSpec) -> torch.Size | None:
    """The one shape that an input may have; None where sizes are known at run time only."""
    return None if spec.is_dynamic else torch.Size(spec.shape)


def is_flat_positional(spec: Any) -> bool:
    """Whether the arguments are a plain sequence of leaves without keywords."""
    if spec.num_children != 2:
        return False
    args, kwargs = spec.children()
    return kwargs.num_leaves == 0 and all(child.is_leaf() for child in args.children())


def mismatch(spec: TensorSpec, found: Any) -> InvalidInputError:
    """The error for an input that is not what `spec` says."""
    if not isinstance(found, Tensor):
        text = f"{type(found).__name__} {found!r}"
    else:
        text = f"{dtype_name(found.dtype)}{list(found.shape)}"
        text += "" if found.is_cpu else f" on {found.device}"
        text += "" if found.layout is torch.strided else f" with layout {found.layout}"
    return InvalidInputError(
        f"input {spec.name!r}: expected a dense CPU tensor {spec}, found {text}. A compiled model "
        "takes exactly the types and shapes it was compiled for"
    )
