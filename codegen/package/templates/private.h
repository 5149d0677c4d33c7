/* What the sources of @name@ share; not part of its interface. */
#ifndef @NAME@_PRIVATE_H
#define @NAME@_PRIVATE_H

#include "@name@.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The generated programs: call the kernels over the arena. */
@prototypes@
@stream_prototypes@/* Set ctx->weights; what it acquires is given back by @name@_release_weights, also on error. */
int @name@_load_weights(@name@_context *ctx, const char *path);
void @name@_release_weights(@name@_context *ctx);

#ifdef __cplusplus
}
#endif

#endif
