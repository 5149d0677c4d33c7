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
def report_command(package: Path, output: Path, profile: Path | None) -> None:
    """Show the package in folder PACKAGE: graph, kernels at every stage, memory, verification."""
    from ...codegen.package import read_package
    from ..report.page import write_page
    from ..report.times import read_times

    stored = read_package(package)
    write_page(stored, output, None if profile is None else read_times(profile, stored))
    click.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
