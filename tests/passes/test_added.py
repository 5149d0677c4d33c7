"""Passes from outside run where they were registered to, and are part of the cache's key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import tilecast
import torch
from tilecast.compiler.pipeline import PIPELINE, pipeline_for
from tilecast.compiler.target import resolve_target
from tilecast.dialects.errors import OptionError
from tilecast.passes.added import added_passes, unregister_pass, with_added
from tilecast.passes.registry import load_pass
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

SEEN: list[str] = []


@dataclass(frozen=True)
class NotePass(ModulePass):
    """Note that it ran."""

    name = "note"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        SEEN.append(op.name)


@dataclass(frozen=True)
class OtherPass(ModulePass):
    """Nothing."""

    name = "other"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pass


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    SEEN.clear()
    yield
    unregister_pass("note")
    unregister_pass("other")


def test_a_pass_follows_each_run_of_another() -> None:
    tilecast.register_pass(NotePass, after="canonicalize")
    tilecast.register_pass(OtherPass, after="note")
    assert with_added(("canonicalize", "fuse")) == ("canonicalize", "note", "other", "fuse")
    stages = pipeline_for(resolve_target("c99"))
    assert [s.name for s in stages] == [s.name for s in PIPELINE]
    assert sum(s.passes.count("note") for s in stages) == 2
    assert load_pass("note") is NotePass
    tilecast.compile(torch.nn.ReLU(), (torch.randn(3),), stop_after="simplify")
    assert SEEN == ["builtin.module"] * 2


def test_without_any_the_pipeline_is_the_list() -> None:
    assert pipeline_for(resolve_target("c99")) == PIPELINE
    assert list(added_passes()) == []


def test_the_key_knows_place_and_code() -> None:
    tilecast.register_pass(NotePass, after="canonicalize")
    (first,) = added_passes()
    unregister_pass("note")
    tilecast.register_pass(NotePass, after="fuse")
    (second,) = added_passes()
    assert first.startswith("note after canonicalize: ")
    assert second.startswith("note after fuse: ")
    assert first.rpartition(": ")[2] == second.rpartition(": ")[2]


def test_names_that_are_taken_or_unknown() -> None:
    tilecast.register_pass(NotePass, after="fuse")
    tilecast.register_pass(NotePass, after="fuse")
    taken = type("Taken", (OtherPass,), {"name": "note"})
    with pytest.raises(OptionError, match="'note' is registered already"):
        tilecast.register_pass(taken, after="fuse")
    with pytest.raises(OptionError, match="no pass is called 'nowhere'; known passes: canon"):
        tilecast.register_pass(OtherPass, after="nowhere")
