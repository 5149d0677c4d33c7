"""The forms that the loops of `quant.linear` take, and which of them is predicted to be fastest.

A form says where it is possible, how many cycles a period (32 elements of K) of one vector of
outputs takes on one core, for all rows, and how many go into preparing the activations of a period.
The words come from memory meanwhile. `choose_form` is the only place that decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ....costmodel.hardware import Machine
from ....costmodel.matrix_unit import LEAST_ROWS, WORDS, has_matrix_unit
from ....dialects.graph import shape_of
from ....dialects.quant import PERIOD, FloatElement, IntegerElement, WeightFormat, byte_parts
from ....dialects.quant.activations import LARGEST, MOST
from ....dialects.quant.ops import QuantizedLinearOp
from ....dialects.quant.quad_fields import QUADS, quad_pieces
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from .activations import DIGITS
from .apart import is_crowded
from .block_product import lower_block_product, scales_sums
from .byte_table_product import VECTORS, lower_byte_table_product
from .decode import MOST_CODEBOOK_TABLES
from .digit_tables import PIECE, TABLE_DIGITS
from .dots import Dots, has_pairs
from .integer_product import BYTES, lower_digit_product, lower_integer_product
from .matrix_unit_product import lower_matrix_unit_product
from .panels import block_tile, integer_tile, register_tile
from .plane_product import ELEMENTS, WIDTH, lower_plane_product, planes_of
from .register_product import lower_register_product
from .table_product import ENTRIES, NIBBLES, lower_table_product

Lower = Callable[[QuantizedLinearOp, OpaqueKernel, LoopBuilder], None]

# Cycles of an instruction on registers of 512 bits (Zen 4, similar on others): a multiply-add;
# shifts, permutations and other steps of decoding, of which more than one runs at a time; a store;
# what multiplies bytes in pairs and adds. Shorter registers take half as long.
FMA, STEP, STORE, PAIR = 1.0, 0.45, 1.0, 0.72
SCALING = 5.0  # a sum of products of integers is taken from memory, scaled, and added to another
HIDDEN = 0.6  # of steps of decoding between products of bytes, which other units do meanwhile
WAITING = 1.08  # multiply-adds that wait for a block's numbers
CHAINS = 8  # sums that keep the multiply-adds busy
TOTALS = 3.5  # of a period: sums of 32 bits that those of 16 bits leave no registers for
JOINING = 2.5  # a digit's sum is rid of its zero point, converted and added
SHARED = 1.15  # multiply-adds that wait for the steps of decoding between them
LOOKUP = 2.5  # of bytes: a table is read, and half of three additions of what two have
JOINED = 12.0  # digits of a sum become a number
FAR_TABLE = 2.0  # a table that the second-level cache does not hold, by vector that uses it
CORE_BYTES = 4.0  # that a core reads from memory per cycle, all cores reading
LONGEST_EXACT = 2**31 - 1
LONG = 16  # lanes of registers of 512 bits
BLOCK_ROWS = 2048  # sums of a block of rows are on the stack


@dataclass(frozen=True)
class Problem:
    """A product with a quantized weight on a machine."""

    format: WeightFormat
    activations: str
    rows: int
    outputs: int
    columns: int
    machine: Machine

    @staticmethod
    def of(op: QuantizedLinearOp, machine: Machine) -> Problem:
        """The problem that `op` is."""
        outputs, columns = shape_of(op.codes)
        kind = op.activations.data
        return Problem(op.weight_format, kind, op.rows, outputs, columns, machine)

    @property
    def decoding(self) -> float:
        """Steps that decode an element of one vector: two for integers in place and tables, more
        for codebooks, where what two registers have is chosen among all pairs of registers. AVX2
        permutes one register, in two steps, and moves the bit that chooses to the sign."""
        element = self.format.element
        if isinstance(element, IntegerElement):
            return 2.0 if self.machine.isa == "avx512" else 3.0  # where and-or is two
        if self.machine.isa == "avx2" and not isinstance(element, FloatElement):
            registers = (1 << element.width) / self.lanes
            if 1 < registers <= MOST_CODEBOOK_TABLES["avx2"]:
                return 1 + 2 * registers + 2 * (registers - 1)
        pairs = (1 << element.width) / self.lanes / 2
        is_long = not isinstance(element, FloatElement) and pairs > 1
        return 1 + pairs + 2 * (pairs - 1) if is_long else 3.0

    @property
    def lanes(self) -> int:
        """Outputs of a vector."""
        return self.machine.lanes(4)

    @property
    def is_crowded(self) -> bool:
        """Whether sums and constants of its tile do not all fit the registers."""
        return is_crowded(self.machine, self.lanes)

    @property
    def dots(self) -> Dots:
        """How products of bytes are added up."""
        return Dots(self.format.element.width, has_pairs(self.machine))

    @property
    def unpacking(self) -> float:
        """Cycles that the quads of a period take to be decoded once: a shift and a mask a piece."""
        pieces = sum(map(len, quad_pieces(self.format.element.width)))
        return 2 * pieces * STEP * self.pace

    @property
    def pace(self) -> float:
        """Cycles of an instruction, of those on registers of 512 bits."""
        return 1.0 if self.lanes >= LONG else 0.5

    @property
    def memory(self) -> float:
        """Cycles in which the weights of a period of a vector come from memory."""
        bits = self.format.bits(self.outputs, self.columns)
        return PERIOD * self.lanes * bits / 8 / CORE_BYTES

    @property
    def longest_sum(self) -> int:
        """The largest integer that the sum of a group can be."""
        group, most = self.format.group or self.columns, MOST.get(self.activations, LARGEST)
        return 2 * group * int(most) * (1 << self.format.element.width)


@dataclass(frozen=True)
class Form:
    """A way to compute the product.

    `waits` is the share of the shorter one of computing and reading that does not run beside the
    longer one: code that is done with a cache line sooner sees fewer of them ahead.
    """

    name: str
    lower: Lower
    is_possible: Callable[[Problem], bool]
    cycles: Callable[[Problem], float]
    preparation: Callable[[Problem], float]
    waits: float = 0.05

    def time(self, problem: Problem) -> float:
        """Predicted cycles of a period of a vector, its share of the preparation included."""
        cycles, memory = self.cycles(problem), problem.memory
        vectors = max(1.0, problem.outputs / problem.lanes)
        busy = max(cycles, memory) + self.waits * min(cycles, memory)
        return busy + problem.rows * self.preparation(problem) / vectors


def _register_cycles(problem: Problem) -> float:
    """Every block of rows decodes the weight again."""
    tile = register_tile(problem.machine, problem.rows)
    passes = -(-problem.rows // tile.rows)
    busy, decoding = SHARED if problem.rows > 1 else 1.0, problem.decoding
    if problem.is_crowded and isinstance(problem.format.element, IntegerElement):
        busy = min(busy, WAITING)
        decoding += 1  # whose constants come from memory
    cycles = passes * decoding * STEP + problem.rows * FMA * busy
    if problem.is_crowded:  # decoding runs beside sums too few to keep the multiply-adds busy
        cycles = max(cycles, problem.rows * FMA * CHAINS / (tile.rows * tile.vectors))
    return PERIOD * cycles * problem.pace


def _block_cycles(problem: Problem) -> float:
    """Decoded and stored once, scaled where sums are not; a tile of few rows does not keep the
    multiply-adds busy."""
    tile = block_tile(problem.machine, problem.rows)
    idle = max(WAITING, CHAINS / (tile.rows * tile.vectors))
    scaling = 0.0 if scales_sums(problem.format) else FMA
    decoding = problem.decoding * STEP + scaling + STORE
    return PERIOD * (decoding + problem.rows * FMA * idle) * problem.pace


def _table_cycles(problem: Problem) -> float:
    """A shift, a permutation and a sum for a nibble of the weight."""
    lookups = problem.format.element.width * NIBBLES
    size = problem.rows * -(-problem.columns // PERIOD) * lookups * ENTRIES * 4
    is_far = size > problem.machine.l2_bytes // 2
    return problem.rows * lookups * (2 * STEP + FMA + is_far * FAR_TABLE)


def _plane_cycles(problem: Problem) -> float:
    """Four vectors take a lookup per plane, two steps that interleave bytes for each pair of planes
    and four for halves; masks and shifts are per word."""
    planes = planes_of(problem.format.element)
    pairs = len({plane // 2 for plane in planes})
    steps = (len(planes) + 2 * pairs + 4) / 4 + 3 / ELEMENTS
    return problem.rows * PERIOD * (steps * STEP + FMA) * problem.pace


def _byte_table_cycles(problem: Problem) -> float:
    """A lookup per nibble, digit and register of four vectors; sums of pieces are put together from
    their digits."""
    lookups = NIBBLES * TABLE_DIGITS / VECTORS
    piece = min(PIECE, (problem.format.group or problem.columns) / PERIOD)
    return problem.rows * (lookups * LOOKUP + JOINED / piece) * problem.pace


def _arranging(problem: Problem) -> float:
    """Every activation is read and stored."""
    return 2.0 * PERIOD


def _making_tables(problem: Problem) -> float:
    """Every part of an element is in one table."""
    width = problem.format.element.width
    return PERIOD * len(byte_parts(width)) * FMA + 2 * width * NIBBLES * STORE


def _making_byte_tables(problem: Problem) -> float:
    """Sixteen sums are made, cut into digits and interleaved for eight lanes at a time."""
    return 9.0 * PERIOD


def _rounding(problem: Problem) -> float:
    """The largest magnitude, then rounding and joining four by four."""
    return 3.0 * PERIOD


def _cutting(problem: Problem) -> float:
    """Rounding, and three bytes to be joined."""
    return 5.0 * PERIOD


def _dot_cycles(problem: Problem) -> float:
    """The products of a quad of a vector with one row of bytes."""
    dots, group = problem.dots, problem.format.group or problem.columns
    if dots.quads is None:
        return FMA * problem.pace
    cycles = dots.instructions * PAIR
    if problem.is_crowded and not dots.holds(group // 4):
        cycles += TOTALS * len(dots.limbs) / QUADS
    return cycles * problem.pace


def _integer_cycles(problem: Problem) -> float:
    """Decoded for every block of rows."""
    digits = BYTES[problem.activations]
    tile = integer_tile(problem.machine, problem.rows, digits)
    passes = -(-problem.rows // tile.rows)
    return passes * problem.unpacking + QUADS * problem.rows * digits * _dot_cycles(problem)


def _digit_cycles(problem: Problem) -> float:
    """As for integers, with a row per digit; a sum of a group is put together from all of them."""
    tile = integer_tile(problem.machine, problem.rows, DIGITS)
    passes = -(-problem.rows // tile.rows)
    periods = (problem.format.group or problem.columns) / PERIOD
    scaling = DIGITS * JOINING / periods * problem.pace
    decoding = passes * problem.unpacking * HIDDEN
    return decoding + problem.rows * (QUADS * DIGITS * _dot_cycles(problem) + scaling)


def _matrix_unit_cycles(problem: Problem) -> float:
    """Decoded once, a step of a row per cycle and tile; sums of groups are scaled one by one."""
    periods = (problem.format.group or problem.columns) / PERIOD
    products = problem.unpacking + QUADS * STORE + problem.rows * QUADS / WORDS
    return products + problem.rows * SCALING / periods


def _has_integer_form(problem: Problem) -> bool:
    return problem.activations in BYTES and _has_exact_sums(problem)


def _has_digit_form(problem: Problem) -> bool:
    return (
        problem.activations == "f32"
        and ("avx512_vnni" in problem.machine.features or has_pairs(problem.machine))
        and _has_exact_sums(problem)
    )


def _has_exact_sums(problem: Problem) -> bool:
    return (
        isinstance(problem.format.element, IntegerElement)
        and not problem.format.has_short_groups
        and problem.longest_sum <= LONGEST_EXACT
    )


def _has_matrix_unit_form(problem: Problem) -> bool:
    return (
        problem.activations == "int8"
        and has_matrix_unit(problem.machine, "int8")
        and LEAST_ROWS <= problem.rows <= BLOCK_ROWS
        and (problem.format.group or PERIOD * 2) % (WORDS * 4) == 0
        and _has_integer_form(problem)
    )


def _has_table_form(problem: Problem) -> bool:
    return (
        problem.machine.lanes(4) == ENTRIES
        and isinstance(problem.format.element, IntegerElement)
        and not problem.format.has_short_groups
        and problem.format.element.width <= 4
    )


def _has_byte_table_form(problem: Problem) -> bool:
    """Registers of 256 bits have the nibbles of a period in their lanes."""
    return (
        problem.machine.isa == "avx2"
        and problem.activations == "f32"
        and problem.format.element.width == 1
        and isinstance(problem.format.element, IntegerElement)
        and not problem.format.has_short_groups
    )


def _has_plane_form(problem: Problem) -> bool:
    """Where registers have 256 bits: longer ones hold a table of sixteen f32."""
    element = problem.format.element
    return (
        problem.machine.isa == "avx2"
        and not isinstance(element, IntegerElement)
        and element.width == WIDTH
    )


FORMS = (
    Form("registers", lower_register_product, lambda p: True, _register_cycles, _arranging),
    Form(
        "blocks",
        lower_block_product,
        lambda p: 1 < p.rows <= BLOCK_ROWS,
        _block_cycles,
        _arranging,
    ),
    Form("planes", lower_plane_product, _has_plane_form, _plane_cycles, _arranging),
    Form(
        "byte tables",
        lower_byte_table_product,
        _has_byte_table_form,
        _byte_table_cycles,
        _making_byte_tables,
        waits=0.1,
    ),
    Form("tables", lower_table_product, _has_table_form, _table_cycles, _making_tables, waits=0.4),
    Form("integers", lower_integer_product, _has_integer_form, _integer_cycles, _rounding),
    Form("digits", lower_digit_product, _has_digit_form, _digit_cycles, _cutting),
    Form(
        "matrix unit",
        lower_matrix_unit_product,
        _has_matrix_unit_form,
        _matrix_unit_cycles,
        _rounding,
    ),
)


def possible_forms(problem: Problem) -> list[Form]:
    """The forms that can compute the product."""
    return [form for form in FORMS if form.is_possible(problem)]


def choose_form(problem: Problem) -> Form:
    """The possible form with the least predicted time."""
    return min(possible_forms(problem), key=lambda form: form.time(problem))
