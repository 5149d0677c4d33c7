// What the instructions of the GPU are called; emulation_tensor.h has the same functions for the CPU.

__device__ static inline uint32_t tc_shared_address(const void* at)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(at));
}

template <int bytes, typename To>
__device__ static inline void tc_load(To* to, const void* at)
{
    static_assert(sizeof(To) == 4, "registers have 32 bits");
    if constexpr (bytes == 16) {
        const uint4 v = *reinterpret_cast<const uint4*>(at);
        memcpy(to, &v, 16);
    } else if constexpr (bytes == 8) {
        const uint2 v = *reinterpret_cast<const uint2*>(at);
        memcpy(to, &v, 8);
    } else {
        const uint32_t v = *reinterpret_cast<const uint32_t*>(at);
        memcpy(to, &v, 4);
    }
}

template <int bytes, typename From>
__device__ static inline void tc_store(void* at, const From* from)
{
    static_assert(sizeof(From) == 4, "registers have 32 bits");
    if constexpr (bytes == 16) {
        uint4 v;
        memcpy(&v, from, 16);
        *reinterpret_cast<uint4*>(at) = v;
    } else if constexpr (bytes == 8) {
        uint2 v;
        memcpy(&v, from, 8);
        *reinterpret_cast<uint2*>(at) = v;
    } else {
        uint32_t v;
        memcpy(&v, from, 4);
        *reinterpret_cast<uint32_t*>(at) = v;
    }
}

template <int bytes>
__device__ static inline uint32_t tc_load_narrow(const void* at)
{
    return bytes == 2 ? *reinterpret_cast<const uint16_t*>(at) : *reinterpret_cast<const uint8_t*>(at);
}

template <int bytes>
__device__ static inline void tc_store_narrow(void* at, uint32_t value)
{
    if (bytes == 2)
        *reinterpret_cast<uint16_t*>(at) = static_cast<uint16_t>(value);
    else
        *reinterpret_cast<uint8_t*>(at) = static_cast<uint8_t>(value);
}

template <int bytes>
__device__ static inline void tc_copy_async(unsigned char* to, const void* from, int valid)
{
    if constexpr (bytes == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(tc_shared_address(to)),
                     "l"(from), "r"(valid) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %3, %2;" ::"r"(tc_shared_address(to)),
                     "l"(from), "r"(valid), "n"(bytes) : "memory");
}

__device__ static inline void tc_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int pending>
__device__ static inline void tc_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

__device__ static inline void tc_ldmatrix_x4(uint32_t* to, const unsigned char* row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(tc_shared_address(row)) : "memory");
}

__device__ static inline void tc_ldmatrix_x2(uint32_t* to, const unsigned char* row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(to[0]), "=r"(to[1]) : "r"(tc_shared_address(row)) : "memory");
}

__device__ static inline void tc_ldmatrix_x1(uint32_t* to, const unsigned char* row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(to[0]) : "r"(tc_shared_address(row)) : "memory");
}

__device__ static inline void tc_ldmatrix_trans_x4(uint32_t* to, const unsigned char* row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(tc_shared_address(row)) : "memory");
}

__device__ static inline void tc_ldmatrix_trans_x2(uint32_t* to, const unsigned char* row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(to[0]), "=r"(to[1])
                 : "r"(tc_shared_address(row)) : "memory");
}

__device__ static inline void tc_ldmatrix_trans_x1(uint32_t* to, const unsigned char* row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(to[0])
                 : "r"(tc_shared_address(row)) : "memory");
}

__device__ static inline void tc_mma_m16n8k16_f16(float* c, const uint32_t* a, const uint32_t* b)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ static inline void tc_mma_m16n8k8_f16(float* c, const uint32_t* a, const uint32_t* b)
{
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

__device__ static inline void tc_mma_m16n8k16_bf16(float* c, const uint32_t* a, const uint32_t* b)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ static inline void tc_mma_m16n8k8_bf16(float* c, const uint32_t* a, const uint32_t* b)
{
    asm("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

__device__ static inline void tc_mma_m16n8k8_tf32(float* c, const float* a, const float* b)
{
    uint32_t r[6];
    for (int i = 0; i < 6; ++i)
        asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r[i]) : "f"(i < 4 ? a[i] : b[i - 4]));
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "r"(r[4]), "r"(r[5]));
}

