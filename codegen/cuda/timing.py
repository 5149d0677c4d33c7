"""A program that times two kernels in turns on a GPU: events, caches flushed, results written down.

In: what the C functions of the kernels are called and take. Out: the text of `main`, which nvcc
builds with the kernels' files (or g++, where the emulation stands for a GPU).

    timing ROUNDS FOLDER    reads FOLDER/0.bin ... (weights in an order of a kernel's own: files of
                            other names), writes FOLDER/0.out ... and prints two lists of
                            milliseconds; status 3 where there is no device, 4 where a kernel fails
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NO_DEVICE, FAILED = 3, 4
TEXT = """\
#include "tilecast_cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

thread_local cudaStream_t tilecast_stream;

{prototypes}
struct Array {{
    size_t bytes;
    bool is_read, is_written; /* before, by the kernel */
    int fill;                 /* each byte, where it is not read from a file */
    const char *source;       /* the name of that file */
}};

static const Array ARRAYS[] = {{{arrays}}};
static const int COUNT = {count};
static const size_t FLUSH = {flush}; /* more than any second-level cache */
static void *device[COUNT];

static void check(cudaError_t error, const char *what, int status = {failed})
{{
    if (error == cudaSuccess) return;
    fprintf(stderr, "%s: %s\\n", what, cudaGetErrorString(error));
    exit(status);
}}

static void run(int which)
{{
    void **a = device;
    if (which == 0) {{
        {calls[0]}
    }} else {{
        {calls[1]}
    }}
}}

static void transfer(const char *folder, int k, const char *ending, const char *mode)
{{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, ARRAYS[k].source, ending);
    FILE *file = fopen(path, mode);
    char *host = (char *)malloc(ARRAYS[k].bytes + 1);
    const bool reads = *mode == 'r';
    if (!reads)
        check(cudaMemcpy(host, device[k], ARRAYS[k].bytes, cudaMemcpyDeviceToHost), "copy");
    const size_t done = file == NULL ? 0
                        : reads      ? fread(host, 1, ARRAYS[k].bytes, file)
                                     : fwrite(host, 1, ARRAYS[k].bytes, file);
    if (done != ARRAYS[k].bytes || fclose(file)) {{
        fprintf(stderr, "%s: not %zu bytes\\n", path, ARRAYS[k].bytes);
        exit({failed});
    }}
    if (reads)
        check(cudaMemcpy(device[k], host, ARRAYS[k].bytes, cudaMemcpyHostToDevice), "copy");
    free(host);
}}

static void fresh(const char *folder)
{{
    for (int k = 0; k < COUNT; k++) {{
        if (ARRAYS[k].is_read)
            transfer(folder, k, "bin", "rb");
        else
            check(cudaMemsetAsync(device[k], ARRAYS[k].fill, ARRAYS[k].bytes, 0), "fill");
    }}
}}

int main(int argc, char **argv)
{{
    int devices = 0;
    if (argc != 3) return {failed};
    const int rounds = atoi(argv[1]);
    check(cudaGetDeviceCount(&devices), "no CUDA device", {no_device});
    check(cudaStreamCreate(&tilecast_stream), "stream");
    for (int k = 0; k < COUNT; k++) check(cudaMalloc(&device[k], ARRAYS[k].bytes + 256), "memory");
    char *flushed = NULL;
    check(cudaMalloc(&flushed, FLUSH), "memory");
    for (int which = 0; which < 2; which++) {{ /* the second one's results stay */
        fresh(argv[2]);
        check(cudaDeviceSynchronize(), "copy");
        run(which);
        check(cudaDeviceSynchronize(), "kernel");
    }}
    for (int k = 0; k < COUNT; k++)
        if (ARRAYS[k].is_written) transfer(argv[2], k, "out", "wb");
    float *times = (float *)malloc(2 * (rounds + 1) * sizeof *times);
    cudaEvent_t before, after;
    check(cudaEventCreate(&before), "event");
    check(cudaEventCreate(&after), "event");
    for (int k = 0; k < 2 * rounds; k++) {{
        check(cudaMemsetAsync(flushed, k, FLUSH, tilecast_stream), "flush");
        check(cudaEventRecord(before, tilecast_stream), "event");
        run(k % 2);
        check(cudaEventRecord(after, tilecast_stream), "event");
        check(cudaStreamSynchronize(tilecast_stream), "kernel");
        check(cudaEventElapsedTime(&times[k], before, after), "event");
    }}
    for (int which = 0; which < 2; which++) {{
        printf("%s[", which ? ", " : "[");
        for (int k = which; k < 2 * rounds; k += 2) printf("%s%.6f", k > 1 ? ", " : "", times[k]);
        printf("]");
    }}
    printf("]\\n");
    return 0;
}}
"""
FLUSH_BYTES = 256 << 20


@dataclass(frozen=True)
class TimedArray:
    """An array of the device: its bytes, whether it is filled before, and is a result.

    Others hold the byte `fill` before. `source` is the file without its ending, by default the
    array's number.
    """

    nbytes: int
    is_read: bool
    is_written: bool
    fill: int = 0xFF
    source: str = ""


def emit_timing(
    names: tuple[str, str],
    arguments: tuple[Sequence[int], Sequence[int]],
    arrays: Sequence[TimedArray],
    flush_bytes: int = FLUSH_BYTES,
) -> str:
    """The text for two kernels: what their C functions are called and which `arrays` each takes."""
    prototypes, calls = "", []
    for name, numbers in zip(names, arguments, strict=True):
        prototypes += f'extern "C" void {name}({", ".join(["void *"] * len(numbers))});\n'
        calls.append(f"{name}({', '.join(f'a[{k}]' for k in numbers)});")
    flags = {True: "true", False: "false"}
    return TEXT.format(
        prototypes=prototypes,
        arrays=", ".join(
            f"{{{a.nbytes}, {flags[a.is_read]}, {flags[a.is_written]}, {a.fill}, "
            f'"{a.source or k}"}}'
            for k, a in enumerate(arrays)
        ),
        count=len(arrays),
        flush=flush_bytes,
        failed=FAILED,
        no_device=NO_DEVICE,
        calls=calls,
    )
