"""What an imported program says about its inputs, outputs, weights and source lines."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tilecast.compiler.frontend.export import export_model, load_exported
from tilecast.compiler.frontend.imported_model import ImportedModel, OutputSpec
from tilecast.compiler.frontend.program import import_program
from tilecast.compiler.frontend.states import lift_states
from tilecast.dialects.errors import InvalidInputError, UnsupportedOperatorError
from tilecast.dialects.graph import WeightOp
from tilecast.dialects.reference.graph import evaluate
from torch import Tensor, nn

X = torch.randn(2, 3)


class Wrapped(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def imported(module: nn.Module, *inputs: Any, **kwargs: Any) -> ImportedModel:
    return import_program(export_model(module, inputs, kwargs))


class Named(nn.Module):
    def forward(self, input: Tensor, double: Tensor, scale: float, *, mask: Tensor) -> Tensor:
        return input * scale + double.masked_fill(mask, 0.0)


def test_arguments_are_the_tensors_in_order_under_c_names() -> None:
    model = imported(Named(), X, X, 2.0, mask=X > 0)
    assert [spec.name for spec in model.inputs] == ["input", "_double", "mask"]
    assert [spec.dtype for spec in model.inputs] == [torch.float32, torch.float32, torch.bool]
    assert [spec.shape for spec in model.inputs] == [(2, 3)] * 3
    assert model.input_positions == (0, 1, 3)
    assert "%_double: tensor<2x3xf32>" in str(model.module)


def test_nested_inputs_are_flattened() -> None:
    model = imported(Wrapped(lambda d: d["a"] + d["b"][0]), {"a": X, "b": [X * 2]})
    (result,) = evaluate(model.module, model.weights, [X.numpy(), 2 * X.numpy()])
    np.testing.assert_allclose(result, 3 * X.double().numpy(), rtol=1e-6)
    assert model.in_spec.num_leaves == 2


def test_outputs_are_results_inputs_or_constants() -> None:
    def function(x: Tensor, y: Tensor) -> Any:
        z = x + y
        return {"z": z, "again": z, "y": y, "none": None, "number": 3, "dropped": x.contiguous()}

    model = imported(Wrapped(function), X, X)
    assert model.outputs == (
        OutputSpec("result", 0),
        OutputSpec("result", 0),
        OutputSpec("input", 1),
        OutputSpec("constant", constant=None),
        OutputSpec("constant", constant=3),
        OutputSpec("input", 0),
    )
    leaves = torch.utils._pytree.tree_unflatten(list(range(6)), model.out_spec)
    assert leaves == {"z": 0, "again": 1, "y": 2, "none": 3, "number": 4, "dropped": 5}


def test_one_tensor_given_twice_is_two_inputs() -> None:
    model = imported(Wrapped(torch.sub), X, X)
    (result,) = evaluate(model.module, model.weights, [X.numpy(), np.zeros((2, 3))])
    np.testing.assert_allclose(result, X.numpy())


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("offset", torch.ones(7), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.embed(ids)) + self.offset + torch.tensor([1.0] * 7)


def test_tied_weights_are_stored_once_and_all_kinds_of_constants_are_stored() -> None:
    model = imported(Tied(), torch.tensor([[1, 2]]))
    symbols = [
        op.symbol.root_reference.data for op in model.module.walk() if isinstance(op, WeightOp)
    ]
    assert sorted(symbols) == sorted(model.weights)
    assert len(model.weights) == 3
    assert sum("weight" in symbol for symbol in symbols) == 1


def test_ops_carry_module_path_and_relative_source_line() -> None:
    model = imported(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), X)
    locations = [op.attributes["loc"].data for op in model.module.walk() if "loc" in op.attributes]
    assert any(loc.startswith("0 @ torch/nn/modules/") for loc in locations)
    assert any(loc.startswith("1 @ ") for loc in locations)
    assert not any("/home" in loc or loc.split("@ ")[1].startswith("/") for loc in locations)


def test_the_innermost_line_outside_torch_is_named() -> None:
    model = imported(Wrapped(lambda x: nn.functional.gelu(x)), X)
    (loc,) = [op.attributes["loc"].data for op in model.module.walk() if "loc" in op.attributes]
    assert loc.startswith("@ test_program.py:")


@pytest.mark.parametrize("projected", [0, 2])
def test_lstm_layers_import(projected: int) -> None:
    torch.manual_seed(0)
    bidirectional = projected > 0
    lstm = nn.LSTM(3, 4, 2, True, True, bidirectional=bidirectional, proj_size=projected)
    x = torch.randn(2, 6, 3)
    model = imported(lstm, x)
    results = evaluate(model.module, model.weights, [x.numpy()])
    steps, (hidden, cell) = lstm.double()(x.double())
    for result, expected in zip(results, (steps, hidden, cell), strict=True):
        np.testing.assert_allclose(result, expected.detach().numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cell", [nn.GRU, nn.RNN])
def test_other_recurrent_networks_import(cell: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = cell(3, 4, bidirectional=True)
    x = torch.randn(5, 2, 3)
    model = imported(network, x)
    results = evaluate(model.module, model.weights, [x.numpy()])
    expected = network.double()(x.double())[0].detach().numpy()
    np.testing.assert_allclose(results[0], expected, rtol=1e-12, atol=1e-14)


def test_all_unsupported_operators_are_listed_at_once() -> None:
    def function(x: Tensor) -> Tensor:
        noise = torch.bernoulli(x.sigmoid())
        return torch.special.zeta(x, x) + noise + torch.igamma(x, x) + torch.igamma(x, noise)

    with pytest.raises(UnsupportedOperatorError) as caught:
        imported(Wrapped(function), X)
    text = str(caught.value)
    assert "3 operators" in text
    assert "aten.special_zeta.default (1x)" in text
    assert "aten.igamma.default (2x)" in text
    assert "aten.bernoulli.default" in text
    assert "test_program.py:" in text


def test_unsupported_use_of_a_supported_operator_says_why() -> None:
    def function(x: Tensor) -> Tensor:
        attended = nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5)
        return attended.sum() + nn.functional.dropout(x.sum(), 0.5)

    with pytest.raises(UnsupportedOperatorError) as caught:
        imported(Wrapped(function), torch.randn(1, 2, 7, 7))
    assert "attention dropout is random" in str(caught.value)
    assert "dropout in training mode is random" in str(caught.value)


def test_unsupported_element_type_is_reported_with_the_operator() -> None:
    with pytest.raises(UnsupportedOperatorError, match="complex results are not supported"):
        imported(Wrapped(lambda x: x.to(torch.complex64) * 2), X)


def test_shapes_that_depend_on_data_are_reported_where_they_arise() -> None:
    with pytest.raises(UnsupportedOperatorError) as caught:
        imported(Wrapped(lambda x: x[x > 0].exp().sum() + x.nonzero().sum()), X)
    text = str(caught.value)
    assert "2 operators" in text
    assert "aten.index.Tensor" in text
    assert "aten.nonzero" in text


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.count.add_(1)
        return x * self.count


def test_changed_buffers_become_inputs() -> None:
    program, states = lift_states(torch.export.export(Counting(), (X,)))
    assert list(states) == ["count"]
    model = import_program(program)
    assert [spec.name for spec in model.inputs][1:] == ["x"]
    assert [changed for _, changed in model.mutations] == [0]


def test_new_values_of_changed_inputs_are_results() -> None:
    model = imported(Wrapped(lambda x, y: y.mul_(2).sum()), X, X + 1)
    ((value, changed),) = model.mutations
    assert changed == 1
    found = evaluate(model.module, model.weights, [X.numpy(), X.numpy() + 1])
    np.testing.assert_allclose(found[value.index], 2 * (X.numpy() + 1))


def test_dynamic_dimensions_are_symbols_with_bounds() -> None:
    dynamic = ({0: torch.export.Dim("batch", min=1, max=8)},)
    program = torch.export.export(nn.Linear(3, 4), (X,), dynamic_shapes=dynamic)
    (spec,) = import_program(program).inputs
    assert [str(extent) for extent in spec.shape] == ["batch[1..8]", "3"]
    unbounded = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(nn.Linear(3, 4), (X,), dynamic_shapes=unbounded)
    with pytest.raises(InvalidInputError, match="batch has no upper bound"):
        import_program(program)


def test_export_restores_the_mode_of_every_module() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 3))
    model[1].eval()
    export_model(model, (X,))
    assert model.training
    assert model[0].training
    assert not model[1].training


def test_models_that_cannot_be_traced_are_a_clear_error() -> None:
    def function(x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x

    with pytest.raises(InvalidInputError, match="hint"):
        export_model(Wrapped(function), (X,))


@pytest.mark.parametrize("inputs", [(torch.randn(2, 5),), ()])
def test_wrong_example_inputs_are_a_clear_error(inputs: tuple[Tensor, ...]) -> None:
    with pytest.raises(InvalidInputError, match="cannot trace"):
        export_model(nn.Linear(3, 4), inputs)


def test_a_single_tensor_instead_of_a_tuple_is_a_clear_error() -> None:
    with pytest.raises(InvalidInputError, match="tuple"):
        export_model(nn.Linear(3, 4), X)


def test_a_function_is_no_module() -> None:
    with pytest.raises(InvalidInputError, match=r"torch\.nn\.Module"):
        export_model(lambda x: x, (X,))  # type: ignore[arg-type]


def test_saved_programs_load(tmp_path: Path) -> None:
    file = tmp_path / "model.pt2"
    torch.export.save(export_model(nn.Linear(3, 4), (X,)), file)
    model = import_program(load_exported(file))
    assert model.inputs[0].shape == (2, 3)


def test_files_that_are_no_program_are_one_clear_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.pt2"
    file.write_bytes(b"this is no model")
    with pytest.raises(InvalidInputError, match="no exported program"):
        load_exported(file)
    assert capfd.readouterr().err == ""
    with pytest.raises(InvalidInputError, match="no such file"):
        load_exported(tmp_path / "missing.pt2")
