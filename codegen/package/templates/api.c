/* The C interface of @name@: see include/@name@.h. */
#include "@name@_private.h"

#include <stdlib.h>

#define ALIGNMENT 64

const @name@_tensor @name@_inputs[@input_slots@] = {
@input_table@};

const @name@_tensor @name@_outputs[@output_slots@] = {
@output_table@};

/* Whether this CPU has the instructions that the sources were compiled for. */
static int cpu_is_supported(void) {
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#if defined(__AVX512F__)
  if (!__builtin_cpu_supports("avx512f")) return 0;
#endif
#if defined(__AVX512BW__)
  if (!__builtin_cpu_supports("avx512bw")) return 0;
#endif
#if defined(__AVX512VL__)
  if (!__builtin_cpu_supports("avx512vl")) return 0;
#endif
#if defined(__AVX512DQ__)
  if (!__builtin_cpu_supports("avx512dq")) return 0;
#endif
#if defined(__AVX2__)
  if (!__builtin_cpu_supports("avx2")) return 0;
#endif
#if defined(__FMA__)
  if (!__builtin_cpu_supports("fma")) return 0;
#endif
#endif
  return 1;
}

@arena_functions@
int @name@_init(@name@_context *ctx, const char *weights_path) {
  static const @name@_context EMPTY;
  int code;
  if (ctx == NULL) return @NAME@_ERROR_ARGUMENT;
  *ctx = EMPTY;
  if (!cpu_is_supported()) return @NAME@_ERROR_CPU;
  code = @name@_load_weights(ctx, weights_path);
  if (code == @NAME@_OK) code = acquire_arena(ctx);
  if (code != @NAME@_OK) @name@_free(ctx);
  return code;
}

int @name@_run(const @name@_context *ctx, const void *const inputs[], void *const outputs[]) {
  size_t i;
  if (ctx == NULL || ctx->arena == NULL) return @NAME@_ERROR_ARGUMENT;
  if (@NAME@_NUM_INPUTS > 0 && inputs == NULL) return @NAME@_ERROR_ARGUMENT;
  if (@NAME@_NUM_OUTPUTS > 0 && outputs == NULL) return @NAME@_ERROR_ARGUMENT;
  for (i = 0; i != @NAME@_NUM_INPUTS; i++)
    if (inputs[i] == NULL) return @NAME@_ERROR_ARGUMENT;
  for (i = 0; i != @NAME@_NUM_OUTPUTS; i++)
    if (outputs[i] == NULL) return @NAME@_ERROR_ARGUMENT;
  @name@_program(inputs, outputs, ctx->weights, ctx->arena);
  return @NAME@_OK;
}

void @name@_free(@name@_context *ctx) {
  static const @name@_context EMPTY;
  if (ctx == NULL) return;
  @name@_release_weights(ctx);
  release_arena(ctx);
  *ctx = EMPTY;
}

const char *@name@_error(int code) {
  switch (code) {
    case @NAME@_OK: return "no error";
    case @NAME@_ERROR_ARGUMENT: return "a null pointer, or a context that is not initialized";
    case @NAME@_ERROR_MEMORY: return "out of memory";
    case @NAME@_ERROR_FILE: return "the weights file cannot be opened or read";
    case @NAME@_ERROR_WEIGHTS: return "the weights file does not belong to this model";
    case @NAME@_ERROR_CPU: return "this CPU lacks instructions that the code was compiled for";
    default: return "unknown error code";
  }
}
