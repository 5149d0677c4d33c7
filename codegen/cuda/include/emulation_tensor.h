// Tensor core kernels on the CPU, over emulation.h: ldmatrix, mma and groups of asynchronous copies by
// their definition, and arithmetic on pairs of 16-bit floats. The functions have the names of those in
// device_functions.h.
//
// Global arrays are known by address, so that accesses outside of them are errors; so is reading
// what an asynchronous copy has not been waited for.
#ifndef TILECAST_EMULATION_TENSOR_H
#define TILECAST_EMULATION_TENSOR_H

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "emulation.h"
#include "emulation_order.h"

#define TC_SHARED(name) unsigned char* const name = tilecast_emulation::device().block->dynamic

namespace tc_emulation {

using tilecast_emulation::device;
using tilecast_emulation::fail;
constexpr int warp_size = tilecast_emulation::WARP;

struct copy { unsigned char* to; unsigned char bytes[16]; int size; };
struct copies { std::vector<std::vector<copy>> groups; std::vector<copy> open; };
struct range { const unsigned char* start; size_t bytes; tilecast_emulation::GlobalShadow shadow; };

inline std::vector<range> arrays;

// The copies under way of all threads of the block, and which shared bytes they will write.
struct state { uint32_t first_epoch = 0; std::vector<copies> threads; std::vector<bool> pending; };
inline state& block()
{
    void*& own = device().block->extension;
    if (own == nullptr)
        own = new state();
    return *static_cast<state*>(own);
}

inline copies& mine()
{
    if (block().first_epoch != device().block->first_epoch) {
        block().first_epoch = device().block->first_epoch;
        block().threads.assign(device().count, copies());
        block().pending.assign(device().block->dynamic_array.bytes, false);
    }
    return block().threads[device().current];
}

inline int lane_of_thread()
{
    return device().current % warp_size;
}

// Waits until all lanes of the warp have given their bytes; then lane l's are at answer[l].
inline auto exchange(const void* value, size_t bytes)
{
    return tilecast_emulation::meet(0xFFFFFFFFu, value, bytes);
}

// The array that holds all of an access.
inline range& array_of(const void* address, size_t bytes, bool is_write)
{
    const unsigned char* at = static_cast<const unsigned char*>(address);
    if (reinterpret_cast<uintptr_t>(at) % bytes)
        fail("misaligned global access of %zu bytes", bytes);
    for (range& array : arrays)
        if (at >= array.start && at + bytes <= array.start + array.bytes)
            return array;
    fail("%s of %zu bytes out of bounds of every array", is_write ? "write" : "read", bytes);
}

inline void check(const void* address, size_t bytes, bool is_write)
{
    const unsigned char* at = static_cast<const unsigned char*>(address);
    tilecast_emulation::Array& shared = device().block->dynamic_array;
    const unsigned char* start = device().block->dynamic;
    if (at >= start && at < start + shared.bytes) {
        tilecast_emulation::check_shared(shared, at, bytes, is_write);
        mine();
        for (size_t k = 0; !is_write && k < bytes; ++k)
            if (block().pending[at - start + k])
                fail("shared memory byte %td is read before its copy was waited for", at - start + k);
        return;
    }
    range& array = array_of(at, bytes, is_write);
    tilecast_emulation::check_global(array.shadow, array.bytes, at - array.start, bytes, is_write);
}

inline double value(uint16_t bits, bool is_bf16)
{
    if (is_bf16) {
        const uint32_t wide = static_cast<uint32_t>(bits) << 16;
        float f;
        memcpy(&f, &wide, 4);
        return f;
    }
    static const std::vector<float> table = [] {
        std::vector<float> all(65536);
        for (int code = 0; code < 65536; ++code) {
            const int exponent = code >> 10 & 31, mantissa = code & 1023;
            const float size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                               : exponent     ? std::ldexp(1024.0f + mantissa, exponent - 25)
                                              : std::ldexp(static_cast<float>(mantissa), -24);
            all[code] = code >> 15 ? -size : size;
        }
        return all;
    }();
    return table[bits];
}

// To nearest even; `x` has at most 53 bits, so a product or a sum of two is rounded once.
inline uint16_t rounded(double x, bool is_bf16)
{
    const int mantissa_bits = is_bf16 ? 7 : 10, least = is_bf16 ? -126 : -14, bias = is_bf16 ? 127 : 15;
    const uint16_t sign = std::signbit(x) ? 0x8000 : 0, top = is_bf16 ? 0x7F80 : 0x7C00;
    if (std::isnan(x))
        return 0x7FFF;
    if (std::isinf(x))
        return sign | top;
    if (x == 0)
        return sign;
    int exponent;
    std::frexp(x, &exponent);
    exponent = std::max(exponent - 1, least);
    const double units = std::nearbyint(std::ldexp(std::fabs(x), mantissa_bits - exponent));
    const double bits = units + std::ldexp(exponent + bias - 1, mantissa_bits);
    return sign | (bits >= top ? top : static_cast<uint16_t>(bits));
}

// Floats of 8 bits: 4 bits of exponent, where only all ones are no number, or 5 as in f16.
inline float value8(uint32_t bits, bool is_e5m2)
{
    if (is_e5m2)
        return static_cast<float>(value(bits << 8, false));
    const int exponent = bits >> 3 & 15, mantissa = bits & 7;
    const float size = (bits & 0x7F) == 0x7F ? NAN
                       : exponent            ? std::ldexp(8.0f + mantissa, exponent - 10)
                                             : std::ldexp(static_cast<float>(mantissa), -9);
    return bits >> 7 & 1 ? -size : size;
}

// To the nearest number of e4m3, ties to even; beyond the largest to it.
inline uint32_t rounded_e4m3(float x)
{
    if (x != x)
        return 0x7F;
    const uint32_t sign = std::signbit(x) ? 0x80 : 0;
    const double size = std::fabs(x);
    if (size >= 448)
        return sign | 0x7E;
    int exponent = -5;
    if (size > 0)
        std::frexp(size, &exponent);
    exponent = std::max(exponent - 1, -6);
    const int units = static_cast<int>(std::nearbyint(std::ldexp(size, 3 - exponent)));
    return sign | static_cast<uint32_t>(units + 8 * (exponent + 6));  // a carry is the next exponent
}

inline uint32_t pairwise(uint32_t a, uint32_t b, uint32_t c, bool is_bf16, double (*f)(double, double, double))
{
    uint32_t result = 0;
    for (int half = 0; half < 32; half += 16) {
        const double x = f(value(a >> half & 0xFFFF, is_bf16), value(b >> half & 0xFFFF, is_bf16),
                           value(c >> half & 0xFFFF, is_bf16));
        result |= static_cast<uint32_t>(rounded(x, is_bf16)) << half;
    }
    return result;
}

inline double fma_of(double a, double b, double c) { return a * b + c; }
inline double add_of(double a, double b, double) { return a + b; }
inline double sub_of(double a, double b, double) { return a - b; }
inline double mul_of(double a, double b, double) { return a * b; }

struct operands { uint32_t a[4], b[2]; };

// Row g = lane / 4 of A and column of B; `k` elements of `bits` bits, 32 / bits of them per register.
template <typename Sum, typename Left, typename Right>
inline void mma(Sum* c, const void* a, int a_words, const void* b, int b_words, int bits, Left lhs, Right rhs)
{
    operands mine = {};
    memcpy(mine.a, a, 4 * a_words);
    memcpy(mine.b, b, 4 * b_words);
    const auto* all = exchange(&mine, sizeof mine);
    const int lane = lane_of_thread(), per = 32 / bits;
    for (int register_ = 0; register_ < 4; ++register_) {
        const int row = lane / 4 + register_ / 2 * 8, column = lane % 4 * 2 + register_ % 2;
        Sum sum = c[register_];
        for (int k = 0; k < b_words * 4 * per; ++k) {
            const int half = k / (4 * per), quad = k / per % 4;
            operands left, right;
            memcpy(&left, all[row % 8 * 4 + quad], sizeof left);
            memcpy(&right, all[column * 4 + quad], sizeof right);
            const uint32_t mask = bits == 32 ? ~0u : (1u << bits) - 1;
            const uint32_t x = left.a[half * 2 + row / 8] >> k % per * bits % 32 & mask;
            const uint32_t y = right.b[half] >> k % per * bits % 32 & mask;
            sum += static_cast<Sum>(lhs(x)) * static_cast<Sum>(rhs(y));
        }
        c[register_] = sum;
    }
}

template <typename Sum, typename Value>
inline void mma(Sum* c, const void* a, int a_words, const void* b, int b_words, int bits, Value number)
{
    mma(c, a, a_words, b, b_words, bits, number, number);
}

}  // namespace tc_emulation

