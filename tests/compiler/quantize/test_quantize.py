"""Quantizers against brute force, and compiled quantized models against eager ones."""

from __future__ import annotations

import numpy as np
import pytest
import tilecast
import torch
from tilecast.compiler.quantize import quantize, quantize_matrix, quantized_weights
from tilecast.compiler.quantize.gptq import gptq_matrix
from tilecast.dialects.errors import InvalidInputError, OptionError
from tilecast.dialects.quant import parse_format
from tilecast.passes.graph.quantize_weights import without_specials

FORMATS = ["u4:g32", "i3:g16", "u2:g32:zf16", "bipolar2", "ternary:g64", "e2m1:mx", "nf4:g64"]
FORMATS += ["bfp4:g16", "e4m3", "kmeans3:g32", "pow3", "u8:tensor", "i8:g64:sbf16", "u1:g8"]


def weights(seed: int = 0, shape: tuple[int, int] = (9, 70)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("spelling", FORMATS)
def test_every_code_is_the_nearest_one(spelling: str) -> None:
    weight = weights()
    found = quantize_matrix(weight, spelling)
    format = found.format
    group = format.group or weight.shape[1]
    levels = found.levels if found.levels is not None else format.element.levels
    usable = levels if found.levels is not None else format.element.usable
    usable = usable[np.isfinite(usable)].astype(np.float64)
    values = found.dequantize(np.float64)
    scale = np.repeat(values_of_scales(found), group, axis=1)[:, : weight.shape[1]]
    for n, k in np.ndindex(weight.shape):
        zero = levels[found.codes[n, k]] - values[n, k] / scale[n, k]
        best = np.abs((usable - zero) * scale[n, k] - weight[n, k]).min()
        assert abs(values[n, k] - weight[n, k]) <= best + 1e-6


def values_of_scales(found: object) -> np.ndarray:
    from tilecast.dialects.quant.scale_types import SCALE_TYPES

    return SCALE_TYPES[found.format.scale].decode(found.scales).astype(np.float64)  # type: ignore[attr-defined]


@pytest.mark.parametrize("spelling", ["u3:g64", "i2:g32", "ternary", "e2m1:g64"])
def test_clipping_lowers_the_error(spelling: str) -> None:
    weight = weights(1, (16, 128))
    errors = [
        np.square(quantize_matrix(weight, spelling, method).dequantize() - weight).sum()
        for method in ("rtn", "mse")
    ]
    assert errors[1] < errors[0]


def test_a_constant_matrix_and_zeros_survive() -> None:
    for spelling in FORMATS:
        assert np.isfinite(
            quantize_matrix(np.zeros((3, 40), np.float32), spelling).dequantize()
        ).all()
        assert np.isfinite(
            quantize_matrix(np.ones((3, 40), np.float32), spelling).dequantize()
        ).all()
    assert (quantize_matrix(np.zeros((3, 40), np.float32), "u4:g32").dequantize() == 0).all()


def test_nan_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="infinities or NaN"):
        quantize_matrix(np.full((2, 2), np.nan, np.float32), "u4")


def test_floats_without_special_codes_are_finite() -> None:
    tensor = quantize_matrix(weights(), "e4m3")
    assert str(without_specials(tensor)) == "e4m3finite:channel:sf32:znone"
    element = parse_format("e4m3finite").element
    np.testing.assert_array_equal(
        element.levels[tensor.codes], tensor.format.element.levels[tensor.codes]
    )


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(70, 50), torch.nn.ReLU(), torch.nn.Linear(50, 37, bias=False)]
    return torch.nn.Sequential(*layers).eval()


def test_patterns_choose_formats() -> None:
    found = quantized_weights(quantize(model(), {"2": None, "*": "i3:g32"}))
    assert {name: str(t.format) for name, t in found.items()} == {"0.weight": "i3:g32:sf16:znone"}
    with pytest.raises(OptionError, match="no linear layer of floats matches"):
        quantize(model(), {"head": "u4"})


def test_eager_computes_with_the_dequantized_weights() -> None:
    source = model()
    found = quantize(source, "u4:g32")
    tensor = quantized_weights(found)["0.weight"]
    assert np.array_equal(found[0].weight.detach().numpy(), tensor.dequantize())
    assert not torch.equal(source[0].weight, found[0].weight)


