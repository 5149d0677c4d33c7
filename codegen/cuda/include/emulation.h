/* CUDA kernels on the CPU, for machines without a GPU: what nvcc and the device would provide.
 *
 * Threads of a block are fibers of one OS thread, blocks run one after the other. A fiber runs until
 * it waits: for the block (__syncthreads), or for lanes of its warp (shuffles, votes, __syncwarp).
 * Shared memory has a shadow per byte: reads of what was never written, accesses outside of an
 * array, and accesses of two threads that no barrier orders end the launch with an error.
 */
#ifndef TILECAST_EMULATION_H
#define TILECAST_EMULATION_H

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chrono>
#include <mutex>
#include <type_traits>
#include <vector>

#include "emulation_fibers.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__ __restrict

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint3 {
    unsigned x, y, z;
};

namespace tilecast_emulation {

constexpr int WARP = 32, MOST_THREADS = 1024, DEPOSIT = 128;

struct Shadow { /* of one byte: the last write, and the reads since the last barrier */
    uint32_t write_epoch = 0, read_epoch = 0, write_warp_epoch = 0, read_warp_epoch = 0;
    int16_t writer = -1, reader = -1;
};

struct Array { /* a shared array; epochs only grow, so that a shadow needs no clearing */
    const void *base;
    size_t bytes;
    std::vector<Shadow> shadow;
};

struct Exchange { /* lanes of `mask` that meet: each leaves a value, all see all of them */
    uint32_t mask, arrived, round;
    unsigned char deposit[2][WARP][DEPOSIT];
};

enum class State { ready, at_barrier, at_exchange, done };

struct Thread {
    Fiber fiber;
    uint3 index;
    State state;
    Exchange *exchange;
    uint32_t round;
};

struct Warp {
    uint32_t epoch;
    std::vector<Exchange *> exchanges;
};

struct Device { /* all state of the launch that runs */
    std::mutex lock;
    char message[512] = "";
    bool failed = false;
    dim3 grid, block;
    uint32_t epoch = 1, first_epoch = 1;
    int current = 0, count = 0;
    Fiber scheduler;
    Thread threads[MOST_THREADS];
    Warp warps[MOST_THREADS / WARP];
    void (*body)(void *) = nullptr;
    void *arguments = nullptr;
    unsigned char *dynamic = nullptr;
    size_t dynamic_bytes = 0;
    Array *dynamic_array = nullptr;
    std::vector<Array *> static_arrays;
};

inline Device &device() {
    static Device *only = new Device;
    return *only;
}
inline uint3 thread_index, block_index;
inline dim3 block_extent, grid_extent;

/* Back to the scheduler; returns when what the thread waits for has happened. */
inline void wait_as(State state) {
    Device &d = device();
    d.threads[d.current].state = state;
    switch_fiber(d.threads[d.current].fiber, d.scheduler);
}

/* Ends the launch: the first error is kept, the fibers are abandoned. */
[[noreturn]] inline void fail(const char *format, ...) {
    Device &d = device();
    if (!d.failed) {
        char text[384];
        va_list list;
        va_start(list, format);
        vsnprintf(text, sizeof text, format, list);
        va_end(list);
        snprintf(d.message, sizeof d.message, "block (%u, %u, %u) thread (%u, %u, %u): %s",
                 block_index.x, block_index.y, block_index.z, thread_index.x, thread_index.y,
                 thread_index.z, text);
        d.failed = true;
    }
    for (;;) wait_as(State::done);
}

/* --- shared memory ------------------------------------------------------------------------- */

inline bool ordered(int other, uint32_t epoch, uint32_t warp_epoch) {
    Device &d = device();
    if (epoch != d.epoch || other == d.current) return true;
    return other >= 0 && other / WARP == d.current / WARP &&
           warp_epoch < d.warps[d.current / WARP].epoch;
}

inline void check_shared(Array &array, const void *address, size_t bytes, bool write) {
    Device &d = device();
    const ptrdiff_t offset = (const char *)address - (const char *)array.base;
    if (offset < 0 || (size_t)offset + bytes > array.bytes)
        fail("shared memory %s out of bounds: bytes %lld to %lld of an array of %llu",
             write ? "write" : "read", (long long)offset, (long long)(offset + (ptrdiff_t)bytes),
             (unsigned long long)array.bytes);
    if ((uintptr_t)address % bytes && (bytes & (bytes - 1)) == 0)
        fail("misaligned shared memory access of %zu bytes at byte %td", bytes, offset);
    const uint32_t warp_epoch = d.warps[d.current / WARP].epoch;
    for (size_t k = 0; k < bytes; ++k) {
        Shadow &s = array.shadow[(size_t)offset + k];
        if (!write && s.write_epoch < d.first_epoch)
            fail("shared memory byte %td is read before it is written", offset + (ptrdiff_t)k);
        if (!ordered(s.writer, s.write_epoch, s.write_warp_epoch))
            fail("shared memory race at byte %td: thread %d wrote, thread %d %s, no barrier between",
                 offset + (ptrdiff_t)k, s.writer, d.current, write ? "writes" : "reads");
        if (write && !ordered(s.reader, s.read_epoch, s.read_warp_epoch))
            fail("shared memory race at byte %td: thread %d read, thread %d writes, no barrier "
                 "between", offset + (ptrdiff_t)k, s.reader, d.current);
        if (write) {
            s.write_epoch = d.epoch, s.write_warp_epoch = warp_epoch;
            s.writer = (int16_t)d.current;
        } else {
            /* -2: several threads; no warp barrier orders those */
            const bool alone = s.read_epoch != d.epoch || s.reader == d.current ||
                               ordered(s.reader, s.read_epoch, s.read_warp_epoch);
            s.reader = alone ? (int16_t)d.current
                             : (s.reader >= 0 && s.reader / WARP == d.current / WARP
                                    ? s.reader : (int16_t)-2);
            s.read_epoch = d.epoch, s.read_warp_epoch = warp_epoch;
        }
    }
}

/* An element: reading and writing it are checked. */
template <class T> struct Reference {
    Array *array;
    T *address;
    operator T() const {
        check_shared(*array, address, sizeof(T), false);
        return *address;
    }
    T operator=(T value) const {
        check_shared(*array, address, sizeof(T), true);
        return *address = value;
    }
    T operator=(const Reference &other) const { return *this = (T)other; }
    T operator+=(T value) const { return *this = (T)((T)*this + value); }
};

/* A pointer into shared memory. */
template <class T> struct Pointer {
    Array *array;
    T *address;
    Reference<T> operator[](ptrdiff_t k) const { return {array, address + k}; }
    Reference<T> operator*() const { return {array, address}; }
    Pointer operator+(ptrdiff_t k) const { return {array, address + k}; }
    template <class U> explicit operator Pointer<U>() const { return {array, (U *)address}; }
};

template <class V, class T> V load_vector(Pointer<T> p) {
    return Reference<V>{p.array, (V *)p.address};
}
template <class V, class T> void store_vector(Pointer<T> p, V value) {
    Reference<V>{p.array, (V *)p.address} = value;
}
template <class V, class T> V load_vector(const T *p) {
    if ((uintptr_t)p % sizeof(V)) fail("misaligned global access of %zu bytes", sizeof(V));
    V value;
    memcpy(&value, p, sizeof(V));
    return value;
}
template <class V, class T> void store_vector(T *p, V value) {
    if ((uintptr_t)p % sizeof(V)) fail("misaligned global access of %zu bytes", sizeof(V));
    memcpy(p, &value, sizeof(V));
}

/* Storage of a static array; `Tag` is a type of its own for each declaration. */
template <class T, size_t N, class Tag> Pointer<T> static_shared() {
    static_assert(N * sizeof(T) <= 48 * 1024, "static shared arrays have at most 48 KiB");
    alignas(128) static unsigned char storage[N * sizeof(T)];
    static Array *array = new Array{storage, sizeof storage, std::vector<Shadow>(sizeof storage)};
    return {array, (T *)storage};
}
template <class T> Pointer<T> dynamic_shared() {
    return {device().dynamic_array, (T *)device().dynamic};
}

#define TILECAST_SHARED(type, name, count)                                             \
    struct name##_tag {};                                                              \
    const auto name = tilecast_emulation::static_shared<type, (count), name##_tag>()
#define TILECAST_DYNAMIC_SHARED(type, name) \
    const auto name = tilecast_emulation::dynamic_shared<type>()

/* --- warps and barriers -------------------------------------------------------------------- */

/* Leave `bytes` of `value`, wait for the lanes of `mask`, and get what each of them left. */
inline const unsigned char (*meet(uint32_t mask, const void *value, size_t bytes))[DEPOSIT] {
    Device &d = device();
    const int lane = d.current % WARP;
    if (!(mask >> lane & 1)) fail("lane %d is not in the mask %08x of its warp function", lane, mask);
    if (bytes > DEPOSIT) fail("lanes exchange at most %d bytes", DEPOSIT);
    Warp &warp = d.warps[d.current / WARP];
    Exchange *exchange = nullptr;
    for (Exchange *e : warp.exchanges)
        if (e->mask == mask) exchange = e;
    if (exchange == nullptr) {
        exchange = new Exchange{};
        exchange->mask = mask;
        warp.exchanges.push_back(exchange);
    }
    auto *deposits = exchange->deposit[exchange->round & 1];
    if (bytes) memcpy(deposits[lane], value, bytes);
    exchange->arrived |= 1u << lane;
    if (exchange->arrived == mask) {
        exchange->arrived = 0;
        ++exchange->round;
    } else {
        d.threads[d.current].exchange = exchange;
        d.threads[d.current].round = exchange->round;
        wait_as(State::at_exchange);
    }
    return deposits;
}

template <class T> T shuffle(uint32_t mask, T value, int source) {
    const auto *deposits = meet(mask, &value, sizeof value);
    if (!(mask >> source & 1)) fail("shuffle from lane %d, which mask %08x leaves out", source, mask);
    T result;
    memcpy(&result, deposits[source], sizeof result);
    return result;
}

inline void run_block() {
    Device &d = device();
    int alive = d.count;
    while (alive && !d.failed) {
        bool progress = false;
        alive = 0;
        for (int first = 0; first < d.count; first += WARP) {
            for (bool again = true; again && !d.failed;) {
                again = false;
                for (int t = first; t < d.count && t < first + WARP && !d.failed; ++t) {
                    Thread &thread = d.threads[t];
                    if (thread.state == State::at_exchange && thread.exchange->round != thread.round)
                        thread.state = State::ready;
                    if (thread.state != State::ready) continue;
                    d.current = t;
                    thread_index = thread.index;
                    switch_fiber(d.scheduler, thread.fiber);
                    progress = again = true;
                }
            }
            for (int t = first; t < d.count && t < first + WARP; ++t)
                alive += d.threads[t].state != State::done;
        }
        if (d.failed || !alive) break;
        int at_barrier = 0;
        for (int t = 0; t < d.count; ++t) at_barrier += d.threads[t].state == State::at_barrier;
        if (at_barrier == alive) {
            ++d.epoch;
            for (int t = 0; t < d.count; ++t)
                if (d.threads[t].state == State::at_barrier) d.threads[t].state = State::ready;
        } else if (!progress) {
            for (int t = 0; t < d.count; ++t) {
                if (d.threads[t].state != State::at_exchange) continue;
                snprintf(d.message, sizeof d.message,
                         "deadlock in block (%u, %u, %u): thread %d waits for lanes %08x of its warp, "
                         "%d threads wait at a barrier", block_index.x, block_index.y, block_index.z,
                         t, d.threads[t].exchange->mask, at_barrier);
            }
            d.failed = true;
        }
    }
}

inline void enter_thread() {
    Device &d = device();
    d.body(d.arguments);
    for (;;) wait_as(State::done);
}

template <class Body> int launch(dim3 grid, dim3 block, size_t shared_bytes, Body body) {
    Device &d = device();
    const std::lock_guard<std::mutex> hold(d.lock);
    const size_t count = (size_t)block.x * block.y * block.z;
    if (d.failed) return 719; /* cudaErrorLaunchFailure stays, as on a device */
    if (!count || count > MOST_THREADS || !grid.x || !grid.y || !grid.z || grid.y > 65535 ||
        grid.z > 65535 || block.z > 64 || shared_bytes > 227 * 1024) {
        snprintf(d.message, sizeof d.message, "launch of (%u, %u, %u) blocks of (%u, %u, %u) threads "
                 "and %zu bytes is not possible", grid.x, grid.y, grid.z, block.x, block.y, block.z,
                 shared_bytes);
        d.failed = true;
        return 9; /* cudaErrorInvalidConfiguration */
    }
    grid_extent = grid, block_extent = block;
    d.count = (int)count;
    d.body = [](void *b) { (*(Body *)b)(); };
    d.arguments = &body;
    std::vector<unsigned char> storage(shared_bytes + 128);
    d.dynamic = storage.data() + (128 - (uintptr_t)storage.data() % 128) % 128;
    Array dynamic{d.dynamic, shared_bytes, std::vector<Shadow>(shared_bytes)};
    d.dynamic_array = &dynamic;
    for (unsigned z = 0; z < grid.z && !d.failed; ++z)
        for (unsigned y = 0; y < grid.y && !d.failed; ++y)
            for (unsigned x = 0; x < grid.x && !d.failed; ++x) {
                block_index = {x, y, z};
                d.first_epoch = ++d.epoch;
                for (int t = 0; t < d.count; ++t) {
                    const unsigned u = (unsigned)t;
                    d.threads[t].index = {u % block.x, u / block.x % block.y,
                                          u / block.x / block.y};
                    d.threads[t].state = State::ready;
                    start_fiber(d.threads[t].fiber, t, enter_thread);
                }
                for (Warp &warp : d.warps) {
                    warp.epoch = 1;
                    for (Exchange *e : warp.exchanges) e->arrived = 0;
                }
                run_block();
            }
    return d.failed ? 719 : 0;
}

} /* namespace tilecast_emulation */

