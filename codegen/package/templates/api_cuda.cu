/* The C interface of @name@ on a GPU: see include/@name@.h. */
#include "../src/@name@_private.h"

#include "tilecast_cuda.h"

#include <string.h>

#define ALIGNMENT 256

extern "C" {

const @name@_tensor @name@_inputs[@input_slots@] = {
@input_table@};

const @name@_tensor @name@_outputs[@output_slots@] = {
@output_table@};

}

/* Bytes of each weight on the device. */
static const size_t WEIGHT_BYTES[@weight_slots@] = {@weight_bytes@};

static size_t aligned(size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* One block of device memory: weights, inputs, outputs, arena. */
static size_t device_bytes(void) {
  size_t i, total = aligned(@NAME@_ARENA_BYTES) + ALIGNMENT;
  for (i = 0; i != @NAME@_NUM_WEIGHTS; i++) total += aligned(WEIGHT_BYTES[i]);
  for (i = 0; i != @NAME@_NUM_INPUTS; i++) total += aligned(@name@_inputs[i].bytes);
  for (i = 0; i != @NAME@_NUM_OUTPUTS; i++) total += aligned(@name@_outputs[i].bytes);
  return total;
}

static int place_on_device(@name@_context *ctx) {
  unsigned char *at;
  size_t i;
  if (cudaMalloc(&at, device_bytes()) != cudaSuccess) return @NAME@_ERROR_MEMORY;
  ctx->arena_block = at;
  for (i = 0; i != @NAME@_NUM_WEIGHTS; at += aligned(WEIGHT_BYTES[i]), i++) {
    if (WEIGHT_BYTES[i] && cudaMemcpy(at, ctx->weights[i], WEIGHT_BYTES[i],
                                      cudaMemcpyHostToDevice) != cudaSuccess)
      return @NAME@_ERROR_DEVICE;
    ctx->weights[i] = at;
  }
  for (i = 0; i != @NAME@_NUM_INPUTS; at += aligned(@name@_inputs[i].bytes), i++)
    ctx->device_inputs[i] = at;
  for (i = 0; i != @NAME@_NUM_OUTPUTS; at += aligned(@name@_outputs[i].bytes), i++)
    ctx->device_outputs[i] = at;
  ctx->arena = at;
  return @NAME@_OK;
}

static int check_arguments(const @name@_context *ctx, const void *const inputs[],
                           void *const outputs[]) {
  size_t i;
  if (ctx == NULL || ctx->arena == NULL) return @NAME@_ERROR_ARGUMENT;
  if (@NAME@_NUM_INPUTS > 0 && inputs == NULL) return @NAME@_ERROR_ARGUMENT;
  if (@NAME@_NUM_OUTPUTS > 0 && outputs == NULL) return @NAME@_ERROR_ARGUMENT;
  for (i = 0; i != @NAME@_NUM_INPUTS; i++)
    if (inputs[i] == NULL) return @NAME@_ERROR_ARGUMENT;
  for (i = 0; i != @NAME@_NUM_OUTPUTS; i++)
    if (outputs[i] == NULL) return @NAME@_ERROR_ARGUMENT;
  return @NAME@_OK;
}

extern "C" {

int @name@_init(@name@_context *ctx, const char *weights_path) {
  return @name@_init_level(ctx, weights_path, NULL);
}

const char *@name@_level(size_t index) { return index == 0 ? "@target@" : NULL; }

int @name@_init_level(@name@_context *ctx, const char *weights_path, const char *level) {
  int code;
  if (ctx == NULL) return @NAME@_ERROR_ARGUMENT;
  *ctx = @name@_context();
  if (level != NULL && strcmp(level, "@target@") != 0) return @NAME@_ERROR_CPU;
  code = @name@_load_weights(ctx, weights_path);
  if (code == @NAME@_OK) code = place_on_device(ctx);
  @name@_release_weights(ctx);
  if (code != @NAME@_OK) @name@_free(ctx);
  return code;
}

int @name@_run_on_stream(const @name@_context *ctx, const void *const inputs[],
                         void *const outputs[], void *stream) {
  const int code = check_arguments(ctx, inputs, outputs);
  if (code != @NAME@_OK) return code;
  tilecast_stream = (cudaStream_t)stream;
  @name@_program(inputs, outputs, ctx->weights, ctx->arena);
  return cudaGetLastError() == cudaSuccess ? @NAME@_OK : @NAME@_ERROR_DEVICE;
}

int @name@_run(const @name@_context *ctx, const void *const inputs[], void *const outputs[]) {
  size_t i;
  int code = check_arguments(ctx, inputs, outputs);
  if (code != @NAME@_OK) return code;
  for (i = 0; i != @NAME@_NUM_INPUTS; i++)
    cudaMemcpyAsync(ctx->device_inputs[i], inputs[i], @name@_inputs[i].bytes,
                    cudaMemcpyHostToDevice, 0);
  code = @name@_run_on_stream(ctx, ctx->device_inputs, ctx->device_outputs, NULL);
  if (code != @NAME@_OK) return code;
  for (i = 0; i != @NAME@_NUM_OUTPUTS; i++)
    cudaMemcpyAsync(outputs[i], ctx->device_outputs[i], @name@_outputs[i].bytes,
                    cudaMemcpyDeviceToHost, 0);
  return cudaStreamSynchronize(0) == cudaSuccess ? @NAME@_OK : @NAME@_ERROR_DEVICE;
}

void @name@_free(@name@_context *ctx) {
  if (ctx == NULL) return;
  cudaFree(ctx->arena_block);
  *ctx = @name@_context();
}

const char *@name@_error(int code) {
  switch (code) {
    case @NAME@_OK: return "no error";
    case @NAME@_ERROR_ARGUMENT: return "a null pointer, or a context that is not initialized";
    case @NAME@_ERROR_MEMORY: return "out of memory on the device";
    case @NAME@_ERROR_FILE: return "the weights file cannot be opened or read";
    case @NAME@_ERROR_WEIGHTS: return "the weights file does not belong to this model";
    case @NAME@_ERROR_CPU: return "this package holds code for @target@ only";
    case @NAME@_ERROR_DEVICE: return cudaGetErrorString(cudaGetLastError());
    default: return "unknown error code";
  }
}

}
