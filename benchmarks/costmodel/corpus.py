"""The programs that samples are taken of, each with the family that a split keeps together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tilecast.compiler.runtime.toolchain import find_toolchain
from tilecast.compiler.target import native_machine
from tilecast.compiler.tune.expectation import record_expectation
from tilecast.compiler.tune.model_tasks import KernelTask, kernel_tasks
from tilecast.dialects.errors import TilecastError

from ..models import MODELS
from ..polybench.benchmark import load_all
from ..polybench.kernel_task import make_task

# Small sizes on one thread, middle ones on two: both fit a few dozen runs into a second.
DATASETS = {"SMALL": 1, "MEDIUM": 2}
LONGEST_SECONDS = 0.5
SMALL_NETWORKS = (
    *("mlp", "resnet18", "bert-tiny", "gpt2-tiny", "vit-tiny"),
    *("lstm-tiny", "minilm", "minilm-b8"),
)
MOST_KERNELS = 6  # of a network: more programs teach more than more layers of one


@dataclass(frozen=True)
class Source:
    """A program or network; `tasks` writes its tasks below a folder, results included."""

    family: str
    tasks: Callable[[Path], Iterator[tuple[str, KernelTask]]]


def sources() -> list[Source]:
    """PolyBench's kernels and the networks of the examples, taking turns."""
    kernels = [polybench_source(name) for name in load_all()]
    networks = [network_source(name) for name in SMALL_NETWORKS]
    found = []
    for k, kernel in enumerate(kernels):
        found.append(kernel)
        if k < len(networks):
            found.append(networks[k])
    return found


def polybench_source(name: str) -> Source:
    """One kernel at the sizes of `DATASETS`."""

    def tasks(folder: Path) -> Iterator[tuple[str, KernelTask]]:
        for dataset, threads in DATASETS.items():
            label = f"{name}-{dataset.lower()}"
            made = make_task(load_all()[name], dataset, folder / label, threads)
            if made.exact_seconds < LONGEST_SECONDS:
                yield label, KernelTask(made.task, made.scop, made.task.scop_text)

    return Source(name, tasks)


def network_source(name: str) -> Source:
    """The kernels of one network on two threads."""

    def tasks(folder: Path) -> Iterator[tuple[str, KernelTask]]:
        import tilecast

        module, _, attribute = MODELS[name].partition(":")
        network, inputs = getattr(import_module(module), attribute)()
        structure = tilecast.compile(network.eval(), tuple(inputs), stop_after="structure")
        machine, toolchain = native_machine(), find_toolchain()
        found = list(kernel_tasks(structure, folder / name, machine, toolchain, machine.cores))
        for made in found[:: -(-len(found) // MOST_KERNELS) or 1]:
            try:
                seconds = record_expectation(made.task, made.text, 10.0)
            except TilecastError:
                continue  # takes too long as plain C
            if seconds < LONGEST_SECONDS:
                yield f"{name}-{made.scop.sym_name.data}", made

    # Batches of one network are one family.
    return Source(name.partition("-")[0], tasks)
