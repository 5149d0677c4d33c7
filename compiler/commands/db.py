"""`tilecast db {show,merge,prune,export}`: look into the tuning database, share it, shrink it."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from pathlib import Path

import click

from ..records.best import best_record
from ..records.database import Database
from ..records.exchange import read_records, write_records
from ..records.record import Record
from .output import json_flag, print_json, print_table

DATABASE = click.argument("database", type=click.Path(path_type=Path))


@click.group("db")
def db_group() -> None:
    """Show, merge, prune and export databases of tuning records."""


def by_task(records: list[Record]) -> dict[tuple[str, str, str, int], list[Record]]:
    """Records that compete with each other: of one kernel on one kind of machine."""
    groups: dict[tuple[str, str, str, int], list[Record]] = defaultdict(list)
    for r in records:
        groups[r.task, r.target, r.compiler, r.threads].append(r)
    return groups


@db_group.command("show")
@DATABASE
@json_flag
def show_command(database: Path, as_json: bool) -> None:
    """Print kernels with their records, failures by reason, and the best schedule of each."""
    with Database(database, create=False) as opened:
        groups = by_task(opened.records())
    facts = []
    for (task, target, _, threads), records in groups.items():
        best = best_record(records)
        facts.append(
            {
                "kernel": records[-1].name,
                "task": task if as_json else task[:12],
                "target": target,
                "threads": threads,
                "records": len(records),
                "failed": ", ".join(
                    f"{reason}: {count}"
                    for reason, count in sorted(Counter(r.failure or "" for r in records).items())
                    if reason
                ),
                "speedup": 1.0 if best is None else round(best.speedup, 3),
                "best": "default" if best is None else best.steps.partition("\n")[0],
            }
        )
    if as_json:
        print_json(facts)
    elif facts:
        print_table(list(facts[0]), [list(fact.values()) for fact in facts])
    else:
        click.echo(f"{database}: no records")


@db_group.command("merge")
@DATABASE
@click.argument("sources", type=click.Path(path_type=Path), nargs=-1, required=True)
@json_flag
def merge_command(database: Path, sources: tuple[Path, ...], as_json: bool) -> None:
    """Add the records of SOURCES (databases or exports) to DATABASE: a set union."""
    records = [record for source in sources for record in read_records(source)]
    with Database(database) as opened:
        added = opened.add(records)
    if as_json:
        print_json({"read": len(records), "added": added})
    else:
        click.echo(f"{database}: {added} of {len(records)} records are new")


@db_group.command("prune")
@DATABASE
@click.option("--keep", type=click.IntRange(min=1), default=16, show_default=True)
@json_flag
def prune_command(database: Path, keep: int, as_json: bool) -> None:
    """Keep the best schedule of each kernel and the KEEP fastest others; drop the rest."""
    removed = []
    with Database(database, create=False) as opened:
        for records in by_task(opened.records()).values():
            best = best_record(records)
            # A schedule that gave wrong results has to stay known as such.
            kept = {r.identity for r in records if r.failure in ("wrong", "crash")}
            kept |= {best.identity} if best is not None else set()
            ranked = sorted(records, key=lambda r: (-r.speedup, r.seconds or 1e9, r.identity))
            kept |= {r.identity for r in ranked[:keep]}
            removed += [r for r in records if r.identity not in kept]
        count = opened.remove(removed)
    if as_json:
        print_json({"removed": count})
    else:
        click.echo(f"{database}: {count} records removed")


@db_group.command("export")
@DATABASE
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; default: stdout.")
@json_flag
def export_command(database: Path, output: Path | None, as_json: bool) -> None:
    """Write all records as JSON lines, in an order that depends on nothing else."""
    with Database(database, create=False) as opened:
        records = opened.records()
    if output is None:
        write_records(records, sys.stdout)
        return
    part = output.with_name(output.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        count = write_records(records, file)
    part.rename(output)
    if as_json:
        print_json({"output": str(output), "records": count})
    else:
        click.echo(f"{output}: {count} records")
