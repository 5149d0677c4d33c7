"""`tilecast doctor`: what this machine offers, and how to fix what is missing."""

from __future__ import annotations

import dataclasses
import sys

import click

from .output import json_flag, print_json


@click.command("doctor")
@json_flag
def doctor_command(as_json: bool) -> None:
    """Check compiler, CPU, PyTorch and cache; exit status 1 where something must be fixed."""
    from ..doctor import examine

    findings = examine()
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{finding.state:<8} {finding.subject:<12} {finding.found}")
            if finding.fix:
                click.echo(f"{'':<22}fix: {finding.fix}")
    if any(finding.state == "broken" for finding in findings):
        sys.exit(1)
