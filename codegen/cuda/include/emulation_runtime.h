/* The part of CUDA's runtime and vector types that kernels and launchers use, on the CPU. */
#ifndef TILECAST_EMULATION_RUNTIME_H
#define TILECAST_EMULATION_RUNTIME_H

#define TILECAST_VECTORS(type, name)                  \
    struct alignas(2 * sizeof(type)) name##2 {        \
        type x, y;                                    \
    };                                                \
    struct alignas(4 * sizeof(type)) name##4 {        \
        type x, y, z, w;                              \
    };                                                \
    inline name##2 make_##name##2(type x, type y) {   \
        return {x, y};                                \
    }                                                 \
    inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
TILECAST_VECTORS(float, float)
TILECAST_VECTORS(int, int)
TILECAST_VECTORS(unsigned, uint)

inline float __int_as_float(int bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
inline int __float_as_int(float value) {
    int bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline float __uint_as_float(unsigned bits) { return __int_as_float((int)bits); }
inline unsigned __float_as_uint(float value) { return (unsigned)__float_as_int(value); }
template <class T> T __ldg(const T *address) { return *address; }

using cudaError_t = int;
using cudaStream_t = void *;
constexpr cudaError_t cudaSuccess = 0, cudaErrorMemoryAllocation = 2, cudaErrorLaunchFailure = 719;
enum cudaMemcpyKind { cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost,
                      cudaMemcpyDeviceToDevice, cudaMemcpyDefault };
constexpr int cudaFuncAttributeMaxDynamicSharedMemorySize = 8;

inline cudaError_t cudaGetLastError() {
    return tilecast_emulation::device().failed ? cudaErrorLaunchFailure : cudaSuccess;
}
inline cudaError_t cudaPeekAtLastError() { return cudaGetLastError(); }
inline const char *cudaGetErrorString(cudaError_t error) {
    if (error == cudaSuccess) return "no error";
    const char *message = tilecast_emulation::device().message;
    return *message ? message : "out of memory";
}
template <class T> cudaError_t cudaMalloc(T **address, size_t bytes) {
    *address = (T *)aligned_alloc(256, (bytes + 255) / 256 * 256 + 256);
    return *address == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}
inline cudaError_t cudaFree(void *address) {
    free(address);
    return cudaSuccess;
}
inline cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind) {
    memcpy(to, from, bytes);
    return cudaGetLastError();
}
inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t = nullptr) {
    return cudaMemcpy(to, from, bytes, kind);
}
inline cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t = nullptr) {
    memset(to, value, bytes);
    return cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() { return cudaGetLastError(); }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaGetLastError(); }
template <class K> cudaError_t cudaFuncSetAttribute(K, int, int) { return cudaSuccess; }

inline cudaError_t cudaStreamCreate(cudaStream_t *stream) {
    *stream = nullptr;
    return cudaSuccess;
}
inline cudaError_t cudaGetDeviceCount(int *count) {
    *count = 1;
    return cudaSuccess;
}

/* Events tell the time of the CPU: enough to test what uses them. */
using cudaEvent_t = std::chrono::steady_clock::time_point *;
inline cudaError_t cudaEventCreate(cudaEvent_t *event) {
    *event = new std::chrono::steady_clock::time_point;
    return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t = nullptr) {
    *event = std::chrono::steady_clock::now();
    return cudaGetLastError();
}
inline cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
    *ms = std::chrono::duration<float, std::milli>(*to - *from).count();
    return cudaSuccess;
}

#define TILECAST_LAUNCH(kernel, grid, block, shared, stream, ...) \
    ((void)(stream), (void)tilecast_emulation::launch(grid, block, shared, [=] { kernel(__VA_ARGS__); }))

#endif
