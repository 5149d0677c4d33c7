/* What emitted kernels include: CUDA itself under nvcc, its emulation under a C++ compiler. */
#ifndef TILECAST_CUDA_H
#define TILECAST_CUDA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__

#include <cuda_runtime.h>

#define TILECAST_SHARED(type, name, count) __shared__ __align__(16) type name[count]
#define TILECAST_DYNAMIC_SHARED(type, name)                        \
    extern __shared__ __align__(128) unsigned char tilecast_dynamic[]; \
    type *const name = reinterpret_cast<type *>(tilecast_dynamic)
#define TC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#define TILECAST_ARRAYS(...) /* the emulation checks accesses against these */
#define TILECAST_LAUNCH(kernel, grid, block, shared, stream, ...) \
    kernel<<<grid, block, shared, stream>>>(__VA_ARGS__)

template <class V, class T> __device__ __forceinline__ V load_vector(const T *address) {
    return *reinterpret_cast<const V *>(address);
}
template <class V, class T> __device__ __forceinline__ void store_vector(T *address, V value) {
    *reinterpret_cast<V *>(address) = value;
}

#else

#include "emulation.h"

using tilecast_emulation::load_vector;
using tilecast_emulation::store_vector;

#endif

/* Where kernels of this thread are queued. */
extern thread_local cudaStream_t tilecast_stream;

#endif
