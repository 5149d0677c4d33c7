static int acquire_arena(@name@_context *ctx) {
  unsigned char *start;
  ctx->arena_block = malloc((size_t)@NAME@_ARENA_BYTES + ALIGNMENT);
  if (ctx->arena_block == NULL) return @NAME@_ERROR_MEMORY;
  start = (unsigned char *)ctx->arena_block;
  ctx->arena = start + (ALIGNMENT - (uintptr_t)start % ALIGNMENT) % ALIGNMENT;
  return @NAME@_OK;
}

static void release_arena(@name@_context *ctx) { free(ctx->arena_block); }