__device__ static inline void tc_mma_m16n8k32_s8(int32_t* c, const uint32_t* a, const uint32_t* b)
{
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ static inline void tc_mma_m16n8k32_e4m3(float* c, const uint32_t* a, const uint32_t* b)
{
    asm("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ static inline void tc_mma_m16n8k32_e4m3_e5m2(float* c, const uint32_t* a, const uint32_t* b)
{
    asm("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ static inline void tc_mma_m16n8k32_e5m2(float* c, const uint32_t* a, const uint32_t* b)
{
    asm("mma.sync.aligned.m16n8k32.row.col.f32.e5m2.e5m2.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ static inline void tc_fma(float* c, const float* a, const float* b)
{
    *c = fmaf(*a, *b, *c);
}

__device__ static inline uint32_t tc_fma_f16x2(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t d;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

__device__ static inline uint32_t tc_add_f16x2(uint32_t a, uint32_t b)
{
    uint32_t d;
    asm("add.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}

__device__ static inline uint32_t tc_sub_f16x2(uint32_t a, uint32_t b)
{
    uint32_t d;
    asm("sub.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}

__device__ static inline uint32_t tc_mul_f16x2(uint32_t a, uint32_t b)
{
    uint32_t d;
    asm("mul.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}

__device__ static inline uint32_t tc_fma_bf16x2(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t d;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

__device__ static inline uint32_t tc_add_bf16x2(uint32_t a, uint32_t b)
{
    return tc_fma_bf16x2(a, 0x3F803F80u, b);
}

__device__ static inline uint32_t tc_sub_bf16x2(uint32_t a, uint32_t b)
{
    return tc_fma_bf16x2(b, 0xBF80BF80u, a);
}

__device__ static inline uint32_t tc_mul_bf16x2(uint32_t a, uint32_t b)
{
    return tc_fma_bf16x2(a, b, 0x80008000u);
}

__device__ static inline uint32_t tc_pack_f16x2(float low, float high)
{
    uint32_t d;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
    return d;
}

__device__ static inline uint32_t tc_pack_bf16x2(float low, float high)
{
    uint32_t d;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
    return d;
}

__device__ static inline uint32_t tc_pack_s8x4(float a, float b, float c, float d)
{
    const int v[4] = {__float2int_rn(a), __float2int_rn(b), __float2int_rn(c), __float2int_rn(d)};
    uint32_t packed = 0;
#pragma unroll
    for (int k = 0; k < 4; ++k)
        packed |= (static_cast<uint32_t>(max(-128, min(v[k], 127))) & 0xFFu) << 8 * k;
    return packed;
}

__device__ static inline uint32_t tc_pack_e4m3x4(float a, float b, float c, float d)
{
    uint16_t low, high;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(low) : "f"(b), "f"(a));
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(high) : "f"(d), "f"(c));
    return low | static_cast<uint32_t>(high) << 16;
}

__device__ static inline float tc_from_e4m3(uint32_t bits)
{
    uint32_t pair;
    float d;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(pair) : "h"(static_cast<uint16_t>(bits)));
    asm("cvt.f32.f16 %0, %1;" : "=f"(d) : "h"(static_cast<uint16_t>(pair)));
    return d;
}

__device__ static inline float tc_from_f16(uint32_t bits)
{
    float d;
    asm("cvt.f32.f16 %0, %1;" : "=f"(d) : "h"(static_cast<uint16_t>(bits)));
    return d;
}

__device__ static inline float tc_from_bf16(uint32_t bits)
{
    return __uint_as_float(bits << 16);
}

__device__ static inline uint16_t tc_to_f16(float value)
{
    uint16_t d;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(d) : "f"(value));
    return d;
}

__device__ static inline uint16_t tc_to_bf16(float value)
{
    uint16_t d;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(d) : "f"(value));
    return d;
}

__device__ static inline uint32_t tc_permute(uint32_t a, uint32_t b, uint32_t selector)
{
    return __byte_perm(a, b, selector);
}

__device__ static inline float tc_max(float a, float b)
{
    float d;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(d) : "f"(a), "f"(b));
    return d;
}

__device__ static inline float tc_min(float a, float b)
{
    float d;
    asm("min.NaN.f32 %0, %1, %2;" : "=f"(d) : "f"(a), "f"(b));
    return d;
}

__device__ static inline float tc_shuffle(float value, int mask)
{
    return __shfl_xor_sync(0xFFFFFFFFu, value, mask);
}

__device__ static inline void tc_lock(const int32_t* semaphore, int32_t value)
{
    if (threadIdx.x == 0) {
        int32_t found;
        do
            asm volatile("ld.acquire.gpu.global.b32 %0, [%1];" : "=r"(found) : "l"(semaphore) : "memory");
        while (found != value);
    }
    __syncthreads();
}

__device__ static inline void tc_release(int32_t* semaphore, int32_t value)
{
    __syncthreads();
    if (threadIdx.x == 0)
        asm volatile("st.release.gpu.global.b32 [%0], %1;" ::"l"(semaphore), "r"(value) : "memory");
}

__device__ static inline uint32_t tc_bytes_to_bf16x2(uint32_t word, uint32_t base)
{
    const float offset = __uint_as_float(base);
    const uint32_t low = __byte_perm(word, 0x4B000000u, 0x7650), high = __byte_perm(word, 0x4B000000u, 0x7652);
    return tc_pack_bf16x2(__uint_as_float(low) - offset, __uint_as_float(high) - offset);
}
