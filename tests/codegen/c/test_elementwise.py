"""Each elementwise op x element type x width x ISA: emitted C against the loops interpreter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from tilecast.codegen.c import emit_unit
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from xdsl.parser import Parser

N = 64
INTEGER_PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
F = ("f32", "f64")
I = ("i8", "i16", "i32", "i64")  # noqa: E741
LANES = {"f32": (4, 8, 16, 32), "f64": (2, 4, 8, 16), "i8": (16, 32, 8), "i16": (8, 16, 32),
         "i32": (4, 8, 16, 32), "i64": (2, 4, 8, 16), "i1": (2, 4, 8, 16, 32)}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One op: `text` with {0}.. for operands and {t} for the result type."""

    name: str
    text: str
    operands: tuple[str, ...]
    result: str
    lanes: int = 0
    ulps: int = 0
    before: str = ""  # a line, with {t} as in `text`

    def kernel(self) -> str:
        def type_of(element: str) -> str:
            return f"vector<{self.lanes}x{element}>" if self.lanes else element

        lines = []
        for k, e in enumerate(self.operands):
            load = f"%x{k}[%i] : memref<{N}x{e}>"
            if self.lanes:
                lines.append(f"%v{k} = vector.load {load}, {type_of(e)}")
            else:
                lines.append(f"%v{k} = memref.load {load}")
        names = [f"%v{k}" for k in range(len(self.operands))]
        types = {f"t{k}": type_of(e) for k, e in enumerate(self.operands)}
        lines.append(self.before.format(t=type_of(self.result)))
        lines.append("%r = " + self.text.format(*names, t=type_of(self.result), **types))
        if self.lanes:
            lines.append(
                f"vector.store %r, %out[%i] : memref<{N}x{self.result}>, {type_of(self.result)}"
            )
        else:
            lines.append(f"memref.store %r, %out[%i] : memref<{N}x{self.result}>")
        arguments = ", ".join(f"%x{k}: memref<{N}x{e}>" for k, e in enumerate(self.operands))
        roles = ", ".join(['"in"'] * len(self.operands) + ['"out"'])
        body = "\n      ".join(lines)
        return f"""
  func.func @{self.name}({arguments}, %out: memref<{N}x{self.result}>)
      attributes {{tilecast.roles = [{roles}]}} {{
    %c0 = arith.constant 0 : index
    %n = arith.constant {N} : index
    %s = arith.constant {max(1, self.lanes)} : index
    scf.for %i = %c0 to %n step %s {{
      {body}
    }}
    func.return
  }}"""


def _all(
    name: str,
    text: str,
    elements: tuple[str, ...],
    count: int,
    result: str = "",
    operands: tuple[str, ...] = (),
) -> list[Case]:
    cases = []
    for element in elements:
        inputs = operands or (element,) * count
        for lanes in (0, *LANES[element]):
            if lanes and N % lanes:
                continue
            cases.append(Case(f"{name}_{element}_{lanes}", text, inputs, result or element, lanes))
    return cases


