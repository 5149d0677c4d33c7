"""What a cost model says about every kernel of a package, and which features make it say so.

in:  the scheduled scops of the package, a model
out: per kernel the predicted seconds, those of the roofline, and the shares of the features between
"""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from ...codegen.package import StoredPackage
from ...costmodel.features.hardware import Hardware
from ...costmodel.features.program import PROGRAM_NAMES, ROOFLINE
from ...costmodel.models.default import chosen_model
from ...costmodel.models.interface import Candidates, CostModel, Explained
from ...dialects.errors import IllegalScheduleError
from ...dialects.poly import ScopOp
from ...passes.poly.rules.decide import described, is_small
from ..probe.target_speeds import target_speeds
from .built_for import SCHEDULE_STAGE, machine_of, module_at, threads_of

MOST_TERMS = 12  # by size; the rest of the features is one number


def predicted_costs(package: StoredPackage, wanted: str | None) -> dict[str, Any] | None:
    """By kernel, what the model called `wanted` says; None where there is no model, or the target
    is a GPU. Kernels of opaque ops, of dynamic sizes and with many statements are left out."""
    model, machine, threads = chosen_model(wanted), machine_of(package), threads_of(package)
    if model is None or machine.is_gpu:
        return None
    hardware = Hardware(machine, target_speeds(machine))
    found = {}
    for scop in scheduled_scops(module_at(package, SCHEDULE_STAGE)):
        try:
            candidates = Candidates.of([described(scop, threads)], hardware)
        except IllegalScheduleError:
            continue
        found[scop.sym_name.data] = cost(model, candidates)
    return {"model": model.name, "machine": machine.name, "threads": threads, "kernels": found}


def scheduled_scops(module: ModuleOp) -> list[ScopOp]:
    """Those that have features."""
    scops = [op for op in module.ops if isinstance(op, ScopOp)]
    return [scop for scop in scops if scop.schedule is not None and is_small(scop)]


def cost(model: CostModel, candidates: Candidates) -> dict[str, Any]:
    """The answer for one program; seconds are the roofline's times e to the sum of all terms."""
    answer: dict[str, Any] = {
        "seconds": float(model.seconds(candidates)[0]),
        "roofline": float(np.exp(candidates.features[0, ROOFLINE])),
        "terms": [],
    }
    if isinstance(model, Explained):
        *shares, base = model.contributions(candidates)[0]
        order = np.argsort(-np.abs(shares))
        answer["base"] = float(base)
        answer["terms"] = [
            [PROGRAM_NAMES[k], float(candidates.features[0, k]), float(shares[k])]
            for k in order[:MOST_TERMS]
            if shares[k]
        ]
        answer["rest"] = float(sum(shares[k] for k in order[MOST_TERMS:]))
    return answer
