"""Which form of a product is predicted to be the fastest."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tilecast.passes.loops.lower_opaque  # noqa: F401  (registers the rules)
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.quant import parse_format
from tilecast.passes.loops.lowbit.dots import Dots
from tilecast.passes.loops.lowbit.forms import Problem, choose_form, possible_forms

PLAIN = Machine("x86-64-v4", "avx512", (), 64, 32)
AVX512 = Machine("x86-64-v4", "avx512", ("avx512_vnni",), 64, 32)
AVX2 = Machine("x86-64-v3", "avx2", (), 32, 16)


def problem(
    bits: int,
    rows: int,
    activations: str = "f32",
    outputs: int = 4096,
    machine: Machine = AVX512,
) -> Problem:
    format = parse_format(f"u{bits}:g128")
    return Problem(format, activations, rows, outputs, 4096, machine)


@pytest.mark.parametrize(
    ("bits", "rows", "form"),
    [(1, 1, "tables"), (4, 1, "digits"), (8, 1, "registers"), (4, 64, "blocks")],
)
def test_the_form_follows_bits_and_rows(bits: int, rows: int, form: str) -> None:
    assert choose_form(problem(bits, rows, machine=PLAIN)).name == form


@pytest.mark.parametrize(
    ("bits", "rows", "form"),
    [
        (1, 1, "byte tables"),
        (1, 64, "byte tables"),
        (2, 1, "digits"),
        (4, 2, "digits"),
        (8, 2, "registers"),
        (4, 4, "registers"),
        (4, 64, "blocks"),
    ],
)
def test_machines_without_products_of_bytes_look_up_or_take_digits(
    bits: int, rows: int, form: str
) -> None:
    assert choose_form(problem(bits, rows, machine=AVX2)).name == form


@pytest.mark.parametrize("bits", range(1, 9))
def test_sums_of_pairs_hold_what_they_are_given(bits: int) -> None:
    dots = Dots(bits, in_pairs=True)
    quads = dots.quads
    assert quads is not None
    assert dots.holds(quads)
    assert not dots.holds(quads + 1)
    widest = max(width for _, width in dots.limbs)
    assert quads * 2 * 128 * (2**widest - 1) < 2**15
    assert sum(width for _, width in dots.limbs) == bits


@pytest.mark.parametrize(
    ("bits", "rows", "form"), [(1, 1, "tables"), (2, 1, "digits"), (4, 64, "digits")]
)
def test_instructions_for_bytes_make_digits_of_f32(bits: int, rows: int, form: str) -> None:
    assert choose_form(problem(bits, rows)).name == form


@pytest.mark.parametrize("format", ["nf4:g64", "e2m1:mx", "iq4nl:g8", "kmeans4"])
def test_tables_of_sixteen_are_planes_of_bytes_where_no_register_holds_them(format: str) -> None:
    def chosen(rows: int, machine: Machine) -> str:
        return choose_form(Problem(parse_format(format), "f32", rows, 4096, 4096, machine)).name

    assert chosen(1, AVX2) == "planes"
    assert chosen(8, AVX2) != "planes"
    assert chosen(1, AVX512) == chosen(1, PLAIN) == "registers"


def test_tables_of_bytes_are_for_registers_that_hold_no_table_of_floats() -> None:
    assert "byte tables" in [form.name for form in possible_forms(problem(1, 1, machine=AVX2))]
    for machine in (PLAIN, AVX512):
        forms = possible_forms(problem(1, 1, machine=machine))
        assert "byte tables" not in [form.name for form in forms]


@pytest.mark.parametrize("format", ["u4:g64", "kmeans3:g64", "e2m2:mx"])
def test_other_tables_are_no_planes(format: str) -> None:
    wide = Problem(parse_format(format), "f32", 1, 4096, 4096, AVX2)
    assert "planes" not in [form.name for form in possible_forms(wide)]


def test_floats_are_not_multiplied_in_digits() -> None:
    floats = Problem(parse_format("e2m1:mx"), "f32", 64, 4096, 4096, AVX512)
    assert "digits" not in [form.name for form in possible_forms(floats)]


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_rounded_activations_are_multiplied_as_integers(activations: str) -> None:
    assert choose_form(problem(4, 16, activations)).name == "integers"
    assert choose_form(problem(4, 16, activations, machine=AVX2)).name == "integers"


def test_words_whose_sums_do_not_fit_are_floats() -> None:
    long = Problem(parse_format("u8:g512"), "int16", 16, 4096, 4096, AVX2)
    assert "integers" not in [form.name for form in possible_forms(long)]
    assert "integers" in [form.name for form in possible_forms(replace(long, activations="int8"))]


@pytest.mark.parametrize("rows", [1, 4, 16, 64, 256])
@pytest.mark.parametrize("activations", ["f32", "int8"])
@pytest.mark.parametrize("machine", [AVX512, AVX2])
def test_no_width_is_a_cliff(machine: Machine, rows: int, activations: str) -> None:
    found = [problem(bits, rows, activations, machine=machine) for bits in range(1, 9)]
    times = [choose_form(p).time(p) for p in found]
    for before, here, after in zip(times, times[1:], times[2:], strict=False):
        assert here <= 1.3 * (before + after) / 2


def test_tables_have_to_pay_for_themselves() -> None:
    few, many = problem(1, 1, outputs=16), problem(1, 1)
    tables = next(form for form in possible_forms(few) if form.name == "tables")
    assert tables.time(few) > 2 * tables.time(many)
