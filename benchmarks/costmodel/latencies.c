/* Cycles of what the roofline counts besides bandwidths: each number is one loop. */
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REPEATS = 7, COUNT = 200000, LINES = 2000 };
static double cycles_per_ns = 1.0;
static volatile double sink;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

#define KEEP(x) __asm__ volatile("" : : "x"(x))
#define BARRIER __asm__ volatile("" : : : "memory")
#define REPORT(name, per, work)                                  \
  do {                                                           \
    double best = 1e30;                                          \
    for (int r = 0; r < REPEATS; r++) {                          \
      double start = now();                                      \
      work;                                                      \
      double took = now() - start;                               \
      if (took < best) best = took;                              \
    }                                                            \
    printf("%s\t%.2f\n", name, best / (per) * cycles_per_ns);    \
  } while (0)

/* Additions that wait for each other: 3 cycles each, which gives the clock. */
static double added(int count) {
  double x = 1.0;
  for (int i = 0; i < count; i++) {
    x += 1e-9;
    KEEP(x);
  }
  return x;
}

static void sum_through_memory(double *a, const double *b) {
  for (int i = 0; i < COUNT; i++) {
    *a = *a + b[i & 7];
    BARRIER;
  }
}

static void vector_through_memory(float *a, const float *b, __mmask16 mask) {
  for (int i = 0; i < COUNT; i++) {
    __m512 x = _mm512_maskz_loadu_ps(mask, a);
    _mm512_mask_storeu_ps(a, mask, _mm512_fmadd_ps(x, _mm512_set1_ps(b[i & 7]), x));
    BARRIER;
  }
}

static float gathered(const float *p, int stride) {
  __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m512i at = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(stride));
  __m512 sum = _mm512_setzero_ps();
  for (int i = 0; i < COUNT; i++) sum = _mm512_add_ps(sum, _mm512_i32gather_ps(at, p + (i & 15), 4));
  return _mm512_reduce_add_ps(sum);
}

static float summed_lanes(const float *p, float *q) {
  for (int i = 0; i < COUNT; i++) q[i & 1023] += _mm512_reduce_add_ps(_mm512_loadu_ps(p + (i & 15)));
  return q[0];
}

static float lines(const char *p, int count, long apart) {
  __m512 a = _mm512_setzero_ps(), b = a;
  for (int r = 0; r < LINES; r++)
    for (int i = 0; i < count; i += 2) {
      a = _mm512_add_ps(a, _mm512_loadu_ps((const float *)(p + i * apart)));
      b = _mm512_add_ps(b, _mm512_loadu_ps((const float *)(p + (i + 1) * apart)));
    }
  return _mm512_cvtss_f32(a) + _mm512_cvtss_f32(b);
}

int main(void) {
  float *f = aligned_alloc(4096, 1 << 22);
  double *d = aligned_alloc(4096, 1 << 16);
  for (int i = 0; i < 1 << 20; i++) f[i] = 1.0f;
  for (int i = 0; i < 1 << 13; i++) d[i] = 1.0;
  added(20000000); /* until the clock has settled */
  double best = 1e30;
  for (int r = 0; r < REPEATS; r++) {
    double start = now();
    sink = added(2000000);
    double took = now() - start;
    if (took < best) best = took;
  }
  cycles_per_ns = 3.0 * 2000000 / best;
  REPORT("f64 sum through memory", COUNT, sum_through_memory(d, d + 64));
  REPORT("f32x16 multiply-add through memory", COUNT, vector_through_memory(f, f + 64, 0xffff));
  REPORT("the same with a mask", COUNT, vector_through_memory(f, f + 64, 0x00ff));
  REPORT("gather of 16 floats", COUNT, sink = gathered(f, 8));
  REPORT("sum of the lanes of f32x16", COUNT, sink = summed_lanes(f, f + 4096));
  static const int counts[] = {8, 12, 16, 24, 32, 48, 96};
  for (int k = 0; k < 7; k++) {
    char name[64];
    snprintf(name, sizeof name, "line, %d of them 4096 bytes apart", counts[k]);
    REPORT(name, (double)counts[k] * LINES, sink = lines((const char *)f, counts[k], 4096));
  }
  REPORT("line, 1000 of them 4160 bytes apart", 1000.0 * LINES, sink = lines((const char *)f, 1000, 4160));
  return 0;
}
