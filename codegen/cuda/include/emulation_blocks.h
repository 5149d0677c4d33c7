/* Blocks of threads on one OS thread: who runs, who waits for what, and who runs next.
 *
 * A fiber runs until it waits: for its block (__syncthreads), for lanes of its warp, or for a
 * semaphore that another block opens. Blocks run in the order of their numbers, each to its end: so
 * a block must not wait for one that starts later, as a device may run few at a time. With
 * `set_blocks(resident, seed)` up to `resident` blocks are under way and take turns in a random order.
 */
#ifndef TILECAST_EMULATION_BLOCKS_H
#define TILECAST_EMULATION_BLOCKS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <mutex>
#include <utility>
#include <vector>

#include "emulation_fibers.h"

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

enum class State { ready, at_barrier, at_exchange, at_semaphore, done };

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

/* What one block knows to have happened: accesses of block b in its epochs up to `until[b]`. */
struct Clock {
    std::vector<uint32_t> until;
    void learn(size_t block, uint32_t epoch) {
        if (until.size() <= block) until.resize(block + 1);
        if (until[block] < epoch) until[block] = epoch;
    }
    void join(const Clock &other) {
        for (size_t b = 0; b < other.until.size(); ++b) learn(b, other.until[b]);
    }
    bool knows(size_t block, uint32_t epoch) const {
        return block < until.size() && until[block] >= epoch;
    }
};

struct Block { /* a block that runs or waits; used again when it has ended */
    uint3 index;
    uint32_t number, epoch, first_epoch;
    Thread threads[MOST_THREADS];
    Warp warps[MOST_THREADS / WARP];
    char *stacks = map_stacks();
    std::vector<unsigned char> storage;
    unsigned char *dynamic;
    Array dynamic_array;
    const int32_t *awaited; /* the semaphore that a thread waits for, and its value */
    int32_t wanted;
    Clock known, acquired; /* `acquired` is known to one thread until the next barrier */
    int acquirer;
    uint32_t acquired_epoch;
    void *extension = nullptr; /* state of emulation_tensor.h */
};

struct Device { /* all state of the launch that runs */
    std::mutex lock;
    char message[512] = "";
    bool failed = false;
    uint32_t epoch = 1, launch_epoch = 1; /* counts the starts and barriers of all blocks */
    unsigned resident = 1, seed = 0;
    int current = 0, count = 0;
    Block *block = nullptr;
    Fiber scheduler;
    void (*body)(void *) = nullptr;
    void *arguments = nullptr;
    std::vector<Block *> idle; /* that were needed before */
    std::vector<std::pair<const void *, Clock>> released; /* by semaphore: its last release */
};

inline Device &device() {
    static Device *only = new Device;
    return *only;
}
inline uint3 thread_index, block_index;
inline dim3 block_extent, grid_extent;

/* How many blocks may be under way in the launches to come, and the order that they take turns in. */
inline void set_blocks(unsigned resident, unsigned seed) {
    device().resident = resident, device().seed = seed;
}

