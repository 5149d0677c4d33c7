"""`costmodel eval-objects`: registers, spills and instructions of C objects and of GPU kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from ...costmodel.data.objects import ObjectSample
from ...costmodel.data.samples import DataSet
from ...costmodel.evaluation.metrics import Figure
from ...costmodel.evaluation.objects import NAMES, ObjectModel, held_out, object_figures
from ...costmodel.evaluation.report import table
from ...costmodel.models.object_tokens import ObjectTokensModel
from ...costmodel.models.object_trees import LiveModel, ObjectTreesModel

MODELS: dict[str, Callable[[], ObjectModel]] = {
    "live values": LiveModel,
    "gbdt": ObjectTreesModel,
    "tokens, ops only": partial(ObjectTokensModel, operands=False, live=False),
    "tokens": ObjectTokensModel,
}
FEWEST = 40  # kernels below which nothing is said
Results = Mapping[str, Mapping[str, Figure]]


def different(samples: Sequence[ObjectSample]) -> list[ObjectSample]:
    """Kernels of equal words once, in the family that has them first: the same kernel in training
    and in test would be known by heart."""
    return list({(s.target, s.lines): s for s in reversed(samples)}.values())[::-1]


def groups(source: DataSet) -> dict[str, list[ObjectSample]]:
    """The kernels of a data set by what compiles them."""
    samples = different(source.objects())
    on_gpu = [s for s in samples if s.target.startswith("sm_")]
    in_c = [s for s in samples if not s.target.startswith("sm_")]
    found = {"C objects (gcc)": in_c, "GPU kernels (ptxas)": on_gpu}
    return {name: kernels for name, kernels in found.items() if len(kernels) >= FEWEST}


def object_results(source: DataSet) -> dict[str, tuple[str, Results]]:
    """By group: how much there is, and the figures of each model."""
    found: dict[str, tuple[str, Results]] = {}
    for name, samples in groups(source).items():
        families, registers = {s.family for s in samples}, [s.registers for s in samples]
        facts = (
            f"{len(samples)} different kernels of {len(families)} families; "
            f"{min(registers)} to {max(registers)} registers, "
            f"{sum(s.spills > 0 for s in samples)} with spills, "
            f"up to {max(s.instructions for s in samples)} instructions."
        )
        results = {m: object_figures(held_out(make, samples)) for m, make in MODELS.items()}
        found[name] = (facts, results)
    return found


def write_object_report(found: Mapping[str, tuple[str, Results]], path: Path) -> None:
    """Write the Markdown file."""
    text = f"""# Registers, spills, instructions

Written by `tilecast costmodel eval-objects --report {path.name}`; nothing here is edited by hand.

What compilers make of a kernel, predicted from its loops. A third of the families (networks,
programs), drawn once, is tested on and not trained on; equal kernels count once, in one family.
C objects: different vector registers in use, vector registers stored to the stack. GPU kernels:
registers of a thread, bytes of spills, machine instructions. nRMSE is the root of the mean squared
error over the range of what was measured; brackets are 95% intervals over resampled families.
`tokens` reads each op with its operands and the values that are live there; `tokens, ops only`
reads nothing but the ops. `live values` counts what is live and learns only a constant; `gbdt` has
the counts of words and what the loops with most live values, arithmetic and carried values hold.
"""
    for name, (facts, results) in found.items():
        text += f"\n## {name}\n\n{facts}\n\n{table(results, NAMES)}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
