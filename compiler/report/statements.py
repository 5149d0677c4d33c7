"""The polyhedral view of every kernel of a package: statements, dependences, loops, schedule."""

from __future__ import annotations

from ...codegen.package import StoredPackage
from ...dialects.errors import TilecastError
from ...dialects.poly import ScopOp
from ...passes.poly.rules.decide import is_small
from ..explain.kernel_report import kernel_report
from .built_for import SCHEDULE_STAGE, machine_of, module_at, original_scops


def statement_texts(package: StoredPackage) -> dict[str, str]:
    """By kernel, what `tilecast explain --kernel` says; none for GPUs, opaque ops, dynamic sizes
    and kernels of many statements, whose dependences take long."""
    if machine_of(package).is_gpu:
        return {}
    originals, found = original_scops(package), {}
    for scop in module_at(package, SCHEDULE_STAGE).ops:
        if not isinstance(scop, ScopOp) or scop.schedule is None or not is_small(scop):
            continue
        name = scop.sym_name.data
        try:
            found[name] = str(kernel_report(originals[name], scop, None, {}))
        except (TilecastError, KeyError) as error:
            found[name] = f"cannot be told from the IR of the package: {error}"
    return found
