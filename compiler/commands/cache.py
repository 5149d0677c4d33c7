"""`tilecast cache {dir,info,clear,explain}`: look into the cache of compiled models."""

from __future__ import annotations

from typing import Any

import click

from ...dialects.errors import InvalidInputError
from ..runtime.cache import KINDS, Store, cache_directory, problem_of
from .model_argument import load_model
from .option_flags import given_options, option_flags
from .output import json_flag, print_json, print_table


@click.group("cache")
def cache_group() -> None:
    """Show, explain and clear the cache of compiled models."""


@cache_group.command("dir")
def dir_command() -> None:
    """Print the cache folder."""
    click.echo(cache_directory())


@cache_group.command("info")
@json_flag
def info_command(as_json: bool) -> None:
    """Print number and size of the entries."""
    root = cache_directory()
    facts = []
    for kind in KINDS:
        entries = Store(root).entries(kind) if root.is_dir() else []
        facts.append(
            {"kind": kind, "entries": len(entries), "bytes": sum(e.bytes for e in entries)}
        )
    problem = problem_of(root) if root.is_dir() else None
    if as_json:
        print_json({"directory": str(root), "problem": problem, "kinds": facts})
        return
    click.echo(root if problem is None else f"{root} ({problem})")
    print_table(list(facts[0]), [list(fact.values()) for fact in facts])


@cache_group.command("clear")
def clear_command() -> None:
    """Remove every entry."""
    root = cache_directory()
    freed = Store(root).clear() if root.is_dir() else 0
    click.echo(f"{root}: {freed / 1e6:.1f} MB freed")


@cache_group.command("explain")
@click.argument("model")
@option_flags("stop_after")
@json_flag
def explain_command(model: str, as_json: bool, **flags: Any) -> None:
    """Say whether MODEL is in the cache, or what differs from the closest entry."""
    from ..driver import cache_key_parts

    loaded = load_model(model)
    if loaded.is_kernel:
        raise InvalidInputError(f"{model} is a kernel; the cache is explained for models")
    parts = cache_key_parts(loaded.model, loaded.example_inputs, **given_options(flags))
    lines = Store(cache_directory()).explain(parts)
    if as_json:
        print_json(lines)
    else:
        click.echo("\n".join(lines))
