"""`tilecast report DIR -o FILE.html`: a saved package as one offline page."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("package", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The HTML file to write."
)
def report_command(package: Path, output: Path) -> None:
    """Show the package in folder PACKAGE: graph, kernels at every stage, memory, verification."""
    from ...codegen.package import read_package
    from ..report.page import write_page

    write_page(read_package(package), output)
    click.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
