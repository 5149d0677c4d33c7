"""Every model: ranks what it can know, comes back from its file, refuses what is none."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from tilecast.costmodel.features.program import PROGRAM_NAMES, ROOFLINE
from tilecast.costmodel.models.files import DESCRIPTION, digest
from tilecast.costmodel.models.interface import Candidates, slowdowns
from tilecast.costmodel.models.load import MODELS, load_model, new_model
from tilecast.dialects.errors import InvalidInputError, OptionError


def samples(tasks: int, each: int, seed: int) -> tuple[Candidates, np.ndarray]:
    """Candidates whose time is the roofline's, times what one feature says."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(tasks * each, len(PROGRAM_NAMES)))
    numbers = np.repeat(np.arange(tasks), each) + 100 * seed
    features[:, ROOFLINE] = np.repeat(rng.normal(size=tasks), each)
    seconds = np.exp(features[:, ROOFLINE] + features[:, 20])
    return Candidates([None] * len(features), features, [None] * len(features), numbers), seconds


@pytest.fixture(scope="module")
def trained():
    model = new_model("gbdt")
    model.rounds = 60
    model.update(*samples(30, 20, 0))
    return model


def test_gbdt_learns_order_and_seconds_of_tasks_it_has_not_seen(trained):
    unseen, seconds = samples(10, 20, 1)
    scores, predicted = trained.predict(unseen), trained.seconds(unseen)
    for task in range(10):
        rows = np.flatnonzero(unseen.tasks == 100 + task)
        assert np.corrcoef(scores[rows], -np.log(seconds[rows]))[0, 1] > 0.6
    assert np.median(np.abs(np.log(predicted / seconds))) < 0.3


def test_updates_add_to_what_was_learned(trained):
    once, twice = new_model("gbdt"), new_model("gbdt")
    once.rounds = twice.rounds = 20
    once.update(*samples(10, 20, 0))
    for seed in (0, 5):
        twice.update(*samples(10, 20, seed))
    unseen, seconds = samples(10, 20, 1)

    def error(model):
        return np.abs(np.log(model.seconds(unseen) / seconds)).mean()

    assert error(twice) < error(once)


def test_models_come_back_from_their_files(trained, tmp_path):
    unseen, _ = samples(3, 20, 2)
    for name in MODELS:
        model = trained if name == "gbdt" else new_model(name)
        model.save(tmp_path / name)
        again = load_model(tmp_path / name)
        assert again.name == name
        if name != "random":
            assert again.predict(unseen) == pytest.approx(model.predict(unseen))
            assert again.seconds(unseen) == pytest.approx(model.seconds(unseen))


def test_importance_finds_the_feature_that_matters(trained):
    assert next(iter(trained.importance())) == PROGRAM_NAMES[20]


def test_untrained_and_unknown_models_are_refused():
    with pytest.raises(InvalidInputError, match="not trained"):
        new_model("gbdt").predict(samples(1, 2, 0)[0])
    with pytest.raises(OptionError, match="there are random, roofline"):
        new_model("oracle")


def test_slowdowns_are_relative_to_the_best_of_a_task():
    found = slowdowns(np.array([0, 0, 2]), np.array([2.0, 1.0, 5.0]))
    assert found.tolist() == [2.0, 1.0, 1.0]


def rewrite(folder, **changes):
    """Change fields of model.json."""
    path = folder / DESCRIPTION
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def replace_part(folder, text):
    """A ranker of another text, its digest right."""
    (folder / "ranker").write_text(text)
    described = json.loads((folder / DESCRIPTION).read_text())["parts"]
    described["ranker"] = {"bytes": len(text.encode()), "blake2b": digest(text.encode())}
    rewrite(folder, parts=described)


def truncate(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-100])


class Evil:
    def __reduce__(self):
        raise AssertionError("a pickle was made or loaded")


HOSTILE = {
    "no description": lambda f: (f / DESCRIPTION).unlink(),
    "no part": lambda f: (f / "ranker").unlink(),
    "truncated description": lambda f: truncate(f, DESCRIPTION),
    "truncated part": lambda f: truncate(f, "ranker"),
    "a pickle": lambda f: (f / DESCRIPTION).write_bytes(pickle.dumps({"schema": 1})),
    "another schema": lambda f: rewrite(f, schema=0),
    "other features": lambda f: rewrite(f, features="0" * 32),
    "unknown kind": lambda f: rewrite(f, kind="os.system"),
    "kind of another type": lambda f: rewrite(f, kind=["gbdt"]),
    "path as a name": lambda f: rewrite(f, parts={"../ranker": {"bytes": 1, "blake2b": ""}}),
    "absurd size": lambda f: rewrite(f, parts={"ranker": {"bytes": 10**15, "blake2b": ""}}),
    "negative size": lambda f: rewrite(f, parts={"ranker": {"bytes": -1, "blake2b": ""}}),
    "deep nesting": lambda f: (f / DESCRIPTION).write_text("[" * 100_000),
    "a large description": lambda f: (f / DESCRIPTION).write_text(" " * (2**20 + 1)),
    "an empty part": lambda f: replace_part(f, ""),
    "fewer features": lambda f: replace_part(f, "tree\nmax_feature_idx=3\n"),
    "a child that is not there": lambda f: replace_part(
        f, re_sub(f, r"(?m)^left_child=\S+", "left_child=99999")
    ),
    "a feature that is not there": lambda f: replace_part(
        f, re_sub(f, r"(?m)^split_feature=\S+", "split_feature=99999")
    ),
    "a missing leaf": lambda f: replace_part(f, re_sub(f, r"(?m)^leaf_value=\S+ ", "leaf_value=")),
    "a loop of nodes": lambda f: replace_part(f, re_sub(f, r"(?m)^left_child=\S+", "left_child=0")),
}


def re_sub(folder, pattern, replacement):
    import re

    return re.sub(pattern, replacement, (folder / "ranker").read_text(), count=1)


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_other_files_are_refused(trained, tmp_path, change):
    trained.save(tmp_path)
    load_model(tmp_path)
    change(tmp_path)
    with pytest.raises(InvalidInputError):
        load_model(tmp_path)
