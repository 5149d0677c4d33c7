"""Every pass by its command-line name, loaded on first use. One line each."""

from __future__ import annotations

from importlib import import_module

from xdsl.passes import ModulePass

from ..dialects.errors import OptionError
from .added import added_pass

PASSES: dict[str, str] = {
    # graph -> graph
    "canonicalize": "graph.canonicalize:CanonicalizePass",
    "recognize-attention": "graph.recognize_attention:RecognizeAttentionPass",
    "fold-constants": "graph.fold_constants:FoldConstantsPass",
    "fold-batch-norm": "graph.fold_batch_norm:FoldBatchNormPass",
    "quantize-weights": "graph.quantize_weights:QuantizeWeightsPass",
    "lower-precision": "graph.lower_precision:LowerPrecisionPass",
    "limit-memory": "graph.limit_memory:LimitMemoryPass",
    "split-norm-groups": "graph.split_norm_groups:SplitNormGroupsPass",
    "block-channels": "graph.block_channels:BlockChannelsPass",
    "choose-convolutions": "graph.choose_convolutions:ChooseConvolutionsPass",
    "outline-control-flow": "graph.outline_control_flow:OutlineControlFlowPass",
    "fuse": "graph.fuse:FusePass",
    "deduplicate-kernels": "graph.deduplicate_kernels:DeduplicateKernelsPass",
    # graph -> linalg
    "convert-graph-to-linalg": "graph.convert_graph_to_linalg:ConvertGraphToLinalgPass",
    # linalg -> poly -> loops
    "extract-scop": "poly.extraction.extract_scop:ExtractScopPass",
    "extract-affine": "poly.extraction.extract_affine:ExtractAffinePass",
    "distribute-nests": "poly.simplification.distribute_nests:DistributeNestsPass",
    "collapse-dims": "poly.simplification.collapse_dims:CollapseDimsPass",
    "inline-statements": "poly.simplification.inline_statements:InlineStatementsPass",
    "online-softmax": "poly.softmax.online_softmax:OnlineSoftmaxPass",
    "tile-programs": "tile.tile_programs:TileProgramsPass",
    "schedule-gpu": "poly.rules_gpu.schedule_gpu:ScheduleGpuPass",
    "schedule": "poly.rules.decide:SchedulePass",
    "eliminate-dead-statements": (
        "poly.simplification.eliminate_dead_statements:EliminateDeadStatementsPass"
    ),
    "apply-rewrites": "poly.apply_rewrites:ApplyRewritesPass",
    "autoschedule": "poly.autoschedule.autoschedule:AutoschedulePass",
    "lower-scop": "poly.emission.lower_scop:LowerScopPass",
    "declare-kernels": "poly.emission.declare_kernels:DeclareKernelsPass",
    "inline-parts": "tile.inline_parts:InlinePartsPass",
    "lower-opaque": "loops.lower_opaque:LowerOpaquePass",
    # loops -> loops
    "split-buffers": "loops.split_buffers:SplitBuffersPass",
    "promote-buffers": "loops.promote_buffers:PromoteBuffersPass",
    "eliminate-common-subexpressions": (
        "loops.eliminate_common_subexpressions:EliminateCommonSubexpressionsPass"
    ),
    "join-reductions": "loops.join_reductions:JoinReductionsPass",
    "round-neighbours": "loops.round_neighbours:RoundNeighboursPass",
    "logistic-divisors": "loops.logistic_divisors:LogisticDivisorsPass",
    "exchange-gathers": "loops.exchange_gathers:ExchangeGathersPass",
    "shuffle-gathers": "loops.shuffle_gathers:ShuffleGathersPass",
    "interleave-scatters": "loops.interleave_scatters:InterleaveScattersPass",
    "matrix-products": "loops.matrix_products:MatrixProductsPass",
    "prefetch-rows": "loops.prefetch_rows:PrefetchRowsPass",
    "stream-stores": "loops.stream_stores:StreamStoresPass",
    "eliminate-dead-values": "loops.eliminate_dead_values:EliminateDeadValuesPass",
    "plan-memory": "loops.plan_memory:PlanMemoryPass",
}


def load_pass(name: str) -> type[ModulePass]:
    """The pass class called `name`; OptionError with the known names otherwise."""
    added = added_pass(name)
    if added is not None:
        return added
    if name not in PASSES:
        raise OptionError(f"no pass is called {name!r}; known passes: {', '.join(sorted(PASSES))}")
    module, _, attribute = PASSES[name].partition(":")
    loaded: type[ModulePass] = getattr(import_module(f".{module}", __package__), attribute)
    return loaded
