"""Builds prepared cells and measures them: needs nvcc, Python, torch (and Triton for Inductor).

    python run.py --output gpu.json            # all cells of this folder, on the GPU at hand
    python run.py --suite lowbit --repeats 50
    python run.py --emulate --suite check      # the same on the CPU by g++; times mean nothing

Each cell is a folder with cell.json, CUDA sources and a shim that has `bench_run`.
`prepare.py` wrote it and copied this file, which imports nothing of tilecast.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
FLUSH_BYTES = 512 << 20  # more than any second-level cache


class CellError(Exception):
    """A cell cannot be built, or gives a wrong result."""


def build(folder: Path, cell: dict[str, Any], emulate: bool) -> Path:
    """The shared library of a cell, built once."""
    library = folder / ("emulated.so" if emulate else "cell.so")
    if library.exists():
        return library
    sources = [str(folder / name) for name in cell["sources"]]
    includes = [f"-I{HERE / 'include'}"]
    if emulate:
        flags = ["-std=c++17", "-O1", "-shared", "-fPIC", "-w", "-fno-gnu-unique"]
        command = ["g++", *flags, *includes, "-x", "c++", *sources]
    else:
        flags = ["-std=c++17", "-O3", "-fmad=false", "-shared", "-Xcompiler", "-fPIC", "-w"]
        command = ["nvcc", *flags, "-arch", architecture(), *includes, "-x", "cu", *sources]
    done = subprocess.run([*command, "-o", str(library)], capture_output=True, text=True)
    if done.returncode:
        raise CellError(f"{folder.name} does not build:\n{done.stderr[:2000]}")
    return library


def architecture() -> str:
    """What nvcc compiles for."""
    major, minor = torch.cuda.get_device_capability()
    return f"sm_{major}{minor}"


class Cell:
    """An open cell: its library and its arrays on the device, inputs and outputs in order."""

    def __init__(self, folder: Path, cell: dict[str, Any], emulate: bool) -> None:
        self.facts, self.folder = cell, folder
        self.device = "cpu" if emulate else "cuda"
        self._library = ctypes.CDLL(str(build(folder, cell, emulate)))
        self.arrays = [self._array(entry) for entry in cell["arrays"]]
        pointers = [a.data_ptr() for a in self.arrays]
        self._pointers = (ctypes.c_void_p * len(pointers))(*pointers)

    def _array(self, entry: dict[str, Any]) -> torch.Tensor:
        """Stored values, else random ones: every bit pattern of integers is a code."""
        dtype, shape = getattr(torch, entry["dtype"]), entry["shape"]
        if "file" in entry:
            return torch.load(self.folder / entry["file"]).to(self.device).contiguous()
        if dtype.is_floating_point:
            return torch.rand(shape, device=self.device, dtype=torch.float32).to(dtype)
        if dtype == torch.bool:
            return torch.rand(shape, device=self.device) < 0.5
        info = torch.iinfo(dtype)
        high = min(info.max, entry.get("below", info.max))
        low = 0 if "below" in entry else info.min
        return torch.randint(low, high, shape, device=self.device, dtype=dtype)

    def run(self) -> None:
        """Queue the cell's kernels on the current stream."""
        stream = 0 if self.device == "cpu" else torch.cuda.current_stream().cuda_stream
        if status := self._library.bench_run(self._pointers, ctypes.c_void_p(stream)):
            raise CellError(f"{self.folder.name}: bench_run answers {status}")

    @property
    def inputs(self) -> list[torch.Tensor]:
        """Arrays that the cell reads and a peer takes."""
        pairs = zip(self.arrays, self.facts["arrays"], strict=True)
        return [array for array, entry in pairs if entry["role"] == "in"]

    @property
    def outputs(self) -> list[torch.Tensor]:
        """Arrays that the cell writes."""
        pairs = zip(self.arrays, self.facts["arrays"], strict=True)
        return [array for array, entry in pairs if entry["role"] == "out"]

    def error(self, expected: list[torch.Tensor]) -> float:
        """The largest difference, relative to the largest number expected."""
        worst = 0.0
        for found, wanted in zip(self.outputs, expected, strict=True):
            a, b = found.double().cpu().reshape(-1), wanted.double().cpu().reshape(-1)
            if not torch.equal(a.isnan(), b.isnan()):
                return float("inf")
            scale = b.nan_to_num().abs().max().clamp(min=1e-30)
            worst = max(worst, float((a - b).nan_to_num().abs().max() / scale))
        return worst


def median_ms(run: Callable[[], Any], repeats: int, emulate: bool) -> float:
    """Median milliseconds, by events, caches flushed before each run."""
    if emulate:
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3
    flush = torch.empty(FLUSH_BYTES, dtype=torch.int8, device="cuda")
    for _ in range(3):
        run()
    times = []
    for _ in range(repeats):
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        flush.zero_()
        before.record()
        run()
        after.record()
        torch.cuda.synchronize()
        times.append(before.elapsed_time(after))
    return statistics.median(times)


