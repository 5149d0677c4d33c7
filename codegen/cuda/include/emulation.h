/* CUDA kernels on the CPU, for machines without a GPU: what nvcc and the device would provide.
 *
 * Threads of a block are fibers of one OS thread, which emulation_blocks.h runs.
 * Shared memory has a shadow per byte: reads of what was never written, accesses outside of an
 * array, and accesses of two threads that no barrier orders end the launch with an error.
 */
#ifndef TILECAST_EMULATION_H
#define TILECAST_EMULATION_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chrono>
#include <type_traits>
#include <vector>

#include "emulation_blocks.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__ __restrict

namespace tilecast_emulation {

/* --- shared memory ------------------------------------------------------------------------- */

inline bool ordered(int other, uint32_t epoch, uint32_t warp_epoch) {
    Device &d = device();
    if (epoch != d.block->epoch || other == d.current) return true;
    return other >= 0 && other / WARP == d.current / WARP &&
           warp_epoch < d.block->warps[d.current / WARP].epoch;
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
    const uint32_t warp_epoch = d.block->warps[d.current / WARP].epoch;
    for (size_t k = 0; k < bytes; ++k) {
        Shadow &s = array.shadow[(size_t)offset + k];
        if (!write && s.write_epoch < d.block->first_epoch)
            fail("shared memory byte %td is read before it is written", offset + (ptrdiff_t)k);
        if (!ordered(s.writer, s.write_epoch, s.write_warp_epoch))
            fail("shared memory race at byte %td: thread %d wrote, thread %d %s, no barrier between",
                 offset + (ptrdiff_t)k, s.writer, d.current, write ? "writes" : "reads");
        if (write && !ordered(s.reader, s.read_epoch, s.read_warp_epoch))
            fail("shared memory race at byte %td: thread %d read, thread %d writes, no barrier "
                 "between", offset + (ptrdiff_t)k, s.reader, d.current);
        if (write) {
            s.write_epoch = d.block->epoch, s.write_warp_epoch = warp_epoch;
            s.writer = (int16_t)d.current;
        } else {
            /* -2: several threads; no warp barrier orders those */
            const bool alone = s.read_epoch != d.block->epoch || s.reader == d.current ||
                               ordered(s.reader, s.read_epoch, s.read_warp_epoch);
            s.reader = alone ? (int16_t)d.current
                             : (s.reader >= 0 && s.reader / WARP == d.current / WARP
                                    ? s.reader : (int16_t)-2);
            s.read_epoch = d.block->epoch, s.read_warp_epoch = warp_epoch;
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
    return {&device().block->dynamic_array, (T *)device().block->dynamic};
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
    Warp &warp = d.block->warps[d.current / WARP];
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
        d.block->threads[d.current].exchange = exchange;
        d.block->threads[d.current].round = exchange->round;
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
    Warp &warp = d.block->warps[d.current / WARP];
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
template <class T> T atomicMin(T *address, T value) {
    const T before = *address;
    if (value < before) *address = value;
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
