/* One static arena: no heap, and one context at a time. */
static unsigned char ARENA[(size_t)@NAME@_ARENA_BYTES + ALIGNMENT];

static int acquire_arena(@name@_context *ctx) {
  ctx->arena = ARENA + (ALIGNMENT - (uintptr_t)ARENA % ALIGNMENT) % ALIGNMENT;
  return @NAME@_OK;
}

static void release_arena(@name@_context *ctx) { (void)ctx; }
