"""Every option in one table: name, type, default, help, choices; and where its value comes from.

A value is looked up as argument > `TILECAST_<NAME>` variable > `[tool.tilecast]` in the nearest
pyproject.toml > default. This is the only file that reads the environment.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ..dialects.errors import OptionError

Kind = Literal["str", "int", "bool", "path", "dims"]
STAGES = (
    "import",
    "simplify",
    "fuse",
    "structure",
    "schedule",
    "loops",
    "program",
    "emit",
    "build",
)


_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "k": 1, "m": 2, "g": 3}
TYPES: dict[Kind, Any] = {"str": str, "int": int, "bool": bool, "path": str | Path, "dims": object}


@dataclass(frozen=True)
class OptionSpec:
    """One row of the table. `available` is false for options whose work is not done yet."""

    name: str
    kind: Kind
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    available: bool = True

    @property
    def variable(self) -> str:
        """The environment variable that sets the option."""
        return f"TILECAST_{self.name.upper()}"


OPTIONS: tuple[OptionSpec, ...] = (
    OptionSpec(
        "target",
        "str",
        "native",
        "machine: native, an x86-64 level, a CPU name, aarch64, c99, sm_80, sm_89 or sm_90",
    ),
    OptionSpec("threads", "int", None, "OpenMP threads; default: physical cores of this process"),
    OptionSpec("name", "str", "model", "prefix of the C functions and files"),
    OptionSpec(
        "verify", "bool", True, "check kernels and the model against float64 after building"
    ),
    OptionSpec("stop_after", "str", None, "return the IR after this stage", STAGES),
    OptionSpec("dump_dir", "path", None, "write the IR text after each stage into this folder"),
    OptionSpec("progress", "bool", False, "show the stages on stderr while compiling"),
    OptionSpec("cache", "bool", True, "reuse results from earlier compilations"),
    OptionSpec("weights", "str", None, "weight format such as u4:g128, or 'head=none,*=u4:g128'"),
    OptionSpec(
        "activations",
        "str",
        "f32",
        "of products with quantized weights: f32, or rounded row by row: int8, int16 (CPUs), "
        "fp8 (sm_89, sm_90)",
        ("f32", "int8", "int16", "fp8"),
    ),
    OptionSpec(
        "precision",
        "str",
        "f32",
        "of what layers, products and attention multiply: f32, or bf16 (sums stay f32)",
        ("f32", "bf16"),
    ),
    OptionSpec(
        "convolutions",
        "str",
        "auto",
        "3x3 on channel blocks: auto (Winograd where faster; errors up to 8 times), or direct",
        ("auto", "direct"),
    ),
    OptionSpec("tune", "str", None, "measure this many schedules first, or seconds as '90s'"),
    OptionSpec(
        "dynamic_shapes",
        "dims",
        None,
        "dims as in torch.export, or text: 'x: batch=1..8, seq=1..256; mask: batch=1..8'",
    ),
    OptionSpec("fast_math", "bool", False, "allow inexact float rewrites", available=False),
    OptionSpec(
        "max_memory", "str", None, "most bytes of the arena, such as 256KB (of 1024) or 1MB"
    ),
    OptionSpec(
        "stream_weights",
        "bool",
        False,
        "read weights into the arena, for one kernel at a time; packages need no memory for others",
    ),
    OptionSpec(
        "cost_model",
        "str",
        None,
        "model that chooses schedules: none, pretrained, roofline, or a folder",
    ),
    OptionSpec(
        "fusion",
        "str",
        "rules",
        "who groups ops into kernels: rules, or model (the cost model, where it is surely faster)",
        ("rules", "model"),
    ),
)

# Settings of the tool, not of a model: variable -> (default, help).
VARIABLES: dict[str, tuple[str | None, str]] = {
    "TILECAST_CACHE_DIR": (None, "cache folder (default: the user's cache folder)"),
    "TILECAST_NO_CACHE": (None, "1 turns the cache off, like cache=False"),
    "TILECAST_DEBUG": ("0", "0..4: tracebacks, log lines, IR checks between passes"),
    "TILECAST_DUMP": (None, "folder for the numbered IR after each pass, with timing"),
    "CC": (None, "C compiler"),
}


@dataclass(frozen=True)
class Options:
    """Resolved options of one compilation, see `OPTIONS` for the meaning of each."""

    target: str = "native"
    threads: int | None = None
    name: str = "model"
    verify: bool = True
    stop_after: str | None = None
    dump_dir: Path | None = None
    progress: bool = False
    cache: bool = True
    weights: str | None = None
    activations: str = "f32"
    precision: str = "f32"
    convolutions: str = "auto"
    tune: str | None = None
    dynamic_shapes: Any = None
    fast_math: bool = False
    max_memory: str | None = None
    stream_weights: bool = False
    cost_model: str | None = None
    fusion: str = "rules"

    @property
    def grouping_model(self) -> str | None:
        """The cost model that groups ops: the one that chooses schedules, else the pretrained one;
        None where rules do."""
        if self.fusion == "rules":
            return None
        return "pretrained" if self.cost_model in (None, "none") else self.cost_model

    @property
    def memory_budget(self) -> int | None:
        """`max_memory` in bytes."""
        return None if self.max_memory is None else byte_count(self.max_memory)


def resolve_options(given: Mapping[str, Any]) -> Options:
    """Options from `given`, the environment and pyproject.toml; OptionError on anything wrong."""
    check_names_are_known(given, "argument")
    project, origin = project_table(Path.cwd())
    check_names_are_known(project, f"[tool.tilecast] in {origin}")
    values: dict[str, Any] = {}
    for spec in OPTIONS:
        text = os.environ.get(spec.variable)
        if spec.name in given:
            value, source = given[spec.name], "argument"
        elif text is not None:
            value, source = parse_text(spec, text), spec.variable
        elif spec.name in project:
            value, source = project[spec.name], f"[tool.tilecast] in {origin}"
        else:
            value, source = spec.default, "default"
        values[spec.name] = checked(spec, value, source)
    if flag("TILECAST_NO_CACHE"):
        values["cache"] = False
    return Options(**values)


def check_names_are_known(values: Mapping[str, Any], source: str) -> None:
    """OptionError naming the first unknown option, the closest known one, and all of them."""
    known = [spec.name for spec in OPTIONS]
    for name in values:
        if name in known:
            continue
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise OptionError(
            f"unknown option {name!r} ({source}){hint} Known options: {', '.join(known)}"
        )


def parse_text(spec: OptionSpec, text: str) -> Any:
    """The value that `text` of an environment variable stands for."""
    if spec.kind == "int":
        if not re.fullmatch(r"[+-]?\d+", text.strip()):
            raise OptionError(f"{spec.variable}: expected a whole number, got {text!r}")
        return int(text)
    if spec.kind == "bool":
        word = text.strip().lower()
        if word not in {"0", "1", "true", "false", "yes", "no", "on", "off"}:
            raise OptionError(f"{spec.variable}: expected 0 or 1, got {text!r}")
        return word in {"1", "true", "yes", "on"}
    return text


def checked(spec: OptionSpec, value: Any, source: str) -> Any:
    """`value` in the type of the option; OptionError where it cannot be one."""
    if not spec.available and value != spec.default:
        raise OptionError(
            f"option {spec.name}={value!r} ({source}) is not available yet; "
            f"leave it at its default, {spec.default!r}"
        )
    if value is None and spec.default is None:
        return None
    if (
        spec.name in ("tune", "max_memory")
        and isinstance(value, int)
        and not isinstance(value, bool)
    ):
        value = str(value)
    if not isinstance(value, TYPES[spec.kind]) or (spec.kind == "int" and isinstance(value, bool)):
        raise OptionError(
            f"option {spec.name} ({source}): expected {spec.kind}, got {value!r} "
            f"of type {type(value).__name__}"
        )
    if spec.choices and value not in spec.choices:
        raise OptionError(
            f"option {spec.name} ({source}): expected one of {', '.join(spec.choices)}, "
            f"got {value!r}"
        )
    if spec.name == "threads" and not 1 <= value <= 1024:
        raise OptionError(f"option threads ({source}): expected 1 to 1024, got {value}")
    if spec.name == "name" and not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        raise OptionError(
            f"option name ({source}): expected a C identifier in lower case, got {value!r}"
        )
    if spec.name == "max_memory":
        byte_count(value, source)
    return Path(value) if spec.kind == "path" else value


def byte_count(text: str, source: str = "argument") -> int:
    """The bytes that `text` stands for: a number, or one with KB, MB or GB (powers of 1024)."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]i?)?B?", text.strip(), re.IGNORECASE)
    if found is None or (size := int(float(found[1]) * 1024 ** _POWERS[(found[2] or "")[:1]])) < 1:
        raise OptionError(
            f"option max_memory ({source}): expected bytes, such as 65536 or 256KB, got {text!r}"
        )
    return size


def project_table(start: Path) -> tuple[dict[str, Any], Path | None]:
    """[tool.tilecast] of the nearest pyproject.toml at or above `start`, and that file."""
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OptionError(f"{file}: cannot be read as TOML: {error}") from error
        table = content.get("tool", {}).get("tilecast", {})
        return dict(table), file
    return {}, None


def environment(name: str) -> str | None:
    """The value of a variable listed in `VARIABLES`, or its default."""
    default, _ = VARIABLES[name]
    return os.environ.get(name) or default


def flag(name: str) -> bool:
    """Whether a variable listed in `VARIABLES` is set to something else than 0 or nothing."""
    return (environment(name) or "0") != "0"


def compiler_environment() -> dict[str, str]:
    """The environment for a compiler process: messages in English, no locale surprises."""
    return {**os.environ, "LC_ALL": "C"}


assert {f.name for f in fields(Options)} == {spec.name for spec in OPTIONS}