def test_a_model_quantized_in_place_is_the_same() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.Linear(8, 3))
    other, memory = quantize(model, "u4:g32"), model[0].weight.data_ptr()
    assert quantize(model, "u4:g32", in_place=True) is model
    assert model[0].weight.data_ptr() == memory
    x = torch.randn(2, 64)
    assert torch.equal(model(x), other(x))
    assert quantized_weights(model).keys() == quantized_weights(other).keys()
    with pytest.raises(OptionError, match="in_place excludes"):
        quantize(model, "u4:g32", in_place=True, rotate=True)


def test_a_quantized_model_compiles_to_its_codes() -> None:
    x = torch.randn(2, 3, 70)
    quantized = quantize(model(), "u4:g32", method="mse")
    fast = tilecast.compile(quantized, (x,), threads=1, cache=False)
    torch.testing.assert_close(fast(x), quantized(x))
    text = str(tilecast.compile(quantized, (x,), stop_after="simplify"))
    assert text.count("quant.linear") == 2
    assert "50x70xf32" not in text


def test_compile_takes_a_weight_format() -> None:
    x = torch.randn(1, 70)
    spec = "2=none,*=e2m1:mx"
    fast = tilecast.compile(model(), (x,), weights=spec, threads=1, cache=False)
    expected = quantize(model(), {"2": None, "*": "e2m1:mx"})
    torch.testing.assert_close(fast(x), expected(x))
    assert not torch.equal(expected(x), model()(x))


def test_a_changed_weight_is_noticed() -> None:
    quantized = quantize(model(), "u4")
    with torch.no_grad():
        quantized[0].weight.mul_(2)
    with pytest.raises(InvalidInputError, match="has changed since it was quantized"):
        tilecast.compile(quantized, (torch.randn(1, 70),))


def correlated(seed: int, samples: int, columns: int) -> np.ndarray:
    """Inputs of unequal size that depend on each other, as those of real layers do."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(columns, columns)) * rng.lognormal(sigma=1.0, size=columns)
    return (rng.normal(size=(samples, columns)) @ mixing).astype(np.float32)


@pytest.mark.parametrize(
    "spelling", ["u3:g16", "i2", "ternary:g32", "nf4:g16", "e2m1:mx", "kmeans3"]
)
def test_moving_errors_lowers_that_of_the_product(spelling: str) -> None:
    """On inputs that were not calibrated with, against clipped nearest codes."""
    weight, format = weights(2, (24, 64)), parse_format(spelling)
    inputs = correlated(5, 1024, 64)
    seen, new = inputs[::2], inputs[1::2]
    moments = seen.astype(np.float64).T @ seen.astype(np.float64)
    errors = []
    for tensor in (
        quantize_matrix(weight, format, "mse"),
        gptq_matrix(weight, format, moments),
    ):
        difference = tensor.dequantize(np.float64) - weight
        errors.append(np.square(new @ difference.T).mean())
    assert errors[1] < 0.8 * errors[0]


def test_calibration_of_a_module_and_of_a_program_agree() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(24, 16), torch.nn.GELU(), torch.nn.Linear(16, 8))
    inputs = torch.from_numpy(correlated(3, 400, 24)) / 8
    data = [(rows,) for rows in inputs.split(50)]
    program = torch.export.export(model.eval(), data[0])
    direct = quantize(model, "u3:g16", calibration=data)
    exported = quantize(program, "u3:g16", calibration=data)
    for name, tensor in quantized_weights(direct).items():
        np.testing.assert_array_equal(tensor.codes, quantized_weights(exported)[name].codes)
    rounded = quantize(model, "u3:g16")
    with torch.no_grad():
        error = [(m(inputs) - model(inputs)).square().mean() for m in (direct, rounded)]
    assert error[0] < error[1]


def test_calibration_errors() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(24, 16))
    with pytest.raises(OptionError, match="needs calibration"):
        quantize(model, "u4", method="gptq")
    with pytest.raises(InvalidInputError, match="no samples"):
        quantize(model, "u4", calibration=[])
    with pytest.raises(InvalidInputError, match="expected tuples"):
        quantize(model, "u4", calibration=[torch.zeros(1, 24)])  # type: ignore[list-item]
