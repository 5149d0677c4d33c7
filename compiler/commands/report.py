"""`tilecast report DIR -o FILE.html`: a saved package as one offline page."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("package", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The HTML file to write."
)
@click.option(
    "--profile",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What `tilecast profile MODEL --json` printed: times beside their floors, roofline.",
)
@click.option(
    "--tuning",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The database of tuning records. [default: the one in the cache folder]",
)
@click.option(
    "--cost-model",
    default="pretrained",
    show_default=True,
    help="Explain what this model predicts: none, pretrained, or a folder.",
)
def report_command(
    package: Path, output: Path, profile: Path | None, tuning: Path | None, cost_model: str
) -> None:
    """Show the package in folder PACKAGE: graph, kernels at every stage, memory, verification,
    tuning, what a cost model says and why."""
    from ...codegen.package import read_package
    from ..records.best import RECORDS
    from ..report.collect import Extras
    from ..report.costs import predicted_costs
    from ..report.page import write_page
    from ..report.statements import statement_texts
    from ..report.times import read_times
    from ..report.tuning import tuning_curves
    from ..runtime.cache import open_store

    stored = read_package(package)
    database = tuning or open_store().root / RECORDS
    extras = Extras(
        times=None if profile is None else read_times(profile, stored),
        tuning=tuning_curves(stored, database) if database.exists() else None,
        costs=predicted_costs(stored, cost_model),
        statements=statement_texts(stored),
    )
    write_page(stored, output, extras)
    click.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
