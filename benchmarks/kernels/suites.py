"""The suites: name -> `module:function` in this folder that lists the cases."""

from __future__ import annotations

from importlib import import_module

from .case import Case

SUITES = {
    "matmul": "contractions:matmul_cases",
    "linear": "contractions:linear_cases",
    "skinny": "contractions:skinny_cases",
    "few_rows": "contractions:few_rows_cases",
    "matmul_bf16": "contractions:matmul_bf16_cases",
    "linear_bf16": "contractions:linear_bf16_cases",
    "skinny_bf16": "contractions:skinny_bf16_cases",
    "odd": "contractions:odd_cases",
    "memory": "memory_bound:memory_cases",
    "attention": "attention:attention_cases",
    "recurrent": "recurrent:recurrent_cases",
    "functions": "functions:function_cases",
}


def load_suite(name: str) -> dict[str, Case]:
    """The cases of a suite by their names, which are unique."""
    module, _, function = SUITES[name].partition(":")
    cases: list[Case] = getattr(import_module(f".{module}", __package__), function)()
    by_name = {case.name: case for case in cases}
    if len(by_name) != len(cases):
        raise ValueError(f"suite {name} has two cases of the same name")
    return by_name