template <int bytes, typename To>
inline void tc_load(To* to, const void* at)
{
    tc_emulation::check(at, bytes, false);
    memcpy(to, at, bytes);
}

template <int bytes, typename From>
inline void tc_store(void* at, const From* from)
{
    tc_emulation::check(at, bytes, true);
    memcpy(at, from, bytes);
}

template <int bytes>
inline uint32_t tc_load_narrow(const void* at)
{
    uint32_t value = 0;
    tc_emulation::check(at, bytes, false);
    memcpy(&value, at, bytes);
    return value;
}

template <int bytes>
inline void tc_store_narrow(void* at, uint32_t value)
{
    tc_emulation::check(at, bytes, true);
    memcpy(at, &value, bytes);
}

template <int bytes>
inline void tc_copy_async(unsigned char* to, const void* from, int valid)
{
    using namespace tc_emulation;
    copy c = {to, {0}, bytes};
    if (valid) {
        check(from, bytes, false);
        memcpy(c.bytes, from, valid);
    }
    check(to, bytes, true);
    mine().open.push_back(c);
    for (int k = 0; k < bytes; ++k)
        block().pending[to - device().block->dynamic + k] = true;
    memset(to, 0xFF, bytes);
}

inline void tc_commit()
{
    tc_emulation::copies& own = tc_emulation::mine();
    own.groups.push_back(own.open);
    own.open.clear();
}

