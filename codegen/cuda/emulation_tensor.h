// Runs tile kernels on the CPU: threads of a block as fibers, tensor core instructions by their
// definition, shared memory that reports what is out of bounds, not initialised, or a race.
// Same names as device_functions.h. Results are those of one possible order of execution.
#pragma once
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(n)
#define TC_SHARED(name) unsigned char* const name = tc_emulation::block.shared.data()

struct tc_index { int x, y, z; };
static tc_index threadIdx, blockIdx;

namespace tc_emulation {

constexpr int warp_size = 32;
constexpr int stack_bytes = 256 * 1024;
constexpr int nobody = -1, several = -2;

struct copy { unsigned char* to; unsigned char bytes[16]; int size; };
struct fiber {
    ucontext_t context;
    std::vector<char> stack;
    bool done = false;
    int barriers = 0, exchanges = 0;
    std::vector<std::vector<copy>> groups;
    std::vector<copy> open;
};
// What is known of a byte of shared memory; epochs count barriers.
struct shadow {
    bool written = false, pending = false;
    int writer = nobody, write_epoch = -1, reader = nobody, read_epoch = -1;
};
struct warp { int arrived[2] = {0, 0}; unsigned char slots[2][warp_size][32]; };
struct range { const unsigned char* start; size_t bytes; };
struct state {
    std::vector<unsigned char> shared;
    std::vector<shadow> shadows;
    std::vector<fiber> fibers;
    std::vector<warp> warps;
    ucontext_t scheduler;
    std::function<void()> kernel;
    int current = 0, arrived = 0, epoch = 0;
};
static state block;
static std::vector<range> arrays;
static std::string error;

static void report(const std::string& what)
{
    if (error.empty())
        error = what + " (thread " + std::to_string(block.current) + ", block " +
                std::to_string(blockIdx.x) + "," + std::to_string(blockIdx.y) + "," +
                std::to_string(blockIdx.z) + ")";
}

static void pause()
{
    swapcontext(&block.fibers[block.current].context, &block.scheduler);
}

// Waits until all lanes of the warp have given their bytes; then lane l's are in the answer[l].
static unsigned char (*exchange(const void* mine, size_t bytes))[32]
{
    fiber& self = block.fibers[block.current];
    warp& w = block.warps[block.current / warp_size];
    const int side = self.exchanges++ % 2;
    if (w.arrived[side] == warp_size)
        w.arrived[side] = 0;
    memcpy(w.slots[side][block.current % warp_size], mine, bytes);
    ++w.arrived[side];
    while (w.arrived[side] < warp_size)
        pause();
    return w.slots[side];
}

static bool inside(const unsigned char* at, size_t bytes, bool& is_shared)
{
    const unsigned char* start = block.shared.data();
    is_shared = at >= start && at < start + block.shared.size();
    if (is_shared)
        return at + bytes <= start + block.shared.size();
    for (const range& array : arrays)
        if (at >= array.start && at + bytes <= array.start + array.bytes)
            return true;
    return false;
}

static bool check(const unsigned char* at, size_t bytes, bool is_write)
{
    bool is_shared = false;
    if (!inside(at, bytes, is_shared)) {
        report(std::string(is_write ? "write" : "read") + " of " + std::to_string(bytes) +
               " bytes out of bounds");
        return false;
    }
    if (reinterpret_cast<uintptr_t>(at) % bytes)
        report("access of " + std::to_string(bytes) + " bytes is not aligned");
    for (size_t k = 0; is_shared && k < bytes; ++k) {
        shadow& s = block.shadows[at - block.shared.data() + k];
        const std::string place = " of shared byte " + std::to_string(at - block.shared.data() + k);
        const int me = block.current;
        if (s.write_epoch == block.epoch && s.writer != me)
            report("race: thread " + std::to_string(s.writer) + " wrote before this access" + place);
        if (is_write) {
            if (s.read_epoch == block.epoch && s.reader != me)
                report("race: write after another thread's read" + place);
            s.written = true;
            s.writer = me;
            s.write_epoch = block.epoch;
        } else {
            if (s.pending)
                report("read before the asynchronous copy was waited for" + place);
            else if (!s.written)
                report("read before any write" + place);
            s.reader = s.read_epoch == block.epoch && s.reader != me ? several : me;
            s.read_epoch = block.epoch;
        }
    }
    return true;
}

static void start_fiber()
{
    block.kernel();
    block.fibers[block.current].done = true;
    pause();
}

static void run_block(int threads)
{
    block.fibers.assign(threads, fiber());
    block.warps.assign(threads / warp_size, warp());
    std::fill(block.shared.begin(), block.shared.end(), 0xFF);
    block.shadows.assign(block.shared.size(), shadow());
    block.arrived = block.epoch = 0;
    for (fiber& f : block.fibers) {
        f.stack.resize(stack_bytes);
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.data();
        f.context.uc_stack.ss_size = f.stack.size();
        f.context.uc_link = nullptr;
        makecontext(&f.context, start_fiber, 0);
    }
    for (int left = threads; left > 0;) {
        left = 0;
        for (int k = 0; k < threads; ++k) {
            if (block.fibers[k].done)
                continue;
            ++left;
            block.current = k;
            threadIdx = {k, 0, 0};
            swapcontext(&block.scheduler, &block.fibers[k].context);
        }
        if (!error.empty())
            return;
    }
}

template <typename Kernel>
static int launch(int x, int y, int z, int threads, int shared_bytes, Kernel kernel)
{
    block.kernel = kernel;
    block.shared.assign(shared_bytes + 128, 0);
    block.shared.resize(shared_bytes);
    for (int k = 0; k < z; ++k)
        for (int j = 0; j < y; ++j)
            for (int i = 0; i < x && error.empty(); ++i) {
                blockIdx = {i, j, k};
                run_block(threads);
            }
    return error.empty() ? 0 : 1;
}

static double value(uint16_t bits, bool is_bf16)
{
    if (is_bf16) {
        const uint32_t wide = static_cast<uint32_t>(bits) << 16;
        float f;
        memcpy(&f, &wide, 4);
        return f;
    }
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    const double sign = bits >> 15 ? -1.0 : 1.0;
    if (exponent == 31)
        return mantissa ? NAN : sign * INFINITY;
    return sign * (exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24));
}

