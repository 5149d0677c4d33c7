/* Weights of @name@, read while the model runs: each into the arena, ahead of the kernel that uses it.

   They come from a weights file, by a reader that the caller gives or by that of this file, which
   needs stdio; -D@NAME@_WITHOUT_FILES leaves it out. */
#include "@name@_private.h"

#include <string.h>

#define FILE_BYTES UINT64_C(@file_bytes@)
#define HEADER_BYTES UINT64_C(@header_bytes@)
#define HEADER_HASH UINT64_C(@header_hash@)

/* Where each weight starts in the file. */
static const uint64_t OFFSETS[@weight_slots@] = {@weight_offsets@};

/* FNV-1a of the header tells whether the file belongs to this model; its last byte has to be there. */
int @name@_open_stream(@name@_context *ctx, @name@_reader read, void *source) {
  uint64_t hash = UINT64_C(14695981039346656037), at;
  unsigned char piece[64];
  size_t i;
  if (read == NULL) return @NAME@_ERROR_ARGUMENT;
  for (at = 0; at < HEADER_BYTES; at += sizeof piece) {
    if (read(source, at, piece, sizeof piece) != 0) return @NAME@_ERROR_FILE;
    for (i = 0; i < sizeof piece; i++) hash = (hash ^ piece[i]) * UINT64_C(1099511628211);
  }
  if (hash != HEADER_HASH) return @NAME@_ERROR_WEIGHTS;
  if (read(source, FILE_BYTES - 1, piece, 1) != 0) return @NAME@_ERROR_WEIGHTS;
  ctx->stream.read = read;
  ctx->stream.source = source;
  for (i = 0; i != @NAME@_NUM_WEIGHTS; i++) {
    ctx->places[i].stream = &ctx->stream;
    ctx->places[i].offset = OFFSETS[i];
    ctx->weights[i] = &ctx->places[i];
  }
  return @NAME@_OK;
}

/* What could not be read is 0, which is in range where it is an index; NAME_run tells. */
static void fetch(void *to, const void *weight, size_t bytes) {
  const @name@_place *place = (const @name@_place *)weight;
  if (place->stream->read(place->stream->source, place->offset, to, bytes) == 0) return;
  place->stream->failed = 1;
  memset(to, 0, bytes);
}

@fetch_functions@
#ifndef @NAME@_WITHOUT_FILES
#include <limits.h>
#include <stdio.h>

static int read_file(void *source, uint64_t offset, void *to, size_t bytes) {
  FILE *file = (FILE *)source;
  if (offset > (uint64_t)LONG_MAX || fseek(file, (long)offset, SEEK_SET) != 0) return 1;
  return fread(to, 1, bytes, file) != bytes;
}

int @name@_load_weights(@name@_context *ctx, const char *path) {
  if (path == NULL) return @NAME@_ERROR_ARGUMENT;
  ctx->weights_block = fopen(path, "rb");
  if (ctx->weights_block == NULL) return @NAME@_ERROR_FILE;
  return @name@_open_stream(ctx, read_file, ctx->weights_block);
}

void @name@_release_weights(@name@_context *ctx) {
  if (ctx->weights_block != NULL) fclose((FILE *)ctx->weights_block);
  ctx->weights_block = NULL;
}
#else
void @name@_release_weights(@name@_context *ctx) { (void)ctx; }
#endif
