"""The name of a tuning task: equal for kernels that are the same program, under any name."""

from __future__ import annotations

import hashlib

from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp

from ...dialects.poly import ScopOp


def task_key(kernel: ScopOp | FuncOp) -> str:
    """A digest of an unscheduled scop: statements, accesses, types, roles; no names, no places.

    That of the function of an opaque op has its ops and types.
    """
    plain = kernel.clone()
    plain.properties["sym_name"] = StringAttr("kernel")
    for op in plain.walk():
        op.attributes.pop("loc", None)
        for result in op.results:
            result.name_hint = None
        for region in op.regions:
            for block in region.blocks:
                for argument in block.args:
                    argument.name_hint = None
    return hashlib.blake2b(str(plain).encode(), digest_size=20).hexdigest()