template <int pending>
inline void tc_wait()
{
    using namespace tc_emulation;
    copies& own = mine();
    while (static_cast<int>(own.groups.size()) > pending) {
        for (const copy& c : own.groups.front()) {
            check(c.to, c.size, true);
            memcpy(c.to, c.bytes, c.size);
            for (int k = 0; k < c.size; ++k)
                block().pending[c.to - device().block->dynamic + k] = false;
        }
        own.groups.erase(own.groups.begin());
    }
}

template <int matrices>
inline void tc_ldmatrix(uint32_t* to, const unsigned char* row)
{
    using namespace tc_emulation;
    const auto* rows = exchange(&row, sizeof row);
    const int lane = lane_of_thread();
    for (int m = 0; m < matrices; ++m) {
        const unsigned char* at;
        memcpy(&at, rows[m * 8 + lane / 4], sizeof at);
        if (reinterpret_cast<uintptr_t>(at) % 16)
            fail("ldmatrix row is not aligned to 16 bytes");
        check(at + lane % 4 * 4, 4, false);
        memcpy(to + m, at + lane % 4 * 4, 4);
    }
}
// Each lane gets two elements of a column: of its rows 2 * (lane % 4) and the one after.
template <int matrices>
inline void tc_ldmatrix_trans(uint32_t* to, const unsigned char* row)
{
    using namespace tc_emulation;
    const auto* rows = exchange(&row, sizeof row);
    const int lane = lane_of_thread();
    for (int m = 0; m < matrices; ++m) {
        to[m] = 0;
        for (int half = 0; half < 2; ++half) {
            const unsigned char* at;
            uint16_t element;
            memcpy(&at, rows[m * 8 + lane % 4 * 2 + half], sizeof at);
            if (reinterpret_cast<uintptr_t>(at) % 16)
                fail("ldmatrix row is not aligned to 16 bytes");
            check(at + lane / 4 * 2, 2, false);
            memcpy(&element, at + lane / 4 * 2, 2);
            to[m] |= static_cast<uint32_t>(element) << 16 * half;
        }
    }
}
inline void tc_ldmatrix_trans_x4(uint32_t* to, const unsigned char* row) { tc_ldmatrix_trans<4>(to, row); }
inline void tc_ldmatrix_trans_x2(uint32_t* to, const unsigned char* row) { tc_ldmatrix_trans<2>(to, row); }
inline void tc_ldmatrix_trans_x1(uint32_t* to, const unsigned char* row) { tc_ldmatrix_trans<1>(to, row); }
inline void tc_ldmatrix_x4(uint32_t* to, const unsigned char* row) { tc_ldmatrix<4>(to, row); }
inline void tc_ldmatrix_x2(uint32_t* to, const unsigned char* row) { tc_ldmatrix<2>(to, row); }
inline void tc_ldmatrix_x1(uint32_t* to, const unsigned char* row) { tc_ldmatrix<1>(to, row); }

