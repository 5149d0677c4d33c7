"""The C program that the probe runs: loops whose speed one resource of the machine decides.

Each function repeats its loop and returns nothing but a value that keeps it alive; the caller takes
the time.
"""

from __future__ import annotations

from ...costmodel.hardware import Machine

C_TYPES = {"f32": "float", "f64": "double", "i32": "int32_t"}
CHAINS = 10  # independent multiply-adds: enough to hide a latency of 4 or 5 at two per cycle
OPERATIONS_PER_LANE = 2 * CHAINS


def arithmetic_source(name: str, machine: Machine) -> str:
    """`peak_NAME(repeats)`: CHAINS multiply-adds on full registers per repetition."""
    c_type = C_TYPES[name]
    vector = max(machine.vector_bytes, 16)
    chains = range(CHAINS)
    declarations = "\n".join(f"  V_{name} a{k} = x + ({c_type}){k};" for k in chains)
    updates = " ".join(f"a{k} = a{k} * x + y;" for k in chains)
    total = " + ".join(f"a{k}" for k in chains)
    # The asm keeps the compiler from knowing x and y, and from evaluating the recurrence.
    return f"""
typedef {c_type} V_{name} __attribute__((vector_size({vector})));
double peak_{name}(int64_t repeats) {{
  V_{name} x = {{0}}, y = {{0}};
  __asm__ volatile("" : "+v"(x), "+v"(y));
{declarations}
  for (int64_t i = 0; i < repeats; i++) {{
    {updates}
  }}
  V_{name} total = {total};
  return (double)total[0];
}}
"""


MEMORY_SOURCE = """
typedef double Line __attribute__((vector_size(VECTOR)));
typedef Line Loose __attribute__((aligned(8)));
enum { LANES = VECTOR / 8 };

/* Every thread reads its own part of x, `repeats` times. */
double read_all(const double *x, int64_t part, int64_t repeats, int threads) {
  double result = 0.0;
#pragma omp parallel num_threads(threads) reduction(+ : result)
  {
    const double *mine = x + part * THREAD;
    Line a = {0}, b = {0}, c = {0}, d = {0};
    for (int64_t r = 0; r < repeats; r++) {
      for (int64_t i = 0; i < part; i += 4 * LANES) {
        a += *(const Loose *)(mine + i);
        b += *(const Loose *)(mine + i + LANES);
        c += *(const Loose *)(mine + i + 2 * LANES);
        d += *(const Loose *)(mine + i + 3 * LANES);
      }
      __asm__ volatile("" ::: "memory");
    }
    a += b + c + d;
    result += a[0];
  }
  return result;
}

/* Every thread copies the first half of its part to the second half. */
double copy_all(double *x, int64_t part, int64_t repeats, int threads) {
#pragma omp parallel num_threads(threads)
  {
    double *mine = x + part * THREAD;
    int64_t half = part / 2;
    for (int64_t r = 0; r < repeats; r++) {
      for (int64_t i = 0; i < half; i += 2 * LANES) {
        Line a = *(const Loose *)(mine + i), b = *(const Loose *)(mine + i + LANES);
        *(Loose *)(mine + half + i) = a;
        *(Loose *)(mine + half + i + LANES) = b;
      }
      __asm__ volatile("" ::: "memory");
    }
  }
  return x[0];
}

/* Parallel regions with nothing to do. */
double regions(int64_t repeats, int threads) {
  int64_t count = 0;
  for (int64_t r = 0; r < repeats; r++) {
#pragma omp parallel num_threads(threads)
    {
      if (THREAD == 0) count++;
    }
  }
  return (double)count;
}
"""

PRELUDE = """#include <stdint.h>
#ifdef _OPENMP
#include <omp.h>
#define THREAD omp_get_thread_num()
#else
#define THREAD 0
#endif
"""


def probe_source(machine: Machine) -> str:
    """The whole translation unit."""
    arithmetic = "".join(arithmetic_source(name, machine) for name in C_TYPES)
    vector = f"#define VECTOR {max(machine.vector_bytes, 16)}\n"
    return PRELUDE + vector + arithmetic + MEMORY_SOURCE
