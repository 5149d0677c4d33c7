"""tilecast-opt: round trip, pipelines, sections, error texts; and the golden hook."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from tilecast.compiler import opt
from tilecast.compiler.opt import load_pipeline, run_opt, split_sections
from tilecast.dialects.errors import InvalidInputError, OptionError

pytest_plugins = ["pytester"]

ADD = """\
func.func @main(%x : tensor<3xf32>) -> tensor<3xf32> {
  %0 = "graph.pointwise"(%x, %x) <{fn = "add"}> : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  func.return %0 : tensor<3xf32>
}
"""
CONFTEST = (Path(__file__).parents[1] / "conftest.py").read_text(encoding="utf-8")


def test_text_round_trips() -> None:
    once = run_opt(ADD)
    assert '"graph.pointwise"(%x, %x)' in once
    assert run_opt(once) == once


def test_generic_form_is_printed_on_request() -> None:
    assert '"func.func"()' in run_opt(ADD, print_op_generic=True)


def test_sections_are_independent_modules() -> None:
    text = ADD + "// -----\n" + ADD  # two functions called main would clash in one module
    assert len(split_sections(text)) == 2
    assert run_opt(text, split_input_file=True).count("func.func @main") == 2


def test_invalid_ir_names_the_reason() -> None:
    with pytest.raises(InvalidInputError, match="no scalar function 'nonsense'"):
        run_opt(ADD.replace('"add"', '"nonsense"'))


def test_text_that_does_not_parse_names_the_file() -> None:
    with pytest.raises(InvalidInputError, match=r"model\.mlir"):
        run_opt("func.func @main(", source="model.mlir")


def test_unknown_pass_lists_the_known_ones() -> None:
    with pytest.raises(OptionError, match=r"'nonsense'.*canonicalize"):
        load_pipeline("nonsense")


def test_malformed_pipeline_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="pass pipeline"):
        load_pipeline("canonicalize{")


def test_command_reports_one_error_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(opt.main, [str(tmp_path / "absent.mlir")])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: cannot read IR text")
    assert "Traceback" not in result.output


def test_command_prints_the_module(tmp_path: Path) -> None:
    path = tmp_path / "add.mlir"
    path.write_text(ADD)
    result = CliRunner().invoke(opt.main, [str(path)])
    assert result.exit_code == 0
    assert result.stdout == run_opt(ADD)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("// RUN: tilecast-opt %s | filecheck %s\n" + ADD + "// CHECK: graph.pointwise", "passed"),
        ("// RUN: tilecast-opt %s | filecheck %s\n" + ADD + "// CHECK: graph.cast", "failed"),
        (ADD, "failed"),
        ("// RUN: tilecast-opt %s\n// EXPECT-ERROR: no scalar function\n" + ADD, "failed"),
        (
            "// RUN: tilecast-opt %s\n// EXPECT-ERROR: no scalar function\n"
            + ADD.replace('"add"', '"nonsense"'),
            "passed",
        ),
        (
            "// RUN: tilecast-opt %s\n// EXPECT-ERROR: another text\n"
            + ADD.replace('"add"', '"nonsense"'),
            "failed",
        ),
    ],
    ids=["match", "mismatch", "no-run-line", "no-error", "expected-error", "other-error"],
)
def test_golden_hook(pytester: pytest.Pytester, body: str, outcome: str) -> None:
    pytester.makeconftest(CONFTEST)
    (pytester.path / "golden.mlir").write_text(body)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(**{outcome: 1})