def _cases() -> list[Case]:
    cases: list[Case] = []
    for op in ("addf", "subf", "mulf", "divf", "maximumf", "minimumf", "maxnumf", "minnumf"):
        cases += _all(op, f"arith.{op} {{0}}, {{1}} : {{t}}", F, 2)
    cases += _all("negf", "arith.negf {0} : {t}", F, 1)
    for op in ("absf", "floor", "ceil", "trunc", "roundeven", "round", "sqrt", "rsqrt"):
        cases += _all(op, f"math.{op} {{0}} : {{t}}", F, 1)
    cases += _all("copysign", "math.copysign {0}, {1} : {t}", F, 2)
    cases += _all("fma", "math.fma {0}, {1}, {2} : {t}", F, 3)
    cases += [c for c in _all("vfma", "vector.fma {0}, {1}, {2} : {t}", F, 3) if c.lanes]
    fnma = '"vector.fnma"({0}, {1}, {2}) : ({t}, {t}, {t}) -> {t}'
    cases += [c for c in _all("vfnma", fnma, F, 3) if c.lanes]
    reverse = '"vector.reverse"({0}) : ({t}) -> {t}'
    cases += [c for c in _all("reverse", reverse, (*F, *I, "i1"), 1) if c.lanes]
    for element in (*F, *I, "i1"):
        for lanes in LANES[element]:
            for name, step, count in (("near", 0.5, 1), ("both", 2, 2), ("far", -1, 2)):
                picks = [int(k * step) % (2 * lanes) for k in range(lanes)]
                text = f"vector.shuffle {{0}}, {{{count - 1}}} {picks} : {{t}}, {{t}}"
                kernel = f"shuffle_{name}_{element}_{lanes}"
                cases.append(Case(kernel, text, (element,) * count, element, lanes))
    for op in ("addi", "subi", "muli", "andi", "ori", "xori", "minsi", "maxsi", "minui", "maxui"):
        cases += _all(op, f"arith.{op} {{0}}, {{1}} : {{t}}", I, 2)
    divisor = "%seven = arith.constant dense<7> : {t}"
    for op in ("divsi", "remsi", "divui", "remui", "floordivsi", "ceildivsi"):
        for case in _all(f"{op}_by_7", f"arith.{op} {{0}}, %seven : {{t}}", I, 1):
            if case.lanes:
                cases.append(replace(case, before=divisor))
    for op in ("addi", "muli", "andi", "ori", "xori"):
        cases += _all(op, f"arith.{op} {{0}}, {{1}} : {{t}}", ("i1",), 2)
    cases += _all("absi", "math.absi {0} : {t}", I, 1)
    for predicate in (
        "oeq",
        "ogt",
        "oge",
        "olt",
        "ole",
        "one",
        "ord",
        "ueq",
        "ugt",
        "uge",
        "ult",
        "ule",
        "une",
        "uno",
    ):
        text = f"arith.cmpf {predicate}, {{0}}, {{1}} : {{t0}}"
        number = [
            "false",
            "oeq",
            "ogt",
            "oge",
            "olt",
            "ole",
            "one",
            "ord",
            "ueq",
            "ugt",
            "uge",
            "ult",
            "ule",
            "une",
            "uno",
            "true",
        ].index(predicate)
        cases += _compare("cmpf", predicate, number, text, F)
    for number, predicate in enumerate(INTEGER_PREDICATES):
        text = f"arith.cmpi {predicate}, {{0}}, {{1}} : {{t0}}"
        cases += _compare("cmpi", predicate, number, text, I)
    for element in (*F, *I):
        for lanes in (0, *LANES[element]):
            text = (
                '"vector.select"({0}, {1}, {2}) : ({t0}, {t1}, {t2}) -> {t}'
                if lanes
                else "arith.select {0}, {1}, {2} : {t}"
            )
            cases.append(
                Case(f"select_{element}_{lanes}", text, ("i1", element, element), element, lanes)
            )
    # gcc 12 failed where what is widened from half a register is blended
    for op in ("extui", "extsi"):
        for wide in ("i32", "i64"):
            before = f'%w = "vector.{op}"(%v1) : (vector<8xi8>) -> {{t}}'
            text = '"vector.select"({0}, %w, {2}) : ({t0}, {t2}, {t2}) -> {t}'
            operands = ("i1", "i8", wide)
            cases.append(Case(f"select_{op}_{wide}", text, operands, wide, 8, before=before))
    for op, source, target in _conversions():
        for lanes in (0, 2, 4, 8, 16, 32):
            text = (
                f'"vector.{op}"({{0}}) : ({{t0}}) -> {{t}}'
                if lanes and op not in ("extf", "truncf", "bitcast")
                else f"arith.{op} {{0}} : {{t0}} to {{t}}"
            )
            cases.append(Case(f"{op}_{source}_{target}_{lanes}", text, (source,), target, lanes))
    return cases


