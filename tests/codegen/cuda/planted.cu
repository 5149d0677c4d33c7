// Kernels with and without planted errors; each is launched by number.
#include "tilecast_cuda.h"

#include <stdlib.h>

__global__ void reverse(const float *x, float *y, int n, bool barrier, int shift, int skip) {
    TILECAST_SHARED(float, tile, 64);
    const int t = (int)threadIdx.x;
    if (t != skip) tile[t + shift] = x[t];
    if (barrier) __syncthreads();
    y[t] = tile[n - 1 - t + shift];
}

__global__ void warp_sum(const float *x, float *y) {
    float v = x[threadIdx.x];
    for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    const unsigned odd = __ballot_sync(0xffffffffu, threadIdx.x & 1);
    if (threadIdx.x % 32 == 0) y[threadIdx.x / 32] = odd == 0xaaaaaaaau ? v : -1.0f;
}

__global__ void block_sum(const float *x, float *y) {
    TILECAST_DYNAMIC_SHARED(float, part);
    part[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
    for (unsigned d = blockDim.x / 2; d > 0; d /= 2) {
        __syncthreads();
        if (threadIdx.x < d) part[threadIdx.x] += part[threadIdx.x + d];
    }
    if (threadIdx.x == 0) atomicAdd(y, (float)part[0]);
}

__global__ void warp_pass(float *y, bool barrier) {
    TILECAST_SHARED(float, tile, 32);
    tile[threadIdx.x] = (float)threadIdx.x;
    if (barrier) __syncwarp();
    y[threadIdx.x] = tile[threadIdx.x ^ 1];
}

__global__ void lost_lane(float *y) {
    if (threadIdx.x == 7) return;
    y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
}

extern "C" const char *run(int which, const float *x, float *y) {
    switch (which) {
    case 0: TILECAST_LAUNCH(reverse, dim3(1), dim3(64), 0, 0, x, y, 64, true, 0, -1); break;
    case 1: TILECAST_LAUNCH(reverse, dim3(1), dim3(64), 0, 0, x, y, 64, false, 0, -1); break;
    case 2: TILECAST_LAUNCH(reverse, dim3(1), dim3(64), 0, 0, x, y, 64, true, 1, -1); break;
    case 3: TILECAST_LAUNCH(reverse, dim3(1), dim3(64), 0, 0, x, y, 64, true, 0, 5); break;
    case 4: TILECAST_LAUNCH(warp_sum, dim3(1), dim3(64), 0, 0, x, y); break;
    case 5: TILECAST_LAUNCH(block_sum, dim3(2), dim3(32), 128, 0, x, y); break;
    case 6: TILECAST_LAUNCH(warp_pass, dim3(1), dim3(32), 0, 0, y, true); break;
    case 7: TILECAST_LAUNCH(warp_pass, dim3(1), dim3(32), 0, 0, y, false); break;
    case 8: TILECAST_LAUNCH(lost_lane, dim3(1), dim3(32), 0, 0, y); break;
    case 9: TILECAST_LAUNCH(block_sum, dim3(1), dim3(2048), 128, 0, x, y); break;
    }
    const cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? "" : cudaGetErrorString(error);
}
