"""Models of registers, spills and instructions: they learn, come back from files, refuse others."""

from __future__ import annotations

import json
import pickle
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tilecast.costmodel.data.objects import ObjectSample, object_of
from tilecast.costmodel.data.samples import DataSet
from tilecast.costmodel.evaluation.objects import NAMES, Held, held_out, object_figures
from tilecast.costmodel.models.files import DESCRIPTION, digest
from tilecast.costmodel.models.object_tokens import LONGEST, ObjectTokensModel
from tilecast.costmodel.models.object_trees import LiveModel, ObjectTreesModel
from tilecast.dialects.errors import InvalidInputError


def sample(number: int) -> ObjectSample:
    """A kernel of which registers and instructions follow from the lines."""
    rng = random.Random(number)
    live, count = rng.randint(2, 6), rng.randint(5, 20)
    lines = [f"vector.load:16xf32 v{k + 1} i1 uses1 <argument" for k in range(live)]
    lines += [f"vector.fma:16xf32 v{live} i1 uses1 <1 <2!"] * count
    labels = (live + 1, 0, 3 * live + 2 * count)
    return ObjectSample(f"f{number % 8}", f"p{number}", "avx512", tuple(lines), live, 1, *labels)


SAMPLES = [sample(k) for k in range(120)]


@pytest.fixture(scope="module")
def trained() -> ObjectTokensModel:
    model = ObjectTokensModel(epochs=20)
    model.train(SAMPLES[:96])
    return model


def test_kernels_that_were_not_seen_are_predicted(trained: ObjectTokensModel) -> None:
    found, rest = trained.predict(SAMPLES[96:]), SAMPLES[96:]
    registers = np.array([s.registers for s in rest])
    assert (found["registers"] == registers).mean() >= 0.9
    ratios = found["instructions"] / np.array([s.instructions for s in rest])
    assert np.median(np.abs(ratios - 1)) < 0.1
    assert found["spills"].max() == 0


def test_the_model_comes_back_from_its_files(trained: ObjectTokensModel, tmp_path: Path) -> None:
    trained.save(tmp_path)
    again = ObjectTokensModel.loaded(tmp_path).predict(SAMPLES[:20])
    for label, values in trained.predict(SAMPLES[:20]).items():
        assert again[label].tolist() == values.tolist()


def replace_part(folder: Path, name: str, data: bytes) -> None:
    """A part of other content, its digest right."""
    (folder / name).write_bytes(data)
    described = json.loads((folder / DESCRIPTION).read_text())
    described["parts"][name] = {"bytes": len(data), "blake2b": digest(data)}
    (folder / DESCRIPTION).write_text(json.dumps(described))


SETTINGS = {"operands": True, "live": True, "words": ["?"]}
HOSTILE = {
    "pickled weights": ("weights", pickle.dumps({"w": 1})),
    "absurd header": ("weights", (2**60).to_bytes(8, "little") + b"{}"),
    "pickled words": ("words", pickle.dumps(SETTINGS)),
    "other words": ("words", json.dumps(SETTINGS).encode()),
    "many words": ("words", json.dumps({**SETTINGS, "words": ["w"] * 10**5}).encode()),
    "numbers": ("words", json.dumps({**SETTINGS, "words": [1, 2]}).encode()),
    "deep": ("words", b"[" * 10**5),
    "nothing": ("words", b""),
}


@pytest.mark.parametrize(("name", "data"), HOSTILE.values(), ids=HOSTILE)
def test_other_parts_are_refused(
    trained: ObjectTokensModel, tmp_path: Path, name: str, data: bytes
) -> None:
    trained.save(tmp_path)
    replace_part(tmp_path, name, data)
    with pytest.raises(InvalidInputError, match="do not fit"):
        ObjectTokensModel.loaded(tmp_path)


def test_long_kernels_are_cut_and_untrained_models_refuse(trained: ObjectTokensModel) -> None:
    long = replace(SAMPLES[0], lines=SAMPLES[0].lines * 400)
    assert len(long.lines) > 4 * LONGEST
    short, much = trained.predict([SAMPLES[0], long])["instructions"]
    assert much > 50 * short
    with pytest.raises(InvalidInputError, match="not trained"):
        ObjectTokensModel().predict(SAMPLES)


def test_trees_and_live_values_are_compared_by_family() -> None:
    held = held_out(ObjectTreesModel, SAMPLES)
    assert object_figures(held)["instructions, median error"].value < 0.15
    figures = object_figures(held_out(LiveModel, SAMPLES))
    assert list(figures) == list(NAMES)
    assert figures["exact registers"].value == 1.0


def test_figures() -> None:
    measured = {n: np.array([10.0, 20.0, 30.0, 50.0]) for n in ("registers", "spills")}
    measured["instructions"] = np.array([10.0, 20.0, 30.0, 50.0])
    predicted = {**measured, "registers": np.array([10.0, 21.0, 30.0, 54.0])}
    found = object_figures(Held(["a", "a", "b", "b"], measured, predicted))
    assert found["exact registers"].value == 0.5
    assert found["within one"].value == 0.75
    assert found["nRMSE registers"].value == pytest.approx((17 / 4) ** 0.5 / 40)
    assert found["nRMSE spills"].value == 0.0


def test_samples_come_back_and_others_are_refused(tmp_path: Path) -> None:
    data = DataSet(tmp_path)
    for s in SAMPLES[:3]:
        data.add_object(s)
    data.add_object(SAMPLES[0])
    assert data.objects() == SAMPLES[:3]
    good = {**vars(SAMPLES[0])}
    for change in ({"registers": -1}, {"registers": 1.5}, {"lines": [1]}, {"spills": 10**9}):
        with pytest.raises(InvalidInputError, match="no sample"):
            object_of({**good, **change})
    with pytest.raises(InvalidInputError, match="no sample"):
        object_of({**good, "extra": 1})
