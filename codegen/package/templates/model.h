/* @name@: a model compiled by tilecast for @target@.

   Typical use:

     @name@_context ctx;
     if (@name@_init(&ctx, "weights.safetensors") != @NAME@_OK) ...;
@size_use@     const void *inputs[] = {...};    one pointer per entry of @name@_inputs, row-major data
     void *outputs[] = {...};         one pointer per entry of @name@_outputs, caller's buffers
     @name@_run(&ctx, @size_argument@inputs, outputs);
     @name@_free(&ctx);

   A context may be used by one thread at a time; give each thread a context of its own.
@signature@*/
#ifndef @NAME@_H
#define @NAME@_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define @NAME@_NUM_INPUTS @num_inputs@
#define @NAME@_NUM_OUTPUTS @num_outputs@
#define @NAME@_NUM_WEIGHTS @num_weights@

/* Scratch memory of one context, in bytes. */
#define @NAME@_ARENA_BYTES @arena_bytes@

#define @NAME@_MAX_RANK @max_rank@

/* What the functions return. */
enum {
  @NAME@_OK = 0,
  @NAME@_ERROR_ARGUMENT = 1, /* a null pointer, or a context that is not initialized */
  @NAME@_ERROR_MEMORY = 2,   /* out of memory */
  @NAME@_ERROR_FILE = 3,     /* the weights file cannot be opened or read */
  @NAME@_ERROR_WEIGHTS = 4,  /* the weights file does not belong to this model */
  @NAME@_ERROR_CPU = 5       /* this CPU lacks instructions that the code needs */@device_errors@@size_error@
};

/* Element types. BOOL is one byte, 0 or 1; F16 and BF16 are two-byte patterns. */
typedef enum {
  @NAME@_F32 = 0,
  @NAME@_F64 = 1,
  @NAME@_F16 = 2,
  @NAME@_BF16 = 3,
  @NAME@_I8 = 4,
  @NAME@_I16 = 5,
  @NAME@_I32 = 6,
  @NAME@_I64 = 7,
  @NAME@_U8 = 8,
  @NAME@_BOOL = 9
} @name@_dtype;

/* One input or output: dense, row-major. */
typedef struct {
  const char *name;
  @name@_dtype dtype;
  int rank;
  int64_t shape[@NAME@_MAX_RANK]; /* the first `rank` extents */
  size_t elements;
  size_t bytes;
} @name@_tensor;

extern const @name@_tensor @name@_inputs[@input_slots@];
extern const @name@_tensor @name@_outputs[@output_slots@];
@size_declarations@@stream_types@
/* State between calls. The fields are private. */
typedef struct {
  const void *weights[@weight_slots@];
  const void *arguments[@argument_slots@];
  size_t program;
  unsigned char *arena;
  void *arena_block;
  void *weights_block;
  const void *weights_start;
  size_t weights_bytes;
@device_fields@@stream_fields@} @name@_context;

/* Prepare `ctx`: @weights_use@.
   Returns @NAME@_OK or an error code; after an error there is nothing to free. */
int @name@_init(@name@_context *ctx, const char *weights_path);

/* The same with the code for one instruction set, where the package holds several: the best that
   this CPU runs for a null pointer (what @name@_init takes), else one that @name@_level names. */
int @name@_init_level(@name@_context *ctx, const char *weights_path, const char *level);

@stream_functions@/* The instruction sets that were built in, best first; a null pointer past the last. */
const char *@name@_level(size_t index);

/* Run the model. Inputs are only read; every output is written completely. Outputs must not overlap
   inputs or each other. Pointers need the alignment of their element type only. */
int @name@_run(const @name@_context *ctx, @size_parameter@const void *const inputs[], void *const outputs[]);

@device_functions@
/* Give back what `ctx` holds. Safe on a context that is freed already. */
void @name@_free(@name@_context *ctx);

/* A sentence about an error code. */
const char *@name@_error(int code);

#ifdef __cplusplus
}
#endif

#endif