inline float tc_from_f16(uint32_t bits) { return static_cast<float>(tc_emulation::value(bits, false)); }
inline float tc_from_bf16(uint32_t bits) { return static_cast<float>(tc_emulation::value(bits, true)); }
inline float tc_from_tf32(uint32_t bits)
{
    bits = (bits + 0x1000u) & 0xFFFFE000u;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
inline int32_t tc_from_s8(uint32_t bits) { return static_cast<int8_t>(bits); }

inline void tc_mma_m16n8k16_f16(float* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 4, b, 2, 16, tc_from_f16);
}
inline void tc_mma_m16n8k8_f16(float* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 2, b, 1, 16, tc_from_f16);
}
inline void tc_mma_m16n8k16_bf16(float* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 4, b, 2, 16, tc_from_bf16);
}
inline void tc_mma_m16n8k8_bf16(float* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 2, b, 1, 16, tc_from_bf16);
}
inline void tc_mma_m16n8k8_tf32(float* c, const float* a, const float* b)
{
    tc_emulation::mma(c, a, 4, b, 2, 32, tc_from_tf32);
}
inline void tc_mma_m16n8k32_s8(int32_t* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 4, b, 2, 8, tc_from_s8);
}

inline float tc_from_e4m3(uint32_t bits) { return tc_emulation::value8(bits, false); }
inline float tc_from_e5m2(uint32_t bits) { return tc_emulation::value8(bits, true); }
inline void tc_mma_m16n8k32_e4m3(float* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 4, b, 2, 8, tc_from_e4m3);
}
inline void tc_mma_m16n8k32_e4m3_e5m2(float* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 4, b, 2, 8, tc_from_e4m3, tc_from_e5m2);
}
inline void tc_mma_m16n8k32_e5m2(float* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 4, b, 2, 8, tc_from_e5m2);
}

inline void tc_fma(float* c, const float* a, const float* b) { *c = std::fma(*a, *b, *c); }

inline uint32_t tc_fma_f16x2(uint32_t a, uint32_t b, uint32_t c)
{
    return tc_emulation::pairwise(a, b, c, false, tc_emulation::fma_of);
}
inline uint32_t tc_add_f16x2(uint32_t a, uint32_t b)
{
    return tc_emulation::pairwise(a, b, 0, false, tc_emulation::add_of);
}
inline uint32_t tc_sub_f16x2(uint32_t a, uint32_t b)
{
    return tc_emulation::pairwise(a, b, 0, false, tc_emulation::sub_of);
}
inline uint32_t tc_mul_f16x2(uint32_t a, uint32_t b)
{
    return tc_emulation::pairwise(a, b, 0, false, tc_emulation::mul_of);
}
inline uint32_t tc_fma_bf16x2(uint32_t a, uint32_t b, uint32_t c)
{
    return tc_emulation::pairwise(a, b, c, true, tc_emulation::fma_of);
}
inline uint32_t tc_add_bf16x2(uint32_t a, uint32_t b) { return tc_fma_bf16x2(a, 0x3F803F80u, b); }
inline uint32_t tc_sub_bf16x2(uint32_t a, uint32_t b) { return tc_fma_bf16x2(b, 0xBF80BF80u, a); }
inline uint32_t tc_mul_bf16x2(uint32_t a, uint32_t b) { return tc_fma_bf16x2(a, b, 0x80008000u); }

