"""`tokens` on object code: registers, spills and instructions of a kernel from its loops' words.

Trained on samples of one kind of target (C objects, or GPUs); `operands=False` is the vocabulary of
ops alone.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch

from ...dialects.errors import InvalidInputError
from ..data.objects import ObjectSample
from ..features.nests import Array
from .corrections import one_thread
from .files import read_description, write_description
from .object_network import (
    MOST_REGISTERS,
    SCALARS,
    Batch,
    Counts,
    Line,
    ObjectNetwork,
    batch_of,
)

EPOCHS = 14
BATCH = 24
RATE = 3e-3
LONGEST = 384
WORDS_OF_A_LINE = 11
FEWEST = 3  # occurrences of a word that the vocabulary has
MOST_WORDS = 2048
SPREAD = 0.6  # of the target distribution around the right number of registers
UNKNOWN = "?"
LIVE_WORDS = re.compile(r" v(\d+) i(\d+)")


@dataclass
class ObjectTokensModel:
    """Predicts `ObjectSample`s from their lines and counts of live values."""

    operands: bool = True
    live: bool = True
    epochs: int = EPOCHS
    name: str = "object_tokens"
    words: dict[str, int] = field(default_factory=dict)
    network: ObjectNetwork = field(init=False)

    def train(self, samples: Sequence[ObjectSample]) -> None:
        """From nothing, on these samples."""
        counts = Counter(w for s in samples for line in s.lines for w in self._of_line(line))
        known = [w for w, n in counts.most_common(MOST_WORDS) if n >= FEWEST]
        self.words = {w: k for k, w in enumerate([UNKNOWN, *known], 1)}
        with one_thread(), torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = ObjectNetwork(len(self.words) + 1)
            self._train(samples)

    def predict(self, samples: Sequence[ObjectSample]) -> dict[str, Array]:
        """registers (whole numbers), spills and instructions of each kernel, from words."""
        if not self.words:
            raise InvalidInputError(f"this {self.name} model is not trained; use `train`")
        found = {name: np.zeros(len(samples)) for name in ("registers", "spills", "instructions")}
        self.network.eval()
        with one_thread(), torch.inference_mode():
            for rows in self._batches(samples):
                counts = self.network(self._batch([samples[k] for k in rows]))
                chance = torch.softmax(counts.registers, dim=1).cumsum(dim=1)
                # The median: what is off by one as often in one direction as in the other.
                found["registers"][rows] = (chance < 0.5).sum(dim=1).double().numpy()
                found["spills"][rows] = np.round(
                    np.expm1(counts.spills.double().clamp(0, 16).numpy())
                )
                found["instructions"][rows] = np.expm1(counts.instructions.double().numpy())
        return found

    def save(self, folder: Path) -> None:
        """Words as JSON, weights as safetensors."""
        settings = {"operands": self.operands, "live": self.live, "words": list(self.words)}
        weights = safetensors.torch.save(self.network.state_dict())
        write_description(folder, self.name, words=json.dumps(settings).encode(), weights=weights)

    @staticmethod
    def loaded(folder: Path) -> ObjectTokensModel:
        """The model that `save` wrote; InvalidInputError for anything else."""
        kind, parts = read_description(folder)
        if kind != ObjectTokensModel.name:
            raise InvalidInputError(f"{folder}: expected a model {ObjectTokensModel.name!r}")
        return ObjectTokensModel.restored(parts)

    @staticmethod
    def restored(parts: dict[str, bytes]) -> ObjectTokensModel:
        """The model of a checked description."""
        try:
            data = json.loads(parts["words"])
            words, flags = data["words"], (data["operands"], data["live"])
            if not (isinstance(words, list) and all(isinstance(w, str) for w in words)):
                raise ValueError("words are a list of texts")
            if len(words) > MOST_WORDS + 1 or any(type(f) is not bool for f in flags):
                raise ValueError(f"expected at most {MOST_WORDS} words and two flags")
            model = ObjectTokensModel(*flags)
            model.words = {w: k for k, w in enumerate(words, 1)}
            model.network = ObjectNetwork(len(words) + 1)
            model.network.load_state_dict(safetensors.torch.load(parts["weights"]))
        except (
            *(safetensors.SafetensorError, KeyError, TypeError, ValueError, RuntimeError),
            RecursionError,
        ) as error:
            raise InvalidInputError(f"the parts of this model do not fit: {error}") from error
        return model

    def _train(self, samples: Sequence[ObjectSample]) -> None:
        batches = self._batches(samples)
        made = [(self._batch([samples[k] for k in rows]), rows) for rows in batches]
        registers = torch.tensor([min(s.registers, MOST_REGISTERS - 1) for s in samples])
        spills = torch.log1p(torch.tensor([float(s.spills) for s in samples]))
        instructions = torch.log1p(torch.tensor([float(s.instructions) for s in samples]))
        optimizer = torch.optim.AdamW(self.network.parameters(), RATE, weight_decay=1e-3)
        steps = max(2, self.epochs * len(made))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
        rng = np.random.default_rng(0)
        self.network.train()
        for _ in range(self.epochs):
            for number in rng.permutation(len(made)):
                batch, rows = made[number]
                found = self.network(batch)
                loss = object_loss(found, registers[rows], spills[rows], instructions[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
                optimizer.step()
                schedule.step()

    def _batches(self, samples: Sequence[ObjectSample]) -> list[list[int]]:
        """Numbers of samples with about equally many lines, so that little is padding."""
        order = sorted(range(len(samples)), key=lambda k: min(LONGEST, len(samples[k].lines)))
        return [order[k : k + BATCH] for k in range(0, len(order), BATCH)]

    def _batch(self, samples: Sequence[ObjectSample]) -> Batch:
        kernels = [[self._line(line) for line in s.lines] for s in samples]
        scalars = torch.zeros(len(samples), SCALARS)
        for row, s in enumerate(samples):
            live = (s.live_vectors, s.live_integers) if self.live else (0, 0)
            scalars[row] = torch.tensor(
                [*(n / 32 for n in live), np.log1p(len(s.lines)) / 5, s.target == "sm_90"]
            )
        return batch_of(kernels, scalars, LONGEST)

    def _line(self, line: str) -> Line:
        numbers = [self.words.get(w, self.words[UNKNOWN]) for w in self._of_line(line)]
        found = LIVE_WORDS.search(line) if self.live else None
        live = (int(found[1]) / 16, int(found[2]) / 16) if found else (0.0, 0.0)
        return Line(numbers, live)

    def _of_line(self, line: str) -> list[str]:
        words = LIVE_WORDS.sub("", line, count=1).split(" ")
        return words[:WORDS_OF_A_LINE] if self.operands else words[:1]


def object_loss(
    found: Counts, registers: torch.Tensor, spills: torch.Tensor, instructions: torch.Tensor
) -> torch.Tensor:
    """Cross entropy with what is around the right number, and errors of logarithms."""
    numbers = torch.arange(MOST_REGISTERS)[None, :]
    target = torch.softmax(-(((numbers - registers[:, None]) / SPREAD) ** 2) / 2, dim=1)
    chosen = torch.nn.functional.cross_entropy(found.registers, target)
    others = torch.nn.functional.smooth_l1_loss(found.spills, spills, beta=0.5)
    amount = torch.nn.functional.smooth_l1_loss(found.instructions, instructions, beta=0.1)
    return chosen + 0.5 * others + 4 * amount
