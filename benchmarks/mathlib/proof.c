/* Errors of f32 functions over ranges of bit patterns, against f64 functions of libmvec.
 *
 * Before this text: reference(x, y, n) for arrays of doubles, and the kernels KERNELS(X) of one
 * argument: X(0, name) and so on; SAME(X) are kernels that must give the bits of kernel 0.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#define BLOCK 4096

/* The error of a result in units in the last place; infinite where the kind is wrong. */
static inline double error_of(double exact, float found)
{
    const float rounded = (float)exact;
    const int is_number = found == found;
    if (rounded != rounded) {
        return is_number ? INFINITY : 0.0;
    }
    if (!is_number || !signbit(found) != !signbit(rounded)) {
        return INFINITY;
    }
    if (fabsf(rounded) > FLT_MAX) {
        return found == rounded ? 0.0 : INFINITY;
    }
    /* The power of two below the rounded result, as the bits of its exponent. */
    const double magnitude = fmax(fabs((double)rounded), FLT_MIN);
    uint64_t bits;
    memcpy(&bits, &magnitude, sizeof bits);
    bits &= UINT64_C(0x7ff) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return fabs(found - exact) / (power * 0x1p-23);
}

/* Bit patterns first .. last - 1 (multiples of BLOCK): per kernel the greatest error and where,
 * and how many results of the SAME kernels differ from those of kernel 0. */
void prove(uint64_t first, uint64_t last, double *worst, float *where, uint64_t *different)
{
    static _Alignas(64) float x[BLOCK], y[BLOCK], base[BLOCK];
    static _Alignas(64) double wide[BLOCK], exact[BLOCK];
    for (uint64_t start = first; start < last; start += BLOCK) {
        for (int k = 0; k < BLOCK; ++k) {
            const uint32_t bits = (uint32_t)(start + (uint64_t)k);
            memcpy(&x[k], &bits, sizeof bits);
            wide[k] = x[k];
        }
        reference(wide, exact, BLOCK);
#define JUDGE(INDEX, KERNEL) \
        KERNEL(x, y, BLOCK); \
        if (INDEX == 0) { \
            memcpy(base, y, sizeof y); \
        } \
        for (int k = 0; k < BLOCK; ++k) { \
            const double error = error_of(exact[k], y[k]); \
            if (error > worst[INDEX]) { \
                worst[INDEX] = error; \
                where[INDEX] = x[k]; \
            } \
        }
        KERNELS(JUDGE)
#define EQUAL(INDEX, KERNEL) \
        KERNEL(x, y, BLOCK); \
        for (int k = 0; k < BLOCK; ++k) { \
            const int is_nan = y[k] != y[k] && base[k] != base[k]; \
            different[INDEX] += !is_nan && memcmp(&y[k], &base[k], sizeof y[k]) != 0; \
        }
        SAME(EQUAL)
    }
}
