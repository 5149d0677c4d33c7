"""Quantize the linear layers of a model by patterns of names.

The result is a model like the given one whose weights have the values that the codes stand for, so
that eager PyTorch computes what the compiled program has to; the codes travel with it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from ...dialects.errors import InvalidInputError, OptionError
from ...dialects.quant import QuantizedTensor, WeightFormat, parse_format
from ..frontend.library_operators import with_plain_operators
from ..frontend.tensor_subclasses import with_inner_tensors
from .calibration import Calibration, Doubles, input_moments
from .gptq import gptq_matrix
from .low_rank import with_low_rank
from .outliers import with_outliers
from .quantizers import quantize_matrix
from .rotation import rotated
from .smoothing import smoothed
from .stored_integers import with_stored_integers

Method = Literal["rtn", "mse", "gptq"]
METHODS: tuple[Method, ...] = get_args(Method)
Spec = str | Mapping[str, str | None]
ATTRIBUTE = "_tilecast_quantized"
ACTIVATIONS = "_tilecast_activations"
FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def quantize(
    model: Any,
    spec: Spec,
    *,
    method: Method | None = None,
    calibration: Calibration | None = None,
    smooth: float | None = None,
    rotate: bool = False,
    outliers: float | None = None,
    low_rank: int | None = None,
    in_place: bool = False,
) -> Any:
    """A copy of `model` (a module or an ExportedProgram) with quantized weights in linear layers.

    `spec` is a format such as "u4:g128", or a mapping from patterns of layer names to formats, the
    first match counting: {"*.head": None, "layers.*": "i3:g64", "*": "u4:g128"}. None leaves a
    layer as it is. `method` is "rtn" (to nearest), "mse" (ranges clipped) or "gptq" (errors moved
    into later columns, the default with calibration). `calibration` are tuples of positional
    arguments that the model is run on; "mse" then weighs errors by how large inputs are.
    `smooth` (0 to 1, 0.5 being usual) first moves so much of the range of activations into weights
    as folds into what comes before, for activations that are to be rounded. `rotate` rotates what
    flows between layers wherever that cancels, so that no column stands out; a module is traced
    with the first calibration tuple. `outliers` keeps so large a share of the columns, those that
    meet the largest activations, in f32; layers of modules become two then. `low_rank` adds to each
    layer of a module a product of so low a rank that gives back most of what rounding took.
    With `in_place` the model itself gets the weights, one after the other: models that fit into
    memory once.
    OptionError where no layer is quantized.
    """
    rules = parse_spec(spec)
    method = method or ("rtn" if calibration is None else "gptq")
    if method not in METHODS:
        raise OptionError(f"quantizer {method!r}: expected one of {', '.join(METHODS)}")
    if method == "gptq" and calibration is None:
        raise OptionError('method="gptq" needs calibration: tuples of inputs to run the model on')
    if in_place and (rotate or smooth is not None or outliers is not None or low_rank is not None):
        raise OptionError("in_place excludes smooth, rotate, outliers, and low_rank: they copy")
    if smooth is not None:
        if calibration is None or quantized_weights(model):
            raise OptionError("smooth needs calibration, and a model that is not quantized yet")
        calibration = list(calibration)
        model, _ = smoothed(model, calibration, smooth)
    if rotate:
        if smooth is not None or quantized_weights(model):
            raise OptionError("rotate needs a model that is not quantized yet, and excludes smooth")
        if calibration is not None:
            calibration = list(calibration)
        model = rotated(model, calibration[0] if calibration else None)
    weights = linear_weights(model)
    formats = {name: format_for(rules, name.removesuffix(".weight")) for name in weights}
    chosen = {name: format for name, format in formats.items() if format is not None}
    if not chosen:
        raise OptionError(f"no linear layer of floats matches the weight formats {spec!r}")
    if outliers is not None:
        if calibration is None or not isinstance(model, nn.Module):
            raise OptionError("outliers needs calibration, and a torch.nn.Module to quantize")
        calibration = list(calibration)
        own = [name for name in chosen if is_own(weights, name)]
        seen_before = input_moments(model, calibration, own)
        model, renamed = with_outliers(model, seen_before, outliers)
        chosen = {renamed.get(name, name): format for name, format in chosen.items()}
        weights = linear_weights(model)
    moments = None if calibration is None else input_moments(model, calibration, list(chosen))
    tensors: dict[str, QuantizedTensor] = {}
    shared: dict[int, QuantizedTensor] = {}
    for name, format in chosen.items():
        key = weights[name].data_ptr()
        if key not in shared:
            array = np.ascontiguousarray(weights[name].detach().cpu().float().numpy())
            seen = None if moments is None else moments[name]
            shared[key] = quantized(array, format, method, seen)
            if in_place:
                weights[name].detach().copy_(values_of(shared[key], weights[name]))
        tensors[name] = shared[key]
    if low_rank is not None:
        if not isinstance(model, nn.Module):
            raise OptionError("low_rank needs a torch.nn.Module to quantize")
        single = {name: tensors.pop(name) for name in list(tensors) if is_own(weights, name)}
        model, corrected = with_low_rank(model, single, low_rank, moments)
        tensors |= corrected
    if in_place:
        setattr(model, ATTRIBUTE, {**quantized_weights(model), **tensors})
        return model
    return with_tensors(model, tensors)


def is_own(weights: Mapping[str, Tensor], name: str) -> bool:
    """Whether no other layer has this weight too."""
    place = weights[name].data_ptr()
    return sum(other.data_ptr() == place for other in weights.values()) == 1


def quantized(
    weight: Any, format: WeightFormat, method: Method, moments: Doubles | None
) -> QuantizedTensor:
    """One matrix by one method."""
    if method == "gptq":
        assert moments is not None
        return gptq_matrix(weight, format, moments)
    importance = None if moments is None else np.diag(moments)
    return quantize_matrix(weight, format, method, importance)


def with_tensors(model: Any, tensors: Mapping[str, QuantizedTensor]) -> Any:
    """A copy of `model` whose parameters called as in `tensors` have those codes.

    InvalidInputError where the model has no linear layer of that name and shape.
    """
    weights = linear_weights(model)
    for name, tensor in tensors.items():
        if name not in weights:
            raise InvalidInputError(
                f"the model has no linear layer with the weight {name!r}; it has "
                f"{', '.join(weights) or 'none'}"
            )
        if tuple(weights[name].shape) != tensor.shape:
            raise InvalidInputError(
                f"{name}: expected the shape {tuple(weights[name].shape)} of the model, found "
                f"{tensor.shape}"
            )
    found = with_weights(model, tensors)
    setattr(found, ATTRIBUTE, {**quantized_weights(model), **tensors})
    return found


def linear_weights(model: Any) -> dict[str, Tensor]:
    """The weights of linear layers of 16- or 32-bit floats, by parameter name."""
    if isinstance(model, nn.Module):
        names = module_weights(model)
        state: Mapping[str, Any] = model.state_dict(keep_vars=True)
    elif isinstance(model, ExportedProgram):
        names, state = program_weights(model), model.state_dict
    else:
        raise InvalidInputError(
            f"expected a torch.nn.Module or an ExportedProgram, found {type(model).__name__}"
        )
    return {n: state[n] for n in names if state[n].dtype in FLOATS and state[n].numel()}


def quantized_weights(model: Any) -> dict[str, QuantizedTensor]:
    """The quantized weights of a model that `quantize` made, by parameter name."""
    found: dict[str, QuantizedTensor] = getattr(model, ATTRIBUTE, {})
    return found


def with_quantized_weights(
    program: ExportedProgram, model: Any, spec: Spec | None, activations: str = "f32"
) -> ExportedProgram:
    """`program`, exported from `model`, with its codes and those that `spec` asks for.

    Weights that the program itself computes from integers keep those, unless `spec` says otherwise.

    `activations` says how products with them treat the other operand.
    """
    program = with_plain_operators(with_inner_tensors(program))
    known = quantized_weights(model)
    for name, tensor in known.items():
        weight = program.state_dict.get(name)
        if weight is None or not torch.equal(
            torch.nan_to_num(weight.detach().cpu()), torch.nan_to_num(values_of(tensor, weight))
        ):
            raise InvalidInputError(
                f"the weight {name} has changed since it was quantized; quantize the model again"
            )
    program, imported = with_stored_integers(program)
    setattr(program, ATTRIBUTE, {**known, **imported})
    found: ExportedProgram = program if spec is None else quantize(program, spec)
    if activations != "f32" and not quantized_weights(found):
        raise OptionError(
            f"activations={activations!r} needs quantized weights: give weights='u4:g128' or alike"
        )
    setattr(found, ACTIVATIONS, activations)
    return found


def activations_of(program: Any) -> str:
    """How products with quantized weights treat activations."""
    found: str = getattr(program, ACTIVATIONS, "f32")
    return found


def with_weights(model: Any, tensors: Mapping[str, QuantizedTensor]) -> Any:
    """A copy of `model` with the dequantized values; weights that share memory still do."""
    values: dict[int, nn.Parameter] = {}
    weights = linear_weights(model)
    for name, tensor in tensors.items():
        array = values_of(tensor, weights[name])
        values.setdefault(id(tensor), nn.Parameter(array, requires_grad=False))
    if isinstance(model, ExportedProgram):
        program = copy.copy(model)
        program._state_dict = dict(model.state_dict)
        program._state_dict.update({name: values[id(t)] for name, t in tensors.items()})
        return program
    found = copy.deepcopy(model)
    for name, tensor in tensors.items():
        owner, _, leaf = name.rpartition(".")
        setattr(found.get_submodule(owner), leaf, values[id(tensor)])
    return found


def values_of(tensor: QuantizedTensor, weight: Tensor) -> Tensor:
    """What the codes stand for, in the type of `weight`."""
    return torch.from_numpy(tensor.dequantize()).to(weight.dtype)


def module_weights(model: nn.Module) -> list[str]:
    """The names of the weights of linear layers."""
    layers = [name for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    return [f"{name}.weight" if name else "weight" for name in layers]


def program_weights(program: ExportedProgram) -> list[str]:
    """The names of the parameters that `aten.linear` reads as its weight."""
    specs = program.graph_signature.input_specs
    targets = {s.arg.name: s.target for s in specs if s.target in program.state_dict}
    nodes = [node for node in program.graph.nodes if str(node.target) == "aten.linear.default"]
    names = [targets[n.args[1].name] for n in nodes if n.args[1].name in targets]
    return [name for name in dict.fromkeys(names) if program.state_dict[name].ndim == 2]


def parse_spec(spec: Spec) -> list[tuple[str, WeightFormat | None]]:
    """(pattern, format) in order of precedence; one format alone is for all layers.

    As text, patterns and formats are separated by '=' and pairs by ',': "head=none,*=u4:g128".
    """
    if isinstance(spec, str):
        if "=" not in spec:
            return [("*", parse_format(spec))]
        pairs = [part.partition("=") for part in spec.split(",")]
        spec = {name.strip(): None if form.strip() == "none" else form for name, _, form in pairs}
    return [(name, None if form is None else parse_format(form)) for name, form in spec.items()]


def format_for(rules: list[tuple[str, WeightFormat | None]], name: str) -> WeightFormat | None:
    """The format of the layer called `name`."""
    return next((format for pattern, format in rules if fnmatchcase(name, pattern)), None)
