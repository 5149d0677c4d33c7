/* Fibers: stacks that take turns on one OS thread. Assembly on x86-64, ucontext elsewhere.
 * A block has a range of stacks of its own, so that several blocks can be under way. */
#ifndef TILECAST_EMULATION_FIBERS_H
#define TILECAST_EMULATION_FIBERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace tilecast_emulation {

constexpr size_t STACK_BYTES = 128 * 1024, STACKS = 1024;

inline char *map_stacks() {
    return (char *)mmap(nullptr, STACK_BYTES * STACKS, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

#ifdef __x86_64__

struct Fiber {
    void *stack_pointer;
};

/* Saves what a callee must keep, and continues where `to` was saved. */
__attribute__((naked, noinline)) inline void switch_stack(void ** /*from*/, void * /*to*/) {
    __asm__(
        "pushq %rbp\n\tpushq %rbx\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
        "movq %rsp, (%rdi)\n\tmovq %rsi, %rsp\n\t"
        "popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbx\n\tpopq %rbp\n\tret");
}
inline void switch_fiber(Fiber &from, Fiber &to) {
    switch_stack(&from.stack_pointer, to.stack_pointer);
}
inline void start_fiber(Fiber &fiber, char *stack, void (*entry)()) {
    /* The entry finds the stack as after a call: 8 bytes off a multiple of 16. */
    void **top = (void **)(stack + STACK_BYTES - 64);
    *--top = nullptr;
    *--top = (void *)entry;
    for (int k = 0; k < 6; ++k) *--top = nullptr;
    fiber.stack_pointer = top;
}

#else

struct Fiber {
    ucontext_t context;
};
inline void switch_fiber(Fiber &from, Fiber &to) { swapcontext(&from.context, &to.context); }
inline void start_fiber(Fiber &fiber, char *stack, void (*entry)()) {
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stack;
    fiber.context.uc_stack.ss_size = STACK_BYTES;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, entry, 0);
}

#endif

} /* namespace tilecast_emulation */

#endif
