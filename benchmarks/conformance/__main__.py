"""`python -m benchmarks.conformance`: run operator samples, keep outcomes, write the page.

Outcomes are added to a JSON file after every operator, so that a run can be continued.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from .batch import Outcome, run_samples
from .exclusions import exclusion
from .samples import DTYPES, Sample, operators, samples_of
from .table import page, summary

ROOT = Path(__file__).parents[2]


@click.command()
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(list(DTYPES)), help="All.")
@click.option("--op", "names", multiple=True, help="Only operators whose name contains this.")
@click.option("--samples", "most", default=8, show_default=True, help="Per operator and type.")
@click.option("--target", default="native", show_default=True)
@click.option("--part", default="0/1", show_default=True, help="K/N: every N-th operator from K.")
@click.option("--group", default=24, show_default=True, help="Operators per compiler run.")
@click.option("--seconds", type=float, help="Start nothing new after this; go on with --json.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Outcomes, continued.")
@click.option("--page", "write", is_flag=True, help="Write docs/op_support.md from --json.")
def main(
    dtypes: tuple[str, ...],
    names: tuple[str, ...],
    most: int,
    target: str,
    part: str,
    group: int,
    seconds: float | None,
    path: Path | None,
    write: bool,
) -> None:
    """Run samples of torch's operator database."""
    started = time.monotonic()
    outcomes = [] if path is None or not path.exists() else read(path)
    done = {(outcome.operator, outcome.dtype) for outcome in outcomes}
    first, step = (int(n) for n in part.split("/"))
    chosen = [name for name in sorted(operators()) if exclusion(name) is None][first::step]
    if names:
        chosen = [name for name in chosen if any(n in name for n in names)]
    for dtype in dtypes or tuple(DTYPES):
        todo = [name for name in chosen if (name, dtype) not in done]
        for at in range(0, len(todo), group):
            if seconds is not None and time.monotonic() - started > seconds:
                sys.exit("stopped; the same command goes on")
            samples = list(all_samples(todo[at : at + group], dtype, most))
            new = run_samples(samples, target)
            outcomes += new
            for outcome in new:
                if outcome.status != "pass" and (names or outcome.status not in ("refused",)):
                    print(*asdict(outcome).values(), file=sys.stderr, flush=True)
            if path is not None:
                path.write_text(json.dumps([asdict(o) for o in outcomes], indent=0))
    print(summary(outcomes))
    if write:
        # what the outcomes come from, however many parts they were made in
        command = "python -m benchmarks.conformance --json FILE --page"
        (ROOT / "docs" / "op_support.md").write_text(page(outcomes, command))


def all_samples(names: list[str], dtype: str, most: int) -> Iterator[Sample]:
    """The samples of several operators; those that torch cannot make are left out."""
    for name in names:
        try:
            yield from samples_of(name, dtype, most)
        except Exception as error:
            print(f"{name} {dtype}: torch makes no samples: {error}", file=sys.stderr)


def read(path: Path) -> list[Outcome]:
    """The outcomes of an earlier run."""
    return [Outcome(**item) for item in json.loads(path.read_text())]


if __name__ == "__main__":
    main()
