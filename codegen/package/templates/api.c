/* The C interface of @name@: see include/@name@.h. */
#include "@name@_private.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

const @name@_tensor @name@_inputs[@input_slots@] = {
@input_table@};

const @name@_tensor @name@_outputs[@output_slots@] = {
@output_table@};
@size_definitions@
/* A bit of CPUID, and the bits of XCR0 without which the system does not keep its registers. */
typedef struct {
  unsigned leaf;
  unsigned subleaf;
  int word; /* eax, ebx, ecx, edx */
  int bit;
  uint64_t state;
} cpu_feature;

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#include <cpuid.h>
#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
extern long syscall(long number, ...);

/* Linux keeps the tile registers of AMX for processes that ask for them. */
static int system_keeps(uint64_t state) {
  const uint64_t tiles = 0x60000;
  const long permission = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
  return (state & tiles) == 0 || syscall(SYS_arch_prctl, permission, tile_data) == 0;
}
#else
static int system_keeps(uint64_t state) {
  (void)state;
  return 1;
}
#endif

static uint64_t enabled_state(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;
  __asm__ __volatile__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return (uint64_t)d << 32 | a;
}

static int cpu_has(const cpu_feature *f) {
  unsigned words[4];
  if (!__get_cpuid_count(f->leaf, f->subleaf, &words[0], &words[1], &words[2], &words[3])) return 0;
  if (!(words[f->word] >> f->bit & 1)) return 0;
  if (f->state == 0) return 1;
  return (enabled_state() & f->state) == f->state && system_keeps(f->state);
}
#else
static int cpu_has(const cpu_feature *f) {
  (void)f;
  return 0;
}
#endif

/* The model's computation for one instruction set. */
typedef struct {
  const char *level;
  const cpu_feature *features;
  size_t num_features;
  const size_t *weights; /* positions among the weights of the package */
  size_t num_weights;
  void (*run)(const void *const *inputs, void *const *outputs, const void *const *weights,
              unsigned char *arena);
} program;

@program_tables@
#define NUM_PROGRAMS (sizeof PROGRAMS / sizeof PROGRAMS[0])

static int cpu_runs(const program *p) {
  size_t i;
  for (i = 0; i < p->num_features; i++)
    if (!cpu_has(&p->features[i])) return 0;
  return 1;
}

/* Index of the program called `level`, or of the best that this CPU runs; NUM_PROGRAMS if none. */
static size_t find_program(const char *level) {
  size_t i;
  for (i = 0; i < NUM_PROGRAMS; i++)
    if ((level == NULL || strcmp(level, PROGRAMS[i].level) == 0) && cpu_runs(&PROGRAMS[i])) break;
  return i;
}

@arena_functions@
static int choose_program(@name@_context *ctx, const char *level) {
  static const @name@_context EMPTY;
  if (ctx == NULL) return @NAME@_ERROR_ARGUMENT;
  *ctx = EMPTY;
  ctx->program = find_program(level);
  return ctx->program == NUM_PROGRAMS ? @NAME@_ERROR_CPU : @NAME@_OK;
}

/* Complete a context whose weights are there, or `code` says why they are not. */
static int finish(@name@_context *ctx, int code) {
  size_t i;
  if (code == @NAME@_OK) code = acquire_arena(ctx);
  if (code == @NAME@_OK)
    for (i = 0; i < PROGRAMS[ctx->program].num_weights; i++)
      ctx->arguments[i] = ctx->weights[PROGRAMS[ctx->program].weights[i]];
  if (code != @NAME@_OK) @name@_free(ctx);
  return code;
}

@init_functions@

int @name@_run(const @name@_context *ctx, @size_parameter@const void *const inputs[], void *const outputs[]) {
  size_t i;@size_checks@
  if (ctx == NULL || ctx->arena == NULL) return @NAME@_ERROR_ARGUMENT;
  if (@NAME@_NUM_INPUTS > 0 && inputs == NULL) return @NAME@_ERROR_ARGUMENT;
  if (@NAME@_NUM_OUTPUTS > 0 && outputs == NULL) return @NAME@_ERROR_ARGUMENT;
  for (i = 0; i != @NAME@_NUM_INPUTS; i++)
    if (inputs[i] == NULL) return @NAME@_ERROR_ARGUMENT;
  for (i = 0; i != @NAME@_NUM_OUTPUTS; i++)
    if (outputs[i] == NULL) return @NAME@_ERROR_ARGUMENT;
  @before_run@PROGRAMS[ctx->program].run(@given_inputs@, outputs, ctx->arguments, ctx->arena);
  return @run_result@;
}

void @name@_free(@name@_context *ctx) {
  static const @name@_context EMPTY;
  if (ctx == NULL) return;
  @name@_release_weights(ctx);
  release_arena(ctx);
  *ctx = EMPTY;
}

const char *@name@_level(size_t index) {
  return index < NUM_PROGRAMS ? PROGRAMS[index].level : NULL;
}

const char *@name@_error(int code) {
  switch (code) {
    case @NAME@_OK: return "no error";
    case @NAME@_ERROR_ARGUMENT: return "a null pointer, or a context that is not initialized";
    case @NAME@_ERROR_MEMORY: return "out of memory";
    case @NAME@_ERROR_FILE: return "the weights file cannot be opened or read";
    case @NAME@_ERROR_WEIGHTS: return "the weights file does not belong to this model";
    case @NAME@_ERROR_CPU: return "this CPU lacks instructions that the code needs, or no code has that name";@size_error_text@
    default: return "unknown error code";
  }
}
