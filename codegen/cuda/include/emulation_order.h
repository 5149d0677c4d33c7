/* Which accesses to global memory are ordered: those of a block by its barriers, those of different
 * blocks by semaphores alone. Found by clocks, whatever the order in which blocks happen to run.
 *
 * The bytes of an array that a launch writes have a shadow from the first write on: the last write,
 * and the last read since. Epochs belong to one block each, so that they name blocks too.
 */
#ifndef TILECAST_EMULATION_ORDER_H
#define TILECAST_EMULATION_ORDER_H

#include "emulation.h"

namespace tilecast_emulation {

struct Access { /* of a byte; epoch 0: none */
    uint32_t epoch = 0, block = 0;
    int thread = 0;
};
struct GlobalByte {
    Access write, read;
};
using GlobalShadow = std::vector<GlobalByte>;

/* What all threads of a block know: what one has acquired is known to the others behind a barrier. */
inline const Clock &known_to(Block &block) {
    if (block.acquirer >= 0 && block.acquired_epoch < block.epoch) {
        block.known.join(block.acquired);
        block.acquirer = -1;
    }
    return block.known;
}

/* Whether the running thread comes after an access. */
inline bool happened_before(const Access &access) {
    const Device &d = device();
    Block &block = *d.block;
    if (access.epoch < d.launch_epoch) return true; /* another launch, or none */
    if (access.block == block.number)
        return access.thread == d.current || access.epoch < block.epoch;
    return known_to(block).knows(access.block, access.epoch) ||
           (block.acquirer == d.current && block.acquired.knows(access.block, access.epoch));
}

inline void check_order(const Access &access, const char *did, const char *does, size_t place) {
    if (happened_before(access)) return;
    if (access.block == device().block->number)
        fail("global memory race at byte %zu: thread %d %s, thread %d %s, no barrier between", place,
             access.thread, did, device().current, does);
    fail("global memory race at byte %zu: block %u %s, block %u %s, no semaphore orders them", place,
         access.block, did, device().block->number, does);
}

inline void check_global(GlobalShadow &shadow, size_t size, size_t place, size_t bytes, bool write) {
    if (shadow.empty()) {
        if (!write) return;
        shadow.resize(size);
    }
    const Device &d = device();
    const Access now = {d.block->epoch, d.block->number, d.current};
    for (size_t k = place; k < place + bytes; ++k) {
        GlobalByte &byte = shadow[k];
        check_order(byte.write, "wrote", write ? "writes" : "reads", k);
        if (write) check_order(byte.read, "read", "writes", k);
        (write ? byte.write : byte.read) = now;
    }
}

/* Waits until the semaphore has the value, and knows from then on what its last release stands for. */
inline void acquire(const int32_t *semaphore, int32_t value) {
    Block &block = *device().block;
    if (*semaphore != value) {
        block.awaited = semaphore, block.wanted = value;
        wait_as(State::at_semaphore);
    }
    known_to(block);
    for (const auto &[address, clock] : device().released)
        if (address == semaphore) block.acquired = clock;
    block.acquirer = device().current, block.acquired_epoch = block.epoch;
}

/* Stores the value; stands for what the block knows, and did before its last barrier. */
inline void release(int32_t *semaphore, int32_t value) {
    Block &block = *device().block;
    Clock clock = known_to(block);
    if (block.acquirer == device().current) clock.join(block.acquired);
    clock.learn(block.number, block.epoch - 1);
    *semaphore = value;
    for (auto &[address, last] : device().released)
        if (address == semaphore) {
            last = clock;
            return;
        }
    device().released.push_back({semaphore, clock});
}

} /* namespace tilecast_emulation */

#endif
