"""Every model: ranks what it can know, comes back from its file, refuses what is none."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import safetensors.torch
import torch
from tilecast.costmodel.features.nests import ScheduledProgram, StatementFacts, StatementNest
from tilecast.costmodel.features.program import PROGRAM_NAMES, ROOFLINE
from tilecast.costmodel.features.statement import STATEMENT_NAMES
from tilecast.costmodel.models import ensemble, ranking
from tilecast.costmodel.models.files import DESCRIPTION, digest
from tilecast.costmodel.models.interface import Candidates, slowdowns
from tilecast.costmodel.models.load import MODELS, load_model, new_model
from tilecast.costmodel.models.loop_trees import LoopTrees
from tilecast.costmodel.models.tokens import WORDS, statement_tokens
from tilecast.dialects.errors import InvalidInputError, OptionError

FACTS = StatementFacts("S", (8, 8), 64.0, {"add": 1}, "f32", False, (), ())


def program(depth: int) -> ScheduledProgram:
    """Two statements, the second one inside of one more loop than the first."""
    nests = []
    for loops in (depth, depth + 1):
        numbers = np.arange(loops)
        free = np.ones((loops + 1, 2))
        trips, largest = 2.0 + numbers, np.ones(loops)
        nests.append(StatementNest(FACTS, trips, 0 * numbers, 0 * numbers, numbers, free, largest))
    return ScheduledProgram(tuple(nests), 1)


def samples(tasks: int, each: int, seed: int) -> tuple[Candidates, np.ndarray]:
    """Candidates whose time is the roofline's, times what one feature says; that of the second
    statement says the same."""
    rng = np.random.default_rng(seed)
    count = tasks * each
    features = rng.normal(size=(count, len(PROGRAM_NAMES)))
    features[:, ROOFLINE] = np.repeat(rng.normal(size=tasks), each)
    statements = np.abs(rng.normal(size=(count, 2, len(STATEMENT_NAMES))))
    statements[:, 1, 20] = features[:, 20]
    numbers = np.repeat(np.arange(tasks), each) + 100 * seed
    programs = [program(k % 3) for k in range(count)]
    seconds = np.exp(features[:, ROOFLINE] + features[:, 20])
    return Candidates(programs, features, list(statements), numbers), seconds


@pytest.fixture(scope="module")
def trained():
    """The trained models by name."""
    gbdt, recursive = new_model("gbdt"), new_model("recursive")
    gbdt.rounds, gbdt.ranking_rounds, recursive.epochs = 60, 90, 15
    recursive.trust = 1.0  # all tasks are alike here
    gbdt.update(*samples(30, 20, 0))
    recursive.update(*samples(60, 20, 0))
    several = new_model("ensemble")
    several.ranking_rounds = 60
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "ROUNDS", 80)
        several.update(*samples(30, 20, 0))
    return {"gbdt": gbdt, "recursive": recursive, "ensemble": several}


@pytest.mark.parametrize("name", ["gbdt", "recursive", "ensemble"])
def test_models_learn_order_and_seconds_of_tasks_they_have_not_seen(trained, name):
    unseen, seconds = samples(10, 20, 1)
    scores, predicted = trained[name].predict(unseen), trained[name].seconds(unseen)
    for task in range(10):
        rows = np.flatnonzero(unseen.tasks == 100 + task)
        assert np.corrcoef(scores[rows], -np.log(seconds[rows]))[0, 1] > 0.3
    assert np.median(np.abs(np.log(predicted / seconds))) < 0.3


def test_updates_add_to_what_was_learned(trained):
    once, twice = new_model("gbdt"), new_model("gbdt")
    for model in (once, twice):
        model.rounds = model.ranking_rounds = 30
    once.update(*samples(4, 20, 0))
    for tasks, seed in ((4, 0), (30, 5)):
        twice.update(*samples(tasks, 20, seed))
    unseen, seconds = samples(10, 20, 1)

    def error(model):
        return np.abs(np.log(model.seconds(unseen) / seconds)).mean()

    assert error(twice) < error(once)


def test_a_correction_is_made_by_the_share_that_is_trusted():
    known, seconds = samples(3, 5, 0)
    found = []
    for trust in (1.0, 0.25):
        model = new_model("recursive")
        model.epochs, model.trust = 2, trust
        model.update(known, seconds)
        found.append(np.log(model.seconds(known)) - known.features[:, ROOFLINE])
    assert np.abs(found[0]).max() > 1e-4
    assert found[1] == pytest.approx(found[0] / 4, rel=1e-3, abs=1e-6)


def test_models_come_back_from_their_files(trained, tmp_path):
    unseen, _ = samples(3, 20, 2)
    for name in MODELS:
        model = trained.get(name) or new_model(name)
        if name == "tokens":
            model.epochs = 1
            model.update(*samples(3, 5, 0))
        model.save(tmp_path / name)
        again = load_model(tmp_path / name)
        assert again.name == name
        if name != "random":
            assert again.predict(unseen) == pytest.approx(model.predict(unseen))
            assert again.seconds(unseen) == pytest.approx(model.seconds(unseen))


def test_trees_in_numpy_say_what_lightgbm_says(trained, monkeypatch):
    unseen, _ = samples(3, 20, 2)
    model = trained["ensemble"]
    quick, scores = model.log_seconds(unseen), model.predict(unseen)
    assert np.ptp(quick, axis=0).max() > 0  # members are not the same
    monkeypatch.setattr(ensemble, "FEW", 0)
    monkeypatch.setattr(ranking, "FEW", 0)
    assert model.log_seconds(unseen) == pytest.approx(quick)
    assert model.predict(unseen) == pytest.approx(scores)


def test_importance_finds_the_feature_that_matters(trained):
    assert next(iter(trained["gbdt"].importance())) == PROGRAM_NAMES[20]


def test_untrained_and_unknown_models_are_refused():
    for name in ("gbdt", "ensemble", "recursive", "tokens"):
        with pytest.raises(InvalidInputError, match="not trained"):
            new_model(name).predict(samples(1, 2, 0)[0])
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
    "an infinite size": lambda f: rewrite(
        f, parts={"ranker": {"bytes": float("inf"), "blake2b": ""}}
    ),
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
    trained["gbdt"].save(tmp_path)
    load_model(tmp_path)
    change(tmp_path)
    with pytest.raises(InvalidInputError):
        load_model(tmp_path)


def replace_weights(folder, data):
    (folder / "weights").write_bytes(data)
    rewrite(folder, parts={"weights": {"bytes": len(data), "blake2b": digest(data)}})


WEIGHTS = {
    "a pickle": pickle.dumps({"weights": 1}),
    "nothing": b"",
    "an absurd header": (2**60).to_bytes(8, "little") + b"{}",
    "no tensors": safetensors.torch.save({}),
    "other shapes": safetensors.torch.save({"program.0.weight": torch.zeros(1)}),
}


@pytest.mark.parametrize("data", WEIGHTS.values(), ids=WEIGHTS)
def test_other_weights_are_refused(trained, tmp_path, data):
    trained["recursive"].save(tmp_path)
    replace_weights(tmp_path, data)
    with pytest.raises(InvalidInputError, match="do not fit"):
        load_model(tmp_path)


def test_training_is_repeatable():
    unseen, _ = samples(2, 10, 3)
    models = [new_model("recursive") for _ in range(2)]
    for model in models:
        model.epochs = 2
        model.update(*samples(5, 10, 0))
    assert models[0].predict(unseen).tolist() == models[1].predict(unseen).tolist()


def test_tokens_tell_loops_and_sizes_apart():
    nest = program(2).nests[0]
    words = [WORDS[t] for t in statement_tokens(nest)]
    assert words == ["statement", "f32", "add", "size 0", "for", "size 2", "for", "size 3"]


def test_a_statement_beside_a_loop_is_in_the_loop_around_both():
    levels = LoopTrees.of([program(1), program(1)]).levels
    assert [len(level.children) for level in levels] == [2, 2, 2]
    assert levels[1].children == [[(True, 0), (False, 0)], [(True, 2), (False, 1)]]
    assert levels[2].children == [[(True, 1)], [(True, 3)]]
