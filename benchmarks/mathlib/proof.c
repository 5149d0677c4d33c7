/* Errors of f32 functions over ranges of bit patterns, against f64 functions of libmvec.
 *
 * Before this text: REFERENCE(x), __m512d to __m512d, and the kernels KERNELS(X) of one argument:
 * X(0, name) and so on; SAME(X) are kernels that must give the bits of kernel 0.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#define BLOCK 4096

/* The error of eight results in units in the last place; infinite where the kind is wrong. */
static inline __m512d errors_of(__m512d exact, __m256 found)
{
    const __m256 rounded = _mm512_cvtpd_ps(exact);
    const __m512d r = _mm512_cvtps_pd(rounded), y = _mm512_cvtps_pd(found);
    const __m512d e = _mm512_max_pd(_mm512_getexp_pd(r), _mm512_set1_pd(-126.0));
    const __m512d unit = _mm512_scalef_pd(_mm512_set1_pd(0x1p-23), e);
    __m512d error = _mm512_div_pd(_mm512_abs_pd(_mm512_sub_pd(y, exact)), unit);
    const __m512d infinity = _mm512_set1_pd(INFINITY), zero = _mm512_setzero_pd();
    const __mmask8 nan = _mm512_cmp_pd_mask(r, r, _CMP_UNORD_Q);
    const __mmask8 bad = _mm512_cmp_pd_mask(y, y, _CMP_UNORD_Q);
    const __mmask8 huge = _mm512_cmp_pd_mask(_mm512_abs_pd(r), infinity, _CMP_EQ_OQ);
    const __mmask8 equal = _mm512_cmp_pd_mask(y, r, _CMP_EQ_OQ);
    const __m512i signs = _mm512_xor_epi64(_mm512_castpd_si512(y), _mm512_castpd_si512(r));
    const __mmask8 sign = _mm512_movepi64_mask(signs);
    error = _mm512_mask_blend_pd(huge, error, infinity);
    error = _mm512_mask_blend_pd(huge & equal, error, zero);
    error = _mm512_mask_blend_pd(sign | bad, error, infinity);
    error = _mm512_mask_blend_pd(nan, error, infinity);
    return _mm512_mask_blend_pd(nan & bad, error, zero);
}

/* Bit patterns first .. last - 1 (multiples of BLOCK): per kernel the greatest error and where,
 * and how many results of the SAME kernels differ from those of kernel 0. */
void prove(uint64_t first, uint64_t last, double *worst, float *where, uint64_t *different)
{
    static _Alignas(64) float x[BLOCK], y[BLOCK], base[BLOCK];
    static _Alignas(64) double exact[BLOCK];
    for (uint64_t start = first; start < last; start += BLOCK) {
        for (int k = 0; k < BLOCK; ++k) {
            const uint32_t bits = (uint32_t)(start + (uint64_t)k);
            memcpy(&x[k], &bits, sizeof bits);
        }
        for (int k = 0; k < BLOCK; k += 8) {
            _mm512_store_pd(exact + k, REFERENCE(_mm512_cvtps_pd(_mm256_load_ps(x + k))));
        }
#define JUDGE(INDEX, KERNEL) \
        KERNEL(x, y, BLOCK); \
        if (INDEX == 0) { \
            memcpy(base, y, sizeof y); \
        } \
        for (int k = 0; k < BLOCK; k += 8) { \
            const __m512d error = errors_of(_mm512_load_pd(exact + k), _mm256_load_ps(y + k)); \
            const __mmask8 more = \
                _mm512_cmp_pd_mask(error, _mm512_set1_pd(worst[INDEX]), _CMP_GT_OQ); \
            if (more) { \
                double lane[8]; \
                _mm512_storeu_pd(lane, error); \
                for (int l = 0; l < 8; ++l) { \
                    if (lane[l] > worst[INDEX]) { \
                        worst[INDEX] = lane[l]; \
                        where[INDEX] = x[k + l]; \
                    } \
                } \
            } \
        }
        KERNELS(JUDGE)
#define EQUAL(INDEX, KERNEL) \
        KERNEL(x, y, BLOCK); \
        for (int k = 0; k < BLOCK; k += 16) { \
            const __m512 a = _mm512_load_ps(base + k), b = _mm512_load_ps(y + k); \
            const __mmask16 bits = _mm512_cmp_epi32_mask( \
                _mm512_castps_si512(a), _mm512_castps_si512(b), _MM_CMPINT_NE); \
            const __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q) & \
                                  _mm512_cmp_ps_mask(b, b, _CMP_UNORD_Q); \
            different[INDEX] += (uint64_t)__builtin_popcount((unsigned)(bits & (__mmask16)~nan)); \
        }
        SAME(EQUAL)
    }
}
