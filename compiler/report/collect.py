"""Everything that the page shows, as JSON data, from a verified package."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...codegen.package import StoredPackage
from .program_graph import program_graph
from .sections import functions_of_c, symbols_of_module

PROGRAM_STAGE = "06-program.mlir"
KERNEL_STAGES = ("02-fuse.mlir", "03-structure.mlir", "04-schedule.mlir", "05-loops.mlir")


@dataclass(frozen=True)
class Extras:
    """What is known besides the package: measured times, tuning, what a cost model says, and the
    polyhedral view of kernels."""

    times: dict[str, Any] | None = None
    tuning: dict[str, Any] | None = None
    costs: dict[str, Any] | None = None
    statements: dict[str, str] = field(default_factory=dict)


NOTHING = Extras()


def report_data(package: StoredPackage, extras: Extras = NOTHING) -> dict[str, Any]:
    """Overview, graph, kernels with their texts, memory plan, decisions, whole files, `extras`."""
    manifest = package.manifest
    stages = {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted((package.directory / "ir").glob("*.mlir"))
    }
    program = manifest["programs"][0]
    graph = program_graph(symbols_of_module(stages[PROGRAM_STAGE])["main"])
    sources = {  # without the folder, which is src or cuda
        str(Path(*f.relative_to(package.directory).parts[1:])): f
        for f in package.programs[0].sources
    }
    texts = {name: file.read_text(encoding="utf-8") for name, file in sources.items()}
    return {
        "overview": overview(package),
        "times": extras.times,
        "tuning": extras.tuning,
        "costs": extras.costs,
        "graph": {
            "nodes": [asdict(node) for node in graph.nodes],
            "edges": [asdict(edge) for edge in graph.edges],
        },
        "memory": {
            "arena": program["arena_bytes"],
            "lower_bound": program["facts"].get("arena_lower_bound", 0),
            "intervals": [asdict(interval) for interval in graph.intervals],
        },
        "kernels": kernels(program, stages, texts, extras.statements),
        "outputs": [
            row
            for row in ((program["facts"].get("verification") or {}).get("results", ()))
            if row["kind"] == "model"
        ],
        "decisions": program["facts"].get("decisions", manifest.get("decisions", [])),
        "files": texts | {f"ir/{name}": text for name, text in stages.items() if is_small(text)},
    }


def is_small(text: str) -> bool:
    """Whether a whole stage is worth its place in the page; kernels are shown one by one anyway."""
    return len(text) < 300_000


def overview(package: StoredPackage) -> dict[str, Any]:
    """What the package is."""
    manifest = package.manifest
    program = manifest["programs"][0]
    return {
        "name": package.name,
        "target": package.target,
        "version": manifest["tilecast_version"],
        "levels": [item["level"] for item in manifest["programs"]],
        "compiler": program["facts"].get("compiler", ""),
        "threads": program["facts"].get("threads", ""),
        "inputs": manifest["inputs"],
        "outputs": manifest["outputs"],
        "weights": len(manifest["weights"]),
        "weight_bytes": file_bytes(package.weights),
    }


def file_bytes(path: Path | None) -> int:
    """The size of a file that may not be there."""
    return 0 if path is None else path.stat().st_size


def kernels(
    program: dict[str, Any],
    stages: dict[str, str],
    sources: dict[str, str],
    statements: dict[str, str],
) -> list[dict[str, Any]]:
    """Facts of every kernel, its text at each stage, and its C."""
    cut = {stage: symbols_of_module(stages[stage]) for stage in KERNEL_STAGES if stage in stages}
    functions = {
        name: text for file in sources.values() for name, text in functions_of_c(file).items()
    }
    found = []
    for kernel in program["kernels"]:
        name = kernel["name"]
        texts = {stage[3:-5]: symbols[name] for stage, symbols in cut.items() if name in symbols}
        if name in statements:
            texts = {"statements": statements[name], **texts}
        for function, text in functions.items():
            if function.endswith(f"_{name}"):
                texts["C"] = text
        found.append({**kernel, "texts": texts, "bytes": argument_bytes(kernel["arguments"])})
    return found


def argument_bytes(types: list[str]) -> int:
    """Bytes of all arguments of a kernel, from types such as memref<32x64xf32>."""
    total = 0
    for text in types:
        *extents, element = text.removeprefix("memref<").removesuffix(">").split(",")[0].split("x")
        if not text.startswith("memref<") or not all(n.isdigit() for n in extents):
            continue
        size = max(1, int("".join(c for c in element if c.isdigit()) or 8) // 8)
        for extent in extents:
            size *= int(extent)
        total += size
    return total