// To nearest even; `x` has at most 53 bits, so a product or a sum of two is rounded once.
static uint16_t rounded(double x, bool is_bf16)
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

static uint32_t pairwise(uint32_t a, uint32_t b, uint32_t c, bool is_bf16, double (*f)(double, double, double))
{
    uint32_t result = 0;
    for (int half = 0; half < 32; half += 16) {
        const double x = f(value(a >> half & 0xFFFF, is_bf16), value(b >> half & 0xFFFF, is_bf16),
                           value(c >> half & 0xFFFF, is_bf16));
        result |= static_cast<uint32_t>(rounded(x, is_bf16)) << half;
    }
    return result;
}

static double fma_of(double a, double b, double c) { return a * b + c; }
static double add_of(double a, double b, double) { return a + b; }
static double sub_of(double a, double b, double) { return a - b; }
static double mul_of(double a, double b, double) { return a * b; }

struct operands { uint32_t a[4], b[2]; };

// Row g = lane / 4 of A and column of B; `k` elements of `bits` bits, 32 / bits of them per register.
template <typename Sum, typename Value>
static void mma(Sum* c, const void* a, int a_words, const void* b, int b_words, int bits, Value number)
{
    operands mine = {};
    memcpy(mine.a, a, 4 * a_words);
    memcpy(mine.b, b, 4 * b_words);
    unsigned char (*all)[32] = exchange(&mine, sizeof mine);
    const int lane = block.current % warp_size, per = 32 / bits;
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
            sum += static_cast<Sum>(number(x)) * static_cast<Sum>(number(y));
        }
        c[register_] = sum;
    }
}

}  // namespace tc_emulation