def as_graph(run: Callable[[], Any]) -> Callable[[], Any]:
    """`run` as one CUDA graph."""
    run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def peers_of(cell: Cell, emulate: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name and call of everything the cell is compared with."""
    facts = cell.facts
    if "linear" in facts:  # cuBLAS on numbers of the activations' type
        n, k = facts["linear"]
        x = cell.inputs[0]
        weight = torch.randn(n, k, device=cell.device).to(x.dtype)
        yield "cublas", lambda: torch.nn.functional.linear(x, weight)
        return
    if "program" in facts:
        module = torch.export.load(cell.folder / facts["program"]).module().to(cell.device)
        inputs = cell.inputs
        yield "eager", lambda: module(*inputs)
        if not emulate:
            compiled = torch.compile(module)
            yield "inductor", lambda: compiled(*inputs)


def measure(folder: Path, repeats: int, emulate: bool) -> dict[str, Any]:
    """One row of the results."""
    facts = json.loads((folder / "cell.json").read_text())
    row: dict[str, Any] = {key: facts[key] for key in ("suite", "name", "bytes", "flops")}
    cell = Cell(folder, facts, emulate)
    cell.run()
    if not emulate:
        torch.cuda.synchronize()
    expected = None
    if "expected" in facts:
        expected = torch.load(folder / facts["expected"])
    calls = dict(peers_of(cell, emulate))
    with torch.no_grad():
        if expected is None and "eager" in calls:
            found = calls["eager"]()
            expected = torch.utils._pytree.tree_leaves(found)
        if expected is not None:
            row["error"] = cell.error(expected)
            if row["error"] > facts["tolerance"]:
                raise CellError(
                    f"{folder.name}: error {row['error']:.2e} exceeds {facts['tolerance']:.0e}"
                )
        row["ms"] = median_ms(cell.run, repeats, emulate)
        if not emulate and facts["suite"] == "models":
            row["graph_ms"] = median_ms(as_graph(cell.run), repeats, emulate)
        row["peers"] = {name: median_ms(call, repeats, emulate) for name, call in calls.items()}
    row["gb_per_s"] = facts["bytes"] / row["ms"] / 1e6
    row["tflop_per_s"] = facts["flops"] / row["ms"] / 1e9
    return row


def machine(emulate: bool) -> dict[str, Any]:
    """Device, versions, and the bandwidth that a copy reaches."""
    found: dict[str, Any] = {"python": platform.python_version(), "torch": torch.__version__}
    if emulate:
        return found | {"device": "emulation: times mean nothing"}
    properties = torch.cuda.get_device_properties(0)
    source = torch.empty(1 << 30, dtype=torch.int8, device="cuda")
    target = torch.empty_like(source)
    ms = median_ms(lambda: target.copy_(source), 20, False)
    nvcc = subprocess.run(["nvcc", "--version"], capture_output=True, text=True).stdout
    return found | {
        "device": properties.name,
        "architecture": architecture(),
        "multiprocessors": properties.multi_processor_count,
        "nvcc": nvcc.strip().splitlines()[-1] if nvcc else None,
        "copy_gb_per_s": 2 * source.numel() / ms / 1e6,
    }


def table(results: dict[str, Any]) -> str:
    """The rows as text: times, bandwidth, and how many times faster than each peer."""
    peak = results["machine"].get("copy_gb_per_s")
    lines = [f"{'cell':44} {'ms':>9} {'GB/s':>8} {'% copy':>7} {'TFLOP/s':>8}  times faster than"]
    for row in results["rows"]:
        if "failure" in row:
            lines.append(f"{row['name']:44} {row['failure'].splitlines()[0]}")
            continue
        share = f"{100 * row['gb_per_s'] / peak:7.0f}" if peak else " " * 7
        peers = "  ".join(f"{name} {ms / row['ms']:.2f}" for name, ms in row["peers"].items())
        lines.append(
            f"{row['name']:44} {row['ms']:9.4f} {row['gb_per_s']:8.0f} {share} "
            f"{row['tflop_per_s']:8.1f}  {peers}"
        )
    return "\n".join(lines)


def main() -> int:
    """The command line; status 1 where a cell failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", nargs="+", help="only these suites")
    parser.add_argument("--cells", default="", help="only cells whose name contains this")
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--emulate", action="store_true", help="on the CPU, to test the harness")
    parser.add_argument("--jobs", type=int, default=4, help="compilers at a time")
    chosen = parser.parse_args()
    compiler = "g++" if chosen.emulate else "nvcc"
    if shutil.which(compiler) is None:
        parser.error(f"{compiler} is not in PATH")
    if not chosen.emulate and not torch.cuda.is_available():
        parser.error("torch sees no GPU; --emulate runs the small cells on the CPU")
    folders = []
    for path in sorted(HERE.glob("*/cell.json")):
        facts = json.loads(path.read_text())
        wanted = not chosen.suite or facts["suite"] in chosen.suite
        if wanted and chosen.cells in facts["name"]:
            folders.append((path.parent, facts))
    with ThreadPoolExecutor(chosen.jobs) as pool:
        jobs = {folder: pool.submit(build, folder, f, chosen.emulate) for folder, f in folders}
    results: dict[str, Any] = {
        "machine": machine(chosen.emulate),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(sys.argv),
        "rows": [],
    }
    for folder, facts in folders:
        try:
            jobs[folder].result()
            row = measure(folder, chosen.repeats, chosen.emulate)
        except CellError as error:
            row = {"suite": facts["suite"], "name": facts["name"], "failure": str(error)}
        results["rows"].append(row)
        print(table({**results, "rows": [row]}).splitlines()[-1], file=sys.stderr, flush=True)
        if chosen.output is not None:
            chosen.output.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    return int(any("failure" in row for row in results["rows"]))


if __name__ == "__main__":
    sys.exit(main())