def _compare(
    op: str, predicate: str, number: int, text: str, elements: tuple[str, ...]
) -> list[Case]:
    vector = (
        f'"vector.{op}"({{0}}, {{1}}) <{{{{predicate = {number} : i64}}}}> : '
        "({t0}, {t1}) -> {t}"
    )
    return [
        Case(
            f"{op}_{predicate}_{element}_{lanes}",
            vector if lanes else text,
            (element, element),
            "i1",
            lanes,
        )
        for element in elements
        for lanes in (0, *LANES[element])
    ]


def _conversions() -> list[tuple[str, str, str]]:
    pairs = [("extsi", a, b) for k, a in enumerate(I) for b in I[k + 1 :]]
    pairs += [("extui", a, b) for k, a in enumerate(I) for b in I[k + 1 :]]
    pairs += [("trunci", b, a) for k, a in enumerate(I) for b in I[k + 1 :]]
    pairs += [(op, "i1", b) for op in ("extsi", "extui") for b in I]
    pairs += [("trunci", a, "i1") for a in I]
    pairs += [(op, a, b) for op in ("sitofp", "uitofp") for a in ("i1", *I) for b in F]
    pairs += [("fptosi", a, b) for a in F for b in I]
    pairs += [("extf", "f32", "f64"), ("truncf", "f64", "f32")]
    pairs += [
        ("bitcast", a, b)
        for a, b in (("f32", "i32"), ("i32", "f32"), ("f64", "i64"), ("i64", "f64"))
    ]
    return pairs


CASES = _cases()
SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    np.inf,
    -np.inf,
    np.nan,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    1e-40,
    -1e-40,
    3e38,
    -3e38,
]


def _data(case: Case, rng: np.random.Generator) -> list[np.ndarray]:
    arrays = []
    for position, element in enumerate(case.operands):
        if element == "i1":
            arrays.append(rng.integers(0, 2, N).astype(np.bool_))
        elif element in F:
            dtype = np.float32 if element == "f32" else np.float64
            x = (rng.standard_normal(N) * 10).astype(dtype)
            if not case.name.startswith("fptosi"):
                x[:16] = np.roll(np.array(SPECIAL, dtype), 5 * position)
                x[16:24] = SPECIAL[:8]
            arrays.append(x)
        else:
            info = np.iinfo(f"int{element[1:]}")
            x = rng.integers(info.min, info.max, N, dtype=info.dtype, endpoint=True)
            x[:6] = [0, 1, -1, info.min, info.max, 7]
            x[6:12] = x[:6]
            arrays.append(x)
    return arrays


def _dtype(element: str) -> type:
    return {
        "f32": np.float32,
        "f64": np.float64,
        "i1": np.bool_,
        "i8": np.int8,
        "i16": np.int16,
        "i32": np.int32,
        "i64": np.int64,
    }[element]


@pytest.fixture(scope="module")
def functions():
    text = "".join(case.kernel() for case in CASES)
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    return {op.sym_name.data: op for op in module.body.block.ops}


@pytest.fixture(scope="module")
def expected(functions):
    """Inputs of every case, and what the interpreter makes of them; no ISA changes that."""
    rng = np.random.default_rng(0)
    values = {}
    for case in CASES:
        inputs, result = _data(case, rng), np.zeros(N, _dtype(case.result))
        run_kernel(functions[case.name], [*inputs, result])
        values[case.name] = inputs, result
    return values


@pytest.fixture(scope="module")
def source(functions, machine):
    return emit_unit(list(functions.values()), machine)


def test_emitted_ops_match_the_interpreter(source, machine, build, call, expected):
    library = build(source, machine, "-O1")
    wrong = []
    for case in CASES:
        inputs, wanted = expected[case.name]
        actual = np.ones(N, _dtype(case.result))
        call(library, case.name, *inputs, actual)
        if not np.array_equal(wanted, actual, equal_nan=case.result in F):
            where = np.flatnonzero(~((wanted == actual) | (wanted != wanted)))
            wrong.append((case.name, where[:4], wanted[where[:4]], actual[where[:4]]))
    assert not wrong, f"{len(wrong)} of {len(CASES)}: {wrong[:12]}"


def test_sources_are_clean_under_clang(source, machine, check_with_clang):
    check_with_clang(source, machine)