static void __syncthreads()
{
    using namespace tc_emulation;
    fiber& self = block.fibers[block.current];
    const int mine = ++self.barriers;
    if (++block.arrived == static_cast<int>(block.fibers.size())) {
        block.arrived = 0;
        ++block.epoch;
    }
    while (block.epoch < mine) {
        for (const fiber& f : block.fibers)
            if (f.done) {
                report("barrier that a thread which has ended never reaches");
                return;
            }
        pause();
    }
}

template <int bytes, typename To>
static void tc_load(To* to, const unsigned char* at)
{
    if (tc_emulation::check(at, bytes, false))
        memcpy(to, at, bytes);
}

template <int bytes, typename From>
static void tc_store(unsigned char* at, const From* from)
{
    if (tc_emulation::check(at, bytes, true))
        memcpy(at, from, bytes);
}

template <int bytes>
static uint32_t tc_load_narrow(const unsigned char* at)
{
    uint32_t value = 0;
    if (tc_emulation::check(at, bytes, false))
        memcpy(&value, at, bytes);
    return value;
}

template <int bytes>
static void tc_store_narrow(unsigned char* at, uint32_t value)
{
    if (tc_emulation::check(at, bytes, true))
        memcpy(at, &value, bytes);
}

template <int bytes>
static void tc_copy_async(unsigned char* to, const unsigned char* from, int valid)
{
    using namespace tc_emulation;
    copy c = {to, {0}, bytes};
    if (valid && check(from, bytes, false))
        memcpy(c.bytes, from, valid);
    if (!check(to, bytes, true))
        return;
    for (int k = 0; k < bytes; ++k)
        block.shadows[to - block.shared.data() + k].pending = true;
    memset(to, 0xFF, bytes);
    block.fibers[block.current].open.push_back(c);
}

static void tc_commit()
{
    tc_emulation::fiber& self = tc_emulation::block.fibers[tc_emulation::block.current];
    self.groups.push_back(self.open);
    self.open.clear();
}

template <int pending>
static void tc_wait()
{
    using namespace tc_emulation;
    fiber& self = block.fibers[block.current];
    while (static_cast<int>(self.groups.size()) > pending) {
        for (const copy& c : self.groups.front()) {
            memcpy(c.to, c.bytes, c.size);
            for (int k = 0; k < c.size; ++k) {
                shadow& s = block.shadows[c.to - block.shared.data() + k];
                s.pending = false;
                s.writer = block.current;
                s.write_epoch = block.epoch;
            }
        }
        self.groups.erase(self.groups.begin());
    }
}

template <int matrices>
static void tc_ldmatrix(uint32_t* to, const unsigned char* row)
{
    using namespace tc_emulation;
    unsigned char (*rows)[32] = exchange(&row, sizeof row);
    const int lane = block.current % warp_size;
    for (int m = 0; m < matrices; ++m) {
        const unsigned char* at;
        memcpy(&at, rows[m * 8 + lane / 4], sizeof at);
        if (reinterpret_cast<uintptr_t>(at) % 16)
            report("ldmatrix row is not aligned to 16 bytes");
        if (check(at + lane % 4 * 4, 4, false))
            memcpy(to + m, at + lane % 4 * 4, 4);
    }
}
static void tc_ldmatrix_x4(uint32_t* to, const unsigned char* row) { tc_ldmatrix<4>(to, row); }
static void tc_ldmatrix_x2(uint32_t* to, const unsigned char* row) { tc_ldmatrix<2>(to, row); }
static void tc_ldmatrix_x1(uint32_t* to, const unsigned char* row) { tc_ldmatrix<1>(to, row); }

static float tc_from_f16(uint32_t bits) { return static_cast<float>(tc_emulation::value(bits, false)); }
static float tc_from_bf16(uint32_t bits) { return static_cast<float>(tc_emulation::value(bits, true)); }
static float tc_from_tf32(uint32_t bits)
{
    bits = (bits + 0x1000u) & 0xFFFFE000u;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
static int32_t tc_from_s8(uint32_t bits) { return static_cast<int8_t>(bits); }

static void tc_mma_m16n8k16_f16(float* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 4, b, 2, 16, tc_from_f16);
}
static void tc_mma_m16n8k8_f16(float* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 2, b, 1, 16, tc_from_f16);
}
static void tc_mma_m16n8k16_bf16(float* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 4, b, 2, 16, tc_from_bf16);
}
static void tc_mma_m16n8k8_bf16(float* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 2, b, 1, 16, tc_from_bf16);
}
static void tc_mma_m16n8k8_tf32(float* c, const float* a, const float* b)
{
    tc_emulation::mma(c, a, 4, b, 2, 32, tc_from_tf32);
}
static void tc_mma_m16n8k32_s8(int32_t* c, const uint32_t* a, const uint32_t* b)
{
    tc_emulation::mma(c, a, 4, b, 2, 8, tc_from_s8);
}