/* Back to the scheduler; returns when what the thread waits for has happened. */
inline void wait_as(State state) {
    Device &d = device();
    Block &block = *d.block;
    const int thread = d.current;
    block.threads[thread].state = state;
    switch_fiber(block.threads[thread].fiber, d.scheduler);
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

inline bool may_go_on(const Block &block, const Thread &thread) {
    switch (thread.state) {
    case State::ready: return true;
    case State::at_exchange: return thread.exchange->round != thread.round;
    case State::at_semaphore: return *block.awaited == block.wanted;
    default: return false;
    }
}

/* Why a block that cannot go on waits. */
inline void report_deadlock(const Block &block) {
    Device &d = device();
    int at_barrier = 0;
    for (int t = 0; t < d.count; ++t) at_barrier += block.threads[t].state == State::at_barrier;
    d.failed = true;
    for (int t = 0; t < d.count; ++t) {
        if (block.threads[t].state == State::at_semaphore)
            snprintf(d.message, sizeof d.message,
                     "deadlock: block (%u, %u, %u) waits for a semaphore to be %d, which is %d, and no "
                     "block that is under way will change it", block.index.x, block.index.y,
                     block.index.z, block.wanted, *block.awaited);
        else if (block.threads[t].state == State::at_exchange)
            snprintf(d.message, sizeof d.message,
                     "deadlock in block (%u, %u, %u): thread %d waits for lanes %08x of its warp, "
                     "%d threads wait at a barrier", block.index.x, block.index.y, block.index.z,
                     t, block.threads[t].exchange->mask, at_barrier);
    }
}

enum class Progress { none, some, ended };

/* Runs the threads of a block until all have ended or none can go on. */
inline Progress run_block(Block &block) {
    Device &d = device();
    d.block = &block;
    block_index = block.index;
    Progress result = Progress::none;
    for (;;) {
        bool progress = false;
        int alive = 0, at_barrier = 0;
        for (int first = 0; first < d.count; first += WARP) {
            for (bool again = true; again;) {
                again = false;
                for (int t = first; t < d.count && t < first + WARP; ++t) {
                    Thread &thread = block.threads[t];
                    if (!may_go_on(block, thread)) continue;
                    thread.state = State::ready;
                    d.current = t;
                    thread_index = thread.index;
                    switch_fiber(d.scheduler, thread.fiber);
                    if (d.failed) return Progress::ended;
                    progress = again = true;
                }
            }
            for (int t = first; t < d.count && t < first + WARP; ++t) {
                alive += block.threads[t].state != State::done;
                at_barrier += block.threads[t].state == State::at_barrier;
            }
        }
        if (!alive) return Progress::ended;
        if (progress) result = Progress::some;
        if (at_barrier == alive) {
            block.epoch = ++d.epoch;
            for (int t = 0; t < d.count; ++t)
                if (block.threads[t].state == State::at_barrier) block.threads[t].state = State::ready;
        } else if (!progress) {
            return result;
        }
    }
}

inline void enter_thread() {
    Device &d = device();
    d.body(d.arguments);
    for (;;) wait_as(State::done);
}

inline Block *start_block(uint32_t number, dim3 grid, dim3 extent, size_t shared_bytes) {
    Device &d = device();
    if (d.idle.empty()) d.idle.push_back(new Block{});
    Block &block = *d.idle.back();
    d.idle.pop_back();
    block.number = number;
    block.index = {number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y};
    block.epoch = block.first_epoch = ++d.epoch;
    if (block.storage.size() < shared_bytes + 128) block.storage.resize(shared_bytes + 128);
    block.dynamic = block.storage.data() + (128 - (uintptr_t)block.storage.data() % 128) % 128;
    block.dynamic_array.base = block.dynamic, block.dynamic_array.bytes = shared_bytes;
    if (block.dynamic_array.shadow.size() < shared_bytes) block.dynamic_array.shadow.resize(shared_bytes);
    block.known = block.acquired = Clock();
    block.acquirer = -1;
    for (int t = 0; t < d.count; ++t) {
        const unsigned u = (unsigned)t;
        block.threads[t].index = {u % extent.x, u / extent.x % extent.y, u / extent.x / extent.y};
        block.threads[t].state = State::ready;
        start_fiber(block.threads[t].fiber, block.stacks + STACK_BYTES * (size_t)t, enter_thread);
    }
    for (Warp &warp : block.warps) {
        warp.epoch = 1;
        for (Exchange *e : warp.exchanges) e->arrived = 0;
    }
    return &block;
}

template <class T> void shuffle(std::vector<T> &items, uint32_t &random) {
    for (size_t k = items.size(); k > 1; --k) {
        random = random * 1664525u + 1013904223u;
        std::swap(items[k - 1], items[(random >> 8) % k]);
    }
}

/* Runs all blocks of a grid; as many are under way as `set_blocks` said. */
inline void run_grid(dim3 grid, dim3 extent, size_t shared_bytes) {
    Device &d = device();
    const uint32_t total = grid.x * grid.y * grid.z;
    uint32_t random = d.seed;
    std::vector<uint32_t> order;
    for (uint32_t k = 0; k < total; ++k) order.push_back(k);
    std::vector<Block *> live;
    if (d.seed) shuffle(order, random);
    d.launch_epoch = ++d.epoch;
    d.released.clear();
    for (uint32_t next = 0; !d.failed && (next < total || !live.empty());) {
        for (; next < total && live.size() < d.resident; ++next)
            live.push_back(start_block(order[next], grid, extent, shared_bytes));
        if (d.seed) shuffle(live, random);
        bool progress = false;
        for (size_t k = 0; k < live.size() && !d.failed; ++k) {
            const Progress made = run_block(*live[k]);
            progress = progress || made != Progress::none;
            if (made != Progress::ended) continue;
            d.idle.push_back(live[k]);
            live.erase(live.begin() + (ptrdiff_t)k--);
        }
        if (!progress && !d.failed) report_deadlock(*live.front());
    }
    d.idle.insert(d.idle.end(), live.begin(), live.end());
}

template <class Body> int launch(dim3 grid, dim3 extent, size_t shared_bytes, Body body) {
    Device &d = device();
    const std::lock_guard<std::mutex> hold(d.lock);
    const size_t count = (size_t)extent.x * extent.y * extent.z;
    if (d.failed) return 719; /* cudaErrorLaunchFailure stays, as on a device */
    if (!count || count > MOST_THREADS || !grid.x || !grid.y || !grid.z || grid.y > 65535 ||
        grid.z > 65535 || extent.z > 64 || shared_bytes > 227 * 1024) {
        snprintf(d.message, sizeof d.message, "launch of (%u, %u, %u) blocks of (%u, %u, %u) threads "
                 "and %zu bytes is not possible", grid.x, grid.y, grid.z, extent.x, extent.y, extent.z,
                 shared_bytes);
        d.failed = true;
        return 9; /* cudaErrorInvalidConfiguration */
    }
    grid_extent = grid, block_extent = extent;
    d.count = (int)count;
    d.body = [](void *b) { (*(Body *)b)(); };
    d.arguments = &body;
    run_grid(grid, extent, shared_bytes);
    return d.failed ? 719 : 0;
}

} /* namespace tilecast_emulation */

#endif