inline uint32_t tc_pack_f16x2(float low, float high)
{
    return tc_emulation::rounded(low, false) | static_cast<uint32_t>(tc_emulation::rounded(high, false)) << 16;
}
inline uint32_t tc_pack_bf16x2(float low, float high)
{
    return tc_emulation::rounded(low, true) | static_cast<uint32_t>(tc_emulation::rounded(high, true)) << 16;
}

inline uint32_t tc_pack_s8x4(float a, float b, float c, float d)
{
    const float values[4] = {a, b, c, d};
    uint32_t packed = 0;
    for (int k = 0; k < 4; ++k) {
        const float value = values[k] != values[k] ? 0.0f : fmaxf(-128.0f, fminf(values[k], 127.0f));
        packed |= (static_cast<uint32_t>(static_cast<int32_t>(rintf(value))) & 0xFFu) << 8 * k;
    }
    return packed;
}

inline uint32_t tc_pack_e4m3x4(float a, float b, float c, float d)
{
    using tc_emulation::rounded_e4m3;
    return rounded_e4m3(a) | rounded_e4m3(b) << 8 | rounded_e4m3(c) << 16 | rounded_e4m3(d) << 24;
}

inline uint16_t tc_to_f16(float value) { return tc_emulation::rounded(value, false); }
inline uint16_t tc_to_bf16(float value) { return tc_emulation::rounded(value, true); }

inline uint32_t tc_bytes_to_bf16x2(uint32_t word, uint32_t base)
{
    float offset;
    memcpy(&offset, &base, 4);
    return tc_pack_bf16x2(8388608.0f + (word & 0xFF) - offset, 8388608.0f + (word >> 16 & 0xFF) - offset);
}

inline uint32_t tc_permute(uint32_t a, uint32_t b, uint32_t selector)
{
    const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
    uint32_t result = 0;
    for (int k = 0; k < 4; ++k)
        result |= static_cast<uint32_t>(bytes >> (selector >> 4 * k & 7) * 8 & 0xFF) << 8 * k;
    return result;
}

inline float tc_max(float a, float b) { return a > b || a != a ? a : b; }
inline float tc_min(float a, float b) { return a < b || a != a ? a : b; }

inline float tc_shuffle(float value, int mask)
{
    return __shfl_xor_sync(0xFFFFFFFFu, value, mask);
}

inline void tc_lock(const int32_t* semaphore, int32_t value)
{
    tc_emulation::array_of(semaphore, 4, false);
    if (threadIdx.x == 0)
        tilecast_emulation::acquire(semaphore, value);
    __syncthreads();
}

inline void tc_release(int32_t* semaphore, int32_t value)
{
    tc_emulation::array_of(semaphore, 4, true);
    __syncthreads();
    if (threadIdx.x == 0)
        tilecast_emulation::release(semaphore, value);
}

// The arrays of the next launch, so that accesses outside of them are errors.
#define TILECAST_ARRAYS(...) tc_emulation::set_arrays({__VA_ARGS__})
namespace tc_emulation {
struct host_array { const void* start; size_t bytes; };
inline void set_arrays(std::initializer_list<host_array> given)
{
    arrays.clear();
    for (const host_array& array : given)
        arrays.push_back({static_cast<const unsigned char*>(array.start), array.bytes, {}});
}
}  // namespace tc_emulation

#ifdef TILECAST_EMULATION_ENTRY  // what a caller of single launchers tells and asks
extern "C" void tc_emulation_array(const void* start, size_t bytes)
{
    tc_emulation::arrays.push_back({static_cast<const unsigned char*>(start), bytes, {}});
}
extern "C" void tc_emulation_blocks(unsigned resident, unsigned seed)
{
    tilecast_emulation::set_blocks(resident, seed);
}
extern "C" const char* tc_emulation_error() { return tilecast_emulation::device().message; }
extern "C" void tc_emulation_reset()
{
    tc_emulation::arrays.clear();
    tilecast_emulation::device().failed = false;
    tilecast_emulation::device().message[0] = 0;
}
#endif

#endif
