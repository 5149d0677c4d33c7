"""The model that a compilation asks: by name, in a folder, and what stands in for a damaged one."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from tilecast.costmodel.models.default import PRETRAINED, chosen_model, model_identity
from tilecast.dialects.errors import OptionError


def test_the_pretrained_model_can_be_read_and_knows_how_sure_it_is():
    model = chosen_model("pretrained")
    assert model is not None
    assert model.name == "ensemble"
    assert (PRETRAINED / "README.md").is_file()


def test_names_and_folders():
    assert chosen_model("none") is None
    assert chosen_model(None) is None
    roofline = chosen_model("roofline")
    assert roofline is not None
    assert roofline.name == "roofline"
    with pytest.raises(OptionError, match="expected pretrained, roofline, none or the folder"):
        chosen_model("no/such/folder")


def test_another_schema_makes_way_for_the_roofline(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    described = json.loads((PRETRAINED / "model.json").read_text(encoding="utf-8"))
    described["schema"] = 999
    (tmp_path / "model.json").write_text(json.dumps(described), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        model = chosen_model(str(tmp_path))
    assert model is not None
    assert model.name == "roofline"
    assert "schema 999" in caplog.text


def test_cache_keys_follow_the_content_of_the_model(tmp_path: Path):
    before = model_identity(str(tmp_path))
    (tmp_path / "model.json").write_text("{}", encoding="utf-8")
    assert model_identity(str(tmp_path)) != before
