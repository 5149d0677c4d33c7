"""Networks that correct the roofline: how they are trained, kept in files, and asked.

A network gives log(seconds / roofline) of a program, so that what the roofline knows about sizes
need not be learned from few tasks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch

from ...dialects.errors import InvalidInputError
from ..features.nests import Array
from ..features.program import ROOFLINE
from .files import write_description
from .interface import INPUT_NAMES, Candidates, inputs
from .pair_loss import UNSURE

EPOCHS = 24
# Of a correction, outside of the families it was learned from: all of it ranks kernels of networks
# that were left out worse than the roofline does, a third best.
TRUST = 0.35
BATCH_TASKS = 8
RATE = 2e-3
WITHIN = 2.0  # weight of what is within a task: order matters more than level
SHARPNESS = 10.0  # scores by which seconds apart by the factor e are told from each other
SMALLEST_SPREAD = 1e-3
LARGEST_INPUT = 6.0


@contextmanager
def one_thread() -> Iterator[None]:
    """Tensors are so small here that a second thread makes them many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass
class CorrectionModel(ABC):
    """`update` trains anew on all samples it was given, and keeps the share `trust` of what it has
    learned. Inputs are scaled by mean and spread."""

    epochs: int = EPOCHS
    trust: float = TRUST
    name: str = ""
    network: torch.nn.Module = field(init=False)
    scale: dict[str, torch.Tensor] = field(default_factory=dict)
    _seen: list[tuple[Candidates, Array]] = field(default_factory=list)

    def __post_init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = self.new_network()
            # Before it has learned anything, a network says what the roofline says.
            for weights in self.last_layer().parameters():
                torch.nn.init.zeros_(weights)

    @abstractmethod
    def new_network(self) -> torch.nn.Module:
        """The network with random weights."""

    def last_layer(self) -> torch.nn.Module:
        """What the correction comes out of."""
        *_, last = self.network.modules()
        return last

    def inputs(self, candidates: Candidates) -> dict[str, Array]:
        """Rows of numbers by name, to be scaled: one per program, with its features."""
        return {"program": inputs(candidates)}

    def widths(self) -> dict[str, int]:
        """The length of the rows of each input."""
        return {"program": len(INPUT_NAMES)}

    @abstractmethod
    def structure(self, candidates: Candidates) -> Any:
        """What else the network is called with."""

    def predict(self, candidates: Candidates) -> Array:
        """Short is good."""
        return -np.log(self.seconds(candidates))

    def seconds(self, candidates: Candidates) -> Array:
        """The roofline, corrected."""
        if not self.scale:
            raise InvalidInputError(f"this {self.name} model is not trained; use `update`")
        self.network.eval()
        with one_thread(), torch.inference_mode():
            found = self._corrections(candidates).double().numpy()
        corrected: Array = np.exp(candidates.features[:, ROOFLINE] + found)
        return corrected

    def update(self, candidates: Candidates, seconds: Array) -> None:
        """Train on these samples and all earlier ones."""
        self._seen.append((candidates, seconds))
        with one_thread():
            self._train()

    def _train(self) -> None:
        known = Candidates.joined([c for c, _ in self._seen])
        logs = torch.tensor(np.log(np.concatenate([t for _, t in self._seen]))).float()
        roofline = torch.tensor(known.features[:, ROOFLINE]).float()
        self.__post_init__()  # from the same random weights
        self.scale = self._scale_of(known)
        rng = np.random.default_rng(0)
        tasks = np.unique(known.tasks)
        optimizer = torch.optim.AdamW(self.network.parameters(), RATE, weight_decay=1e-2)
        batches = [
            self._batch(known, np.flatnonzero(np.isin(known.tasks, chosen)))
            for chosen in np.array_split(rng.permutation(tasks), -(-len(tasks) // BATCH_TASKS))
        ]
        steps = self.epochs * len(batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, max(2, steps))
        self.network.train()
        for _ in range(self.epochs):
            for number in rng.permutation(len(batches)):
                rows, inputs, structure = batches[number]
                found = self.network(inputs, structure)
                loss = task_loss(roofline[rows] + found, logs[rows], known.tasks[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
        with torch.no_grad():
            for weights in self.last_layer().parameters():
                weights.mul_(self.trust)

    def save(self, folder: Path) -> None:
        """Weights as safetensors."""
        tensors = {**self.network.state_dict(), **{f"scale.{k}": v for k, v in self.scale.items()}}
        write_description(folder, self.name, weights=safetensors.torch.save(tensors))

    def restore(self, parts: dict[str, bytes]) -> None:
        """Take over the weights of a checked description."""
        try:
            tensors = safetensors.torch.load(parts["weights"])
            scale = {k.removeprefix("scale."): v for k, v in tensors.items() if "scale." in k}
            expected = {
                f"{k}_{w}": (n,) for k, n in self.widths().items() for w in ("mean", "spread")
            }
            if {k: tuple(v.shape) for k, v in scale.items()} != expected:
                raise ValueError("the scale of the inputs has another shape")
            self.network.load_state_dict({k: v for k, v in tensors.items() if "scale." not in k})
        except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise InvalidInputError(f"the weights of this model do not fit: {error}") from error
        self.scale = scale

    def _corrections(self, candidates: Candidates) -> torch.Tensor:
        _, inputs, structure = self._batch(candidates, np.arange(len(candidates)))
        found: torch.Tensor = self.network(inputs, structure)
        return found

    def _batch(
        self, known: Candidates, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], dict[str, torch.Tensor], Any]:
        """`rows` with what the network is called with for them: made once, used in every epoch."""
        chosen = known.chosen(rows)
        inputs = {kind: self._scaled(kind, x) for kind, x in self.inputs(chosen).items()}
        return rows, inputs, self.structure(chosen)

    def _scaled(self, kind: str, rows: Array) -> torch.Tensor:
        values = torch.tensor(rows).float()
        scaled = (values - self.scale[f"{kind}_mean"]) / self.scale[f"{kind}_spread"]
        return scaled.clamp(-LARGEST_INPUT, LARGEST_INPUT)

    def _scale_of(self, candidates: Candidates) -> dict[str, torch.Tensor]:
        found = {}
        for kind, rows in self.inputs(candidates).items():
            found[f"{kind}_mean"] = torch.tensor(rows.mean(axis=0)).float()
            spread = torch.tensor(rows.std(axis=0)).float()
            # A constant input says nothing, and its next value is not to be blown up.
            found[f"{kind}_spread"] = torch.where(spread < SMALLEST_SPREAD, 1.0, spread)
        return found


def task_loss(
    predicted: torch.Tensor, times: torch.Tensor, tasks: npt.NDArray[np.int64]
) -> torch.Tensor:
    """Error of the level of each task, and pairs of its schedules that are out of order, as in
    `pair_loss.py`; tasks count alike. All are logarithms of seconds."""
    numbers = torch.tensor(np.unique(tasks, return_inverse=True)[1])
    count = torch.bincount(numbers).float()
    mean = torch.zeros_like(count).index_add(0, numbers, times - predicted) / count
    level = torch.nn.functional.smooth_l1_loss(mean, torch.zeros_like(mean), beta=0.5)
    together = numbers[:, None] == numbers[None, :]
    longer = times[None, :] - times[:, None]
    sure = torch.where(together & (longer > 0), torch.tanh(longer / (2 * UNSURE)), 0.0)
    ahead = SHARPNESS * (predicted[None, :] - predicted[:, None])
    wrong = sure * torch.nn.functional.softplus(-ahead)
    pairs = (count * (count - 1) / 2).clamp(min=1.0)
    within = torch.zeros_like(count).index_add(0, numbers, wrong.sum(dim=1)) / pairs
    return level + WITHIN * within.mean()
