"""The `tilecast` command: verbs, exit codes, and one error line instead of a traceback.

Exit status: 0 ok, 1 compile or user error, 2 usage, 3 verification mismatch.
"""

from __future__ import annotations

from typing import Any

import click

from ..dialects.errors import TilecastError, VerifyFailure
from .commands.bench import bench_command
from .commands.bisect import bisect_command
from .commands.cache import cache_group
from .commands.compile import compile_command
from .commands.costmodel import costmodel_group
from .commands.db import db_group
from .commands.doctor import doctor_command
from .commands.explain import explain_command
from .commands.pairs import pairs_command
from .commands.profile import profile_command
from .commands.quantize import quantize_command
from .commands.report import report_command
from .commands.run import run_command
from .commands.targets import targets_command
from .commands.tune import tune_command
from .commands.verify import verify_command
from .logging import debug_level


class Verbs(click.Group):
    """A group that turns a TilecastError into one line on stderr and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; with TILECAST_DEBUG of 1 or more, errors keep their traceback."""
        try:
            return super().invoke(ctx)
        except TilecastError as error:
            if debug_level() >= 1:
                raise
            click.echo(f"error: {error}", err=True)
            ctx.exit(3 if isinstance(error, VerifyFailure) else 1)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tilecast")
def main() -> None:
    """Compile PyTorch models into standalone, verified, vectorized C.

    MODEL is a .pt2 file, or package.module:callable returning (module, example_inputs); or loops:
    package.module:kernel, a @tilecast.kernel function, or an .mlir file of affine loops.
    """


for command in (
    compile_command,
    run_command,
    bench_command,
    profile_command,
    verify_command,
    bisect_command,
    report_command,
    pairs_command,
    explain_command,
    quantize_command,
    targets_command,
    tune_command,
    cache_group,
    costmodel_group,
    db_group,
    doctor_command,
):
    main.add_command(command)
