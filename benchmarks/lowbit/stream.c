/* Bytes read from memory, summed so that nothing is optimized away. */
#include <stddef.h>
typedef long long vec __attribute__((vector_size(64), aligned(64)));

long long tc_stream(const vec *data, ptrdiff_t count)
{
    long long total = 0;
#pragma omp parallel for schedule(static) reduction(+ : total)
    for (ptrdiff_t block = 0; block < count / 64; ++block) {
        const vec *at = data + 64 * block;
        vec a = at[0], b = at[1], c = at[2], d = at[3];
        for (int i = 4; i < 64; i += 4)
            a += at[i], b += at[i + 1], c += at[i + 2], d += at[i + 3];
        a += b + c + d;
        total += a[0] ^ a[1] ^ a[2] ^ a[3] ^ a[4] ^ a[5] ^ a[6] ^ a[7];
    }
    return total;
}
