"""An ExportedProgram to a `graph` module, its weights, and what its inputs and outputs are."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.fx import GraphModule, Node
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Region, SSAValue

from ...dialects.errors import LoweringError, SymbolicSizeError, UnsupportedOperatorError
from ...dialects.graph import Tensor, WeightOp, extents_of_type
from ...dialects.graph.control import program_function
from ...dialects.weights import WeightStore
from .builder import Builder
from .carried_numbers import computes_with_carried, import_number, is_number
from .complex_parts import with_real_parts
from .control_flow import CONTROL_FLOW, tensors
from .coverage import Gaps, decompose_missing
from .decompositions import operator_name
from .imported_model import ImportedModel, OutputSpec, TensorSpec
from .location import location
from .rules import RULES, UnsupportedUse, bind, load_rules
from .size_conditions import narrowed_ranges
from .symbolic_sizes import SymbolicSizes, symbol_names
from .tensor_types import c_identifier, has_static_shape, tensor_type, to_numpy, unique

STORED = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)


def import_program(program: ExportedProgram) -> ImportedModel:
    """Import `program`; UnsupportedOperatorError lists all that cannot be."""
    load_rules()
    narrowed = narrowed_ranges(program)  # taking operators apart loses the conditions
    program = with_real_parts(decompose_missing(program))
    gaps = Gaps()
    importer = _Importer(program, gaps, narrowed)
    importer.run()
    gaps.check()
    return importer.model()


class _Importer:
    """Walks the fx graph once, with a value for every node."""

    def __init__(
        self,
        program: ExportedProgram,
        gaps: Gaps,
        narrowed: Mapping[str, tuple[int, int]],
        graph_module: GraphModule | None = None,
        weights: WeightStore | None = None,
    ) -> None:
        self.program = program
        self.gaps = gaps
        self.narrowed = narrowed
        self.graph_module = graph_module or program.graph_module
        self.weights = WeightStore() if weights is None else weights
        self.functions: dict[str, FuncOp] = {}  # what control flow calls
        self.taken = {"main"}
        self.block = Block()
        self.builder = Builder(self.block, self.weights)
        self.values: dict[Node, Any] = {}
        self.lost: set[Node] = set()  # nodes whose shapes are not known, or come from such nodes
        self.inputs: list[TensorSpec] = []
        self.positions: list[int] = []
        self.outputs: list[OutputSpec] = []
        self.mutations: list[tuple[OutputSpec, int]] = []
        self.results: list[SSAValue] = []
        self.sizes = SymbolicSizes(program, self._symbol_names(), narrowed)

    def run(self) -> None:
        self._import_placeholders()
        self._import_calls()
        self._import_outputs()

    def _import_calls(self) -> None:
        for node in self.graph_module.graph.nodes:
            if node.op == "call_function":
                self.values[node] = self._import_call(node)
            elif node.op == "get_attr":
                constant = getattr(self.graph_module, str(node.target), None)
                if isinstance(constant, torch.Tensor):
                    self.values[node] = self.builder.constant(node.name, to_numpy(constant))

    def _symbol_names(self) -> dict[Any, str]:
        """Names for the symbols in the extents of inputs."""
        extents = [
            (f"{node.name}_dim{d}", extent)
            for node in self.program.graph.nodes
            if node.op == "placeholder" and isinstance(node.meta.get("val"), torch.Tensor)
            for d, extent in enumerate(node.meta["val"].shape)
        ]
        return symbol_names(extents)

    def _type(self, fake: torch.Tensor) -> Tensor:
        return tensor_type(fake, self.sizes.shape(fake))

    def _types(self, fakes: Any) -> list[Tensor | None]:
        """The type of each result of a node; None for what is no tensor."""
        listed = fakes if isinstance(fakes, (list, tuple)) else [fakes]
        return [self._type(f) if isinstance(f, torch.Tensor) else None for f in listed]

    def model(self) -> ImportedModel:
        arguments = [argument.type for argument in self.block.args]
        results = [value.type for value in self.results]
        self.block.add_op(ReturnOp(*self.results))
        main = FuncOp("main", (arguments, results), Region(self.block))
        module = ModuleOp([main, *self.functions.values()])
        module.verify()
        spec = self.program.call_spec
        assert spec.in_spec is not None
        assert spec.out_spec is not None
        return ImportedModel(
            module,
            self.weights,
            tuple(self.inputs),
            tuple(self.outputs),
            spec.in_spec,
            spec.out_spec,
            tuple(self.positions),
            tuple(self.mutations),
        )

    def _import_placeholders(self) -> None:
        """User tensors become arguments of main, stored tensors become weights."""
        nodes = {node.name: node for node in self.program.graph.nodes if node.op == "placeholder"}
        taken: set[str] = set()
        stored: dict[tuple[object, ...], SSAValue] = {}
        position = 0
        for spec in self.program.graph_signature.input_specs:
            node = nodes[spec.arg.name]
            if spec.kind in STORED:
                assert spec.target is not None
                self.values[node] = self._stored(spec.target, stored)
                continue
            if spec.kind is InputKind.TOKEN:  # operators with effects, which have no rules, name it
                self.values[node] = None
                continue
            if spec.kind is not InputKind.USER_INPUT:
                raise UnsupportedOperatorError(f"input {spec.arg.name} of kind {spec.kind.name}")
            if isinstance(spec.arg, ConstantArgument):
                self.values[node] = spec.arg.value
            else:
                self._add_argument(node, position, taken)
            position += 1

    def _add_argument(self, node: Node, position: int, taken: set[str]) -> None:
        fake = node.meta["val"]
        if not isinstance(fake, torch.Tensor):
            raise UnsupportedOperatorError(
                f"argument {node.name} is a number that may vary; make it a tensor, or a constant"
            )
        name = unique(c_identifier(node.name), taken)
        shape = self.sizes.shape(fake)
        argument = self.block.insert_arg(tensor_type(fake, shape), len(self.block.args))
        argument.name_hint = name
        self.values[node] = argument
        self.inputs.append(TensorSpec(name, fake.dtype, shape))
        self.positions.append(position)

    def _stored(self, target: str, stored: dict[tuple[object, ...], SSAValue]) -> SSAValue:
        """A weight; tensors that share memory share one symbol (tied embeddings)."""
        tensor = self.program.state_dict.get(target)
        if tensor is None:
            tensor = self.program.constants[target]
        key = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() == 0 or key not in stored:
            stored[key] = self.builder.constant(target, to_numpy(tensor))
        return stored[key]

    def _import_call(self, node: Node) -> Any:
        if node.target is operator.getitem:
            source, index = node.args
            assert isinstance(source, Node)
            if source in self.lost:
                self.lost.add(node)
            value = self.values[source][index]
            if value is None and node.users:
                self.gaps.add(source, f"its result {index} is not computed")
                return self._stand_in(node.meta["val"])
            return value
        fakes = node.meta.get("val")
        if computes_with_carried(node, self.translate):
            return self._carried_number(node)
        if isinstance(fakes, torch.SymInt):
            return self._size(node, fakes)
        if any(source in self.lost for source in node.all_input_nodes):
            self.lost.add(node)
            return self._stand_in(fakes)
        rule = RULES.get(operator_name(node))
        if isinstance(node.target, HigherOrderOperator) and operator_name(node) in CONTROL_FLOW:
            return self._import_control_flow(node, fakes)
        if rule is None:
            self.gaps.add(node)
            self._note_lost(node, fakes)
            return self._stand_in(fakes)
        builder = self.builder
        builder.loc = location(node)
        try:
            types = self._types(fakes)
            builder.outs = tuple(type for type in types if type is not None)
            if builder.outs and all(0 in type.get_shape() for type in builder.outs):
                return self._stand_in(fakes)  # there is nothing to compute
            arguments = bind(node.target._schema, node.args, dict(node.kwargs))  # type: ignore[union-attr]
            value = rule(builder, *(self.translate(a) for a in arguments))
        except (UnsupportedUse, UnsupportedOperatorError) as error:
            self.gaps.add(node, str(error))
            self._note_lost(node, fakes)
            return self._stand_in(fakes)
        except (SymbolicSizeError, TypeError, NotImplementedError) as error:
            # xDSL has no products and remainders of two symbols
            if not isinstance(error, SymbolicSizeError) and not self._has_dynamic_size(node):
                raise
            self.gaps.add(node, f"not supported for these dynamic sizes: {error}")
            self.lost.add(node)
            return self._stand_in(fakes)
        _check_types(node, value, types)
        return value

    def _size(self, node: Node, value: torch.SymInt) -> Any:
        """What a node of shape arithmetic computes."""
        try:
            return self.sizes.size(value)
        except (SymbolicSizeError, UnsupportedOperatorError) as error:
            if self.lost.isdisjoint(node.all_input_nodes):  # else it is said where that arose
                self.gaps.add(node, str(error))
            self.lost.add(node)
            return 1

    def _carried_number(self, node: Node) -> Any:
        self.builder.loc = location(node)
        try:
            return import_number(self.builder, node, self.translate)
        except UnsupportedUse as error:
            self.gaps.add(node, str(error))
            self.lost.add(node)
            return 1

    def _has_dynamic_size(self, node: Node) -> bool:
        fakes = [fake for n in (node, *node.all_input_nodes) for fake in _leaves(n.meta.get("val"))]
        return any(not has_static_shape(fake) for fake in fakes)

    def _import_control_flow(self, node: Node, fakes: Any) -> Any:
        self.builder.loc = location(node)
        try:
            expected = self._types(fakes)
            results = CONTROL_FLOW[operator_name(node)](self, node)
        except (UnsupportedUse, UnsupportedOperatorError) as error:
            self.gaps.add(node, str(error))
            self.lost.add(node)
            return [self._stand_in(f) if isinstance(f, torch.Tensor) else 0 for f in fakes]
        _check_types(node, results, expected)
        return results

    def subgraph(
        self, graph: Node, values: Sequence[Any], types: Sequence[Attribute | None]
    ) -> tuple[str, list[Attribute]]:
        """Import a graph of a control flow node as a function: its name and result types.

        A placeholder becomes an argument of its entry in `types`, or is its value for None.
        """
        name = unique(c_identifier(str(graph.target)), self.taken)
        inner = _Importer(
            self.program,
            self.gaps,
            self.narrowed,
            getattr(self.graph_module, str(graph.target)),
            self.weights,
        )
        inner.functions, inner.taken = self.functions, self.taken
        self.functions[name] = inner.function(name, values, types)
        return name, list(self.functions[name].function_type.outputs)

    def function(
        self, name: str, values: Sequence[Any], types: Sequence[Attribute | None]
    ) -> FuncOp:
        """The graph as a function for control flow, see `subgraph`."""
        nodes = [node for node in self.graph_module.graph.nodes if node.op == "placeholder"]
        taken: set[str] = set()
        for node, value, type in zip(nodes, values, types, strict=True):
            if type is not None:
                self.values[node] = self.block.insert_arg(type, len(self.block.args))
                self.values[node].name_hint = unique(c_identifier(node.name), taken)
            elif isinstance(value, SSAValue):
                assert isinstance(value.owner, WeightOp)
                self.values[node] = self.builder.weight(value.owner.symbol.root_reference.data)
            else:
                self.values[node] = value
        self._import_calls()
        (output,) = [node for node in self.graph_module.graph.nodes if node.op == "output"]
        leaves = output.args[0] if isinstance(output.args[0], (list, tuple)) else [output.args[0]]
        results = tensors(
            self.builder, self.translate(leaves), "what a graph of control flow gives"
        )
        func = program_function(name, [a.type for a in self.block.args], [r.type for r in results])
        self.block.add_op(ReturnOp(*results))
        func.body.detach_block(func.body.block)
        func.body.add_block(self.block)
        return func

    def _note_lost(self, node: Node, fakes: Any) -> None:
        if not all(has_static_shape(fake) for fake in _leaves(fakes)):
            self.lost.add(node)

    def _stand_in(self, fakes: Any) -> Any:
        """Zeros for a result without elements, or one that cannot be computed (a gap is noted)."""
        if isinstance(fakes, (list, tuple)):
            return [self._stand_in(fake) for fake in fakes]
        if not isinstance(fakes, torch.Tensor):
            return None
        try:
            type = self._type(fakes)
        except (UnsupportedOperatorError, SymbolicSizeError):
            shape = [n if isinstance(n, int) else 1 for n in fakes.shape]
            type = tensor_type(torch.empty(shape, device="meta"), shape)
        return self.builder.full(0, type.element_type, extents_of_type(type))

    def translate(self, argument: Any) -> Any:
        """The values of an argument of a node."""
        if isinstance(argument, Node):
            return self.values[argument]
        if isinstance(argument, (list, tuple)):
            return [self.translate(a) for a in argument]
        return argument

    def _import_outputs(self) -> None:
        (output,) = [node for node in self.program.graph.nodes if node.op == "output"]
        index_of: dict[SSAValue, int] = {}
        specs = self.program.graph_signature.output_specs
        arguments = {node.name: node for node in self.program.graph.nodes}
        for spec, leaf in zip(specs, output.args[0], strict=True):
            if spec.kind is OutputKind.TOKEN:
                continue
            value = self.translate(leaf)
            if isinstance(value, SSAValue) and is_number(leaf.meta.get("val")):
                raise UnsupportedOperatorError(
                    f"the model returns {leaf.name}, a Python number that a loop carries; "
                    "return a tensor, or what else the loop gives"
                )
            found = self._output(value, index_of)
            if spec.kind is OutputKind.USER_OUTPUT:
                self.outputs.append(found)
            elif spec.kind is OutputKind.USER_INPUT_MUTATION:
                changed = self.values[arguments[str(spec.target)]]
                self.mutations.append((found, changed.index))
            else:
                raise UnsupportedOperatorError(f"output {spec.arg} of kind {spec.kind.name}")

    def _output(self, value: Any, index_of: dict[SSAValue, int]) -> OutputSpec:
        """What stands for one leaf of the output; equal values are one result."""
        if not isinstance(value, SSAValue):
            return OutputSpec("constant", constant=value)
        if isinstance(value, BlockArgument):
            return OutputSpec("input", value.index)
        if value not in index_of:
            index_of[value] = len(self.results)
            self.results.append(value)
        return OutputSpec("result", index_of[value])


def _leaves(fakes: Any) -> Sequence[Any]:
    """The tensors among the results of a node."""
    listed = fakes if isinstance(fakes, (list, tuple)) else [fakes]
    return [fake for fake in listed if isinstance(fake, torch.Tensor)]


def _check_types(node: Node, value: Any, expected: Sequence[Tensor | None]) -> None:
    """A rule that gives another type than torch is a defect; find it here, not in C."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    for result, type in zip(values, expected, strict=False):
        if result is not None and type is not None and result.type != type:
            raise LoweringError(
                f"import rule of {operator_name(node)}: torch gives {type}, "
                f"the rule gives {result.type} (at {location(node)})"
            )