static uint32_t tc_fma_f16x2(uint32_t a, uint32_t b, uint32_t c)
{
    return tc_emulation::pairwise(a, b, c, false, tc_emulation::fma_of);
}
static uint32_t tc_add_f16x2(uint32_t a, uint32_t b)
{
    return tc_emulation::pairwise(a, b, 0, false, tc_emulation::add_of);
}
static uint32_t tc_sub_f16x2(uint32_t a, uint32_t b)
{
    return tc_emulation::pairwise(a, b, 0, false, tc_emulation::sub_of);
}
static uint32_t tc_mul_f16x2(uint32_t a, uint32_t b)
{
    return tc_emulation::pairwise(a, b, 0, false, tc_emulation::mul_of);
}
static uint32_t tc_fma_bf16x2(uint32_t a, uint32_t b, uint32_t c)
{
    return tc_emulation::pairwise(a, b, c, true, tc_emulation::fma_of);
}
static uint32_t tc_add_bf16x2(uint32_t a, uint32_t b) { return tc_fma_bf16x2(a, 0x3F803F80u, b); }
static uint32_t tc_sub_bf16x2(uint32_t a, uint32_t b) { return tc_fma_bf16x2(b, 0xBF80BF80u, a); }
static uint32_t tc_mul_bf16x2(uint32_t a, uint32_t b) { return tc_fma_bf16x2(a, b, 0x80008000u); }

static uint32_t tc_pack_f16x2(float low, float high)
{
    return tc_emulation::rounded(low, false) | static_cast<uint32_t>(tc_emulation::rounded(high, false)) << 16;
}
static uint32_t tc_pack_bf16x2(float low, float high)
{
    return tc_emulation::rounded(low, true) | static_cast<uint32_t>(tc_emulation::rounded(high, true)) << 16;
}

static uint32_t tc_bytes_to_bf16x2(uint32_t word, uint32_t base)
{
    float offset;
    memcpy(&offset, &base, 4);
    return tc_pack_bf16x2(8388608.0f + (word & 0xFF) - offset, 8388608.0f + (word >> 16 & 0xFF) - offset);
}

static uint32_t tc_permute(uint32_t a, uint32_t b, uint32_t selector)
{
    const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
    uint32_t result = 0;
    for (int k = 0; k < 4; ++k)
        result |= static_cast<uint32_t>(bytes >> (selector >> 4 * k & 7) * 8 & 0xFF) << 8 * k;
    return result;
}

static float tc_shuffle(float value, int mask)
{
    unsigned char (*all)[32] = tc_emulation::exchange(&value, sizeof value);
    memcpy(&value, all[(tc_emulation::block.current % 32) ^ mask], sizeof value);
    return value;
}

static void tc_lock(const int32_t* semaphore, int32_t value)
{
    if (*semaphore != value)
        tc_emulation::report("lock waits for a block that has not run yet");
    __syncthreads();
}

static void tc_release(int32_t* semaphore, int32_t value)
{
    __syncthreads();
    if (threadIdx.x == 0)
        *semaphore = value;
}

extern "C" void tc_emulation_array(const void* start, size_t bytes)
{
    tc_emulation::arrays.push_back({static_cast<const unsigned char*>(start), bytes});
}
extern "C" const char* tc_emulation_error() { return tc_emulation::error.c_str(); }
extern "C" void tc_emulation_reset()
{
    tc_emulation::arrays.clear();
    tc_emulation::error.clear();
}