#define threadIdx tilecast_emulation::thread_index
#define blockIdx tilecast_emulation::block_index
#define blockDim tilecast_emulation::block_extent
#define gridDim tilecast_emulation::grid_extent

inline void __syncthreads() { tilecast_emulation::wait_as(tilecast_emulation::State::at_barrier); }
inline void __threadfence() {}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
    using namespace tilecast_emulation;
    Device &d = device();
    const int n = d.count - d.current / WARP * WARP;
    if (n < WARP) mask &= (1u << n) - 1;
    meet(mask, nullptr, 0);
    /* The first lane to go on opens a new epoch; all lanes of a full warp have arrived. */
    Warp &warp = d.warps[d.current / WARP];
    if ((mask & ((1u << d.current % WARP) - 1)) == 0) ++warp.epoch;
    meet(mask, nullptr, 0);
}
template <class T> T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    const int lane = tilecast_emulation::device().current % 32;
    return tilecast_emulation::shuffle(mask, value, (lane & ~(width - 1)) | (source & (width - 1)));
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int flip, int width = 32) {
    const int lane = tilecast_emulation::device().current % 32, other = lane ^ flip;
    return tilecast_emulation::shuffle(
        mask, value, (other & ~(width - 1)) > (lane & ~(width - 1)) ? lane : other);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const int lane = tilecast_emulation::device().current % 32;
    const int other = (lane & (width - 1)) + (int)delta;
    return tilecast_emulation::shuffle(mask, value, other >= width ? lane : lane + (int)delta);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const int lane = tilecast_emulation::device().current % 32;
    const int other = (lane & (width - 1)) - (int)delta;
    return tilecast_emulation::shuffle(mask, value, other < 0 ? lane : lane - (int)delta);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    const auto *deposits = tilecast_emulation::meet(mask, &predicate, sizeof predicate);
    unsigned result = 0;
    for (int lane = 0; lane < 32; ++lane) {
        int value;
        memcpy(&value, deposits[lane], sizeof value);
        if (mask >> lane & 1 && value) result |= 1u << lane;
    }
    return result;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, predicate) == mask;
}
/* One thread runs at a time: plain updates are atomic. */
template <class T> T atomicAdd(T *address, T value) {
    const T before = *address;
    *address = before + value;
    return before;
}
template <class T> T atomicMax(T *address, T value) {
    const T before = *address;
    if (value > before) *address = value;
    return before;
}
template <class T> T atomicCAS(T *address, T expected, T value) {
    const T before = *address;
    if (before == expected) *address = value;
    return before;
}
template <class T> T atomicExch(T *address, T value) {
    const T before = *address;
    *address = value;
    return before;
}

#include "emulation_runtime.h"

#endif
