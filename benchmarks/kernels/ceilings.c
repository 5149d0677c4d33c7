/* What the machine can do: f32 multiply-adds, products of bf16 and streaming copies. */
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
typedef float vec __attribute__((vector_size(4 * LANES)));

static double fma_rate(int threads) {
  enum { CHAINS = 12, STEPS = 4000000 };
  double start = 0, end = 0;
  float sink = 0;
#pragma omp parallel num_threads(threads) reduction(+ : sink)
  {
    vec a[CHAINS], x, y;
    for (int l = 0; l < LANES; l++) x[l] = 0.999f, y[l] = 1e-3f;
    for (int c = 0; c < CHAINS; c++) a[c] = x + (float)c;
#pragma omp barrier
#pragma omp single
    start = omp_get_wtime();
    for (long i = 0; i < STEPS; i++)
#pragma GCC unroll 12
      for (int c = 0; c < CHAINS; c++) a[c] = a[c] * x + y;
#pragma omp barrier
#pragma omp single
    end = omp_get_wtime();
    for (int c = 0; c < CHAINS; c++) sink += a[c][0];
  }
  if (sink == 12345.0f) puts("");
  return 2.0 * LANES * CHAINS * (double)STEPS * threads / (end - start);
}

/* As fma_rate, for sums of two products of bf16; f32 where there is no instruction for them. */
static double bf16_rate(int threads) {
#ifdef __AVX512BF16__
  enum { CHAINS = 12, STEPS = 4000000 };
  double start = 0, end = 0;
  float sink = 0;
#pragma omp parallel num_threads(threads) reduction(+ : sink)
  {
    __m512 a[CHAINS];
    const __m512bh x = (__m512bh)_mm512_set1_epi32(0x3f803f80), y = x;
#pragma GCC unroll 12 /* an array stays in registers only where no loop indexes it */
    for (int c = 0; c < CHAINS; c++) a[c] = _mm512_set1_ps((float)c);
#pragma omp barrier
#pragma omp single
    start = omp_get_wtime();
    for (long i = 0; i < STEPS; i++)
#pragma GCC unroll 12
      for (int c = 0; c < CHAINS; c++) {
        a[c] = _mm512_dpbf16_ps(a[c], x, y);
        __asm__("" : "+v"(a[c])); /* not 12 chains of equal increments */
      }
#pragma omp barrier
#pragma omp single
    end = omp_get_wtime();
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++) sink += _mm512_reduce_add_ps(a[c]);
  }
  if (sink == 12345.0f) puts("");
  return 64.0 * CHAINS * (double)STEPS * threads / (end - start);
#else
  return fma_rate(threads);
#endif
}

static double copy_rate(int threads, size_t bytes) {
  size_t count = bytes / sizeof(vec);
  vec *from = aligned_alloc(64, bytes), *to = aligned_alloc(64, bytes);
  memset(from, 1, bytes);
  memset(to, 1, bytes);
  double best = 1e9;
  for (int round = 0; round < 8; round++) {
    double start = omp_get_wtime();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < count; i++) {
#ifdef __clang__
      __builtin_nontemporal_store(from[i], &to[i]);
#elif defined(__AVX512F__)
      __builtin_ia32_movntps512((float *)&to[i], (__attribute__((vector_size(64))) float)from[i]);
#else
      __builtin_ia32_movntps256((float *)&to[i], (__attribute__((vector_size(32))) float)from[i]);
#endif
    }
    double seconds = omp_get_wtime() - start;
    if (seconds < best) best = seconds;
  }
  float sink = to[count / 2][0];
  free(from);
  free(to);
  return sink == 12345.0f ? 0 : 2.0 * (double)bytes / best;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 1;
  fma_rate(threads);
  double flops = 0, bf16_flops = 0;
  for (int round = 0; round < 20; round++) {
    double rate = fma_rate(threads), bf16 = bf16_rate(threads);
    if (rate > flops) flops = rate;
    if (bf16 > bf16_flops) bf16_flops = bf16;
  }
  printf("{\"flops\": %.4g, \"bf16_flops\": %.4g, \"bytes\": %.4g}\n", flops, bf16_flops,
         copy_rate(threads, 256u << 20));
  return 0;
}
