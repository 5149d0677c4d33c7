/* Run @name@ on stored inputs and compare with stored reference outputs.

   check [DIRECTORY]    DIRECTORY is the package folder, by default the current one
   TILECAST_LEVEL=...   in the environment: check the code for this instruction set only
   Exit status: 0 all outputs agree, 1 a mismatch, 2 the check could not run. */
#include "@name@.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_BYTES 64
#define GUARD_VALUE 0xC3

/* An element passes when |result - reference| <= absolute + relative * |reference|. Integers and
   booleans must be equal. */
typedef struct {
  double absolute;
  double relative;
} tolerance;

static const tolerance TOLERANCES[@output_slots@] = {
@tolerance_table@};
@check_sizes@
static void *read_file(const char *directory, const char *kind, size_t index, size_t bytes) {
  char path[4096];
  FILE *stream;
  unsigned char *data = NULL;
  int length = snprintf(path, sizeof path, "%s/test/%s_%u.bin", directory, kind, (unsigned)index);
  if (length < 0 || (size_t)length >= sizeof path) return NULL;
  stream = fopen(path, "rb");
  if (stream != NULL) {
    data = (unsigned char *)malloc(bytes + 1);
    if (data != NULL && (fread(data, 1, bytes, stream) != bytes || fgetc(stream) != EOF)) {
      free(data);
      data = NULL;
    }
    fclose(stream);
  }
  if (data == NULL) fprintf(stderr, "check: cannot read %u bytes from %s\n", (unsigned)bytes, path);
  return data;
}

static double widen_f16(uint16_t bits) {
  int exponent = (bits >> 10) & 31;
  int mantissa = bits & 1023;
  double magnitude;
  if (exponent == 31)
    magnitude = mantissa ? NAN : INFINITY;
  else if (exponent == 0)
    magnitude = ldexp((double)mantissa, -24);
  else
    magnitude = ldexp((double)(mantissa + 1024), exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

static double widen_bf16(uint16_t bits) {
  uint32_t word = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &word, sizeof value);
  return (double)value;
}

/* Monotone integer image of a float's bit pattern, so that neighbours differ by one. */
static int64_t ordered(uint64_t bits, int width) {
  uint64_t sign = (uint64_t)1 << (width - 1);
  return bits & sign ? -(int64_t)(bits & (sign - 1)) : (int64_t)bits;
}

static uint64_t load_bits(const unsigned char *p, size_t width) {
  uint64_t u64;
  uint32_t u32;
  uint16_t u16;
  switch (width) {
    case 8: memcpy(&u64, p, 8); return u64;
    case 4: memcpy(&u32, p, 4); return u32;
    case 2: memcpy(&u16, p, 2); return u16;
    default: return *p;
  }
}

static double load_float(@name@_dtype dtype, const unsigned char *p) {
  float f32;
  double f64;
  switch (dtype) {
    case @NAME@_F32: memcpy(&f32, p, sizeof f32); return (double)f32;
    case @NAME@_F64: memcpy(&f64, p, sizeof f64); return f64;
    case @NAME@_F16: return widen_f16((uint16_t)load_bits(p, 2));
    default: return widen_bf16((uint16_t)load_bits(p, 2));
  }
}

static int is_float(@name@_dtype dtype) {
  return dtype == @NAME@_F32 || dtype == @NAME@_F64 || dtype == @NAME@_F16 || dtype == @NAME@_BF16;
}

/* Print one line about an output; returns the number of elements out of tolerance. */
static size_t compare(const @name@_tensor *t, tolerance allowed, const unsigned char *result,
                      const unsigned char *reference) {
  size_t i, bad = 0, worst = 0, width = t->elements ? t->bytes / t->elements : 1;
  double max_error = 0, max_ulp = 0;
  for (i = 0; i < t->elements; i++) {
    const unsigned char *p = result + i * width;
    const unsigned char *q = reference + i * width;
    double got, want, error, ulp;
    if (!is_float(t->dtype)) {
      if (memcmp(p, q, width) != 0 && bad++ == 0) worst = i;
      continue;
    }
    got = load_float(t->dtype, p);
    want = load_float(t->dtype, q);
    if (isnan(want) || isinf(want) || isnan(got) || isinf(got)) {
      if (!((isnan(want) && isnan(got)) || want == got) && bad++ == 0) worst = i;
      continue;
    }
    error = fabs(got - want);
    ulp = fabs((double)ordered(load_bits(p, width), (int)width * 8) -
               (double)ordered(load_bits(q, width), (int)width * 8));
    if (error > allowed.absolute + allowed.relative * fabs(want)) {
      if (bad == 0 || error > max_error) worst = i;
      bad++;
    }
    if (error > max_error) max_error = error;
    if (ulp > max_ulp) max_ulp = ulp;
  }
  if (is_float(t->dtype))
    printf("%-24s %9lu elements  max abs error %.3g  max ULP error %.0f  %s\n", t->name,
           (unsigned long)t->elements, max_error, max_ulp, bad ? "MISMATCH" : "ok");
  else
    printf("%-24s %9lu elements  exact comparison  %s\n", t->name, (unsigned long)t->elements,
           bad ? "MISMATCH" : "ok");
  if (bad)
    printf("  %lu elements out of tolerance (%.3g + %.3g * |reference|), worst at index %lu\n",
           (unsigned long)bad, allowed.absolute, allowed.relative, (unsigned long)worst);
  return bad;
}

static int guard_is_intact(const unsigned char *buffer, size_t bytes) {
  size_t i;
  for (i = 0; i < GUARD_BYTES; i++)
    if (buffer[bytes + i] != GUARD_VALUE) return 0;
  return 1;
}

enum { NOT_RUN = -1, NOT_HERE = -2 };

/* Run the code of one level twice; the number of faults, or NOT_RUN, or NOT_HERE on this CPU. */
static long check_level(const char *directory, const char *level, const void *const inputs[]) {
  /* Different poison in each run: an element that is never written differs between the runs. */
  static const int POISON[2] = {0xFF, 0x5A};
  char weights_path[4096];
  @name@_context ctx;
  void *outputs[2][@output_slots@] = {{0}, {0}};
  unsigned char *reference;
  size_t i, bad = 0;
  int run, code, length;

  length = snprintf(weights_path, sizeof weights_path, "%s/weights.safetensors", directory);
  if (length < 0 || (size_t)length >= sizeof weights_path) return NOT_RUN;
  code = @name@_init_level(&ctx, weights_path, level);
  if (code != @NAME@_OK) {
    if (code == @NAME@_ERROR_CPU) return NOT_HERE;
    fprintf(stderr, "check: %s: %s\n", weights_path, @name@_error(code));
    return NOT_RUN;
  }
  for (run = 0; run < 2; run++) {
    for (i = 0; i != @NAME@_NUM_OUTPUTS; i++) {
      const @name@_tensor t = @output_of@;
      size_t bytes = t.bytes;
      outputs[run][i] = malloc(bytes + GUARD_BYTES);
      if (outputs[run][i] == NULL) return NOT_RUN;
      memset(outputs[run][i], POISON[run], bytes);
      memset((unsigned char *)outputs[run][i] + bytes, GUARD_VALUE, GUARD_BYTES);
    }
    for (i = 0; i != @NAME@_ARENA_BYTES; i++) ctx.arena[i] = (unsigned char)POISON[run];
    code = @name@_run(&ctx, @size_argument@inputs, outputs[run]);
    if (code != @NAME@_OK) {
      fprintf(stderr, "check: %s\n", @name@_error(code));
      return NOT_RUN;
    }
  }
  for (i = 0; i != @NAME@_NUM_OUTPUTS; i++) {
    const @name@_tensor t = @output_of@;
    reference = (unsigned char *)read_file(directory, "output", i, t.bytes);
    if (reference == NULL) return NOT_RUN;
    bad += compare(&t, TOLERANCES[i], (const unsigned char *)outputs[0][i], reference);
    free(reference);
    if (memcmp(outputs[0][i], outputs[1][i], t.bytes) != 0) {
      printf("  %s: two runs on the same inputs differ\n", t.name);
      bad++;
    }
    for (run = 0; run < 2; run++) {
      if (!guard_is_intact((const unsigned char *)outputs[run][i], t.bytes)) {
        printf("  %s: written beyond its end\n", t.name);
        bad++;
      }
      free(outputs[run][i]);
    }
  }
  @name@_free(&ctx);
  printf("@name@ (%s): %s\n", level, bad ? "FAILED" : "all outputs agree with the reference");
  return (long)bad;
}

/* Check all levels that this CPU runs, or the one called `wanted`; the exit status. */
static int check_levels(const char *directory, const char *wanted, const void *const inputs[]) {
  const char *level;
  size_t i, checked = 0;
  long bad = 0;

  for (i = 0; (level = @name@_level(i)) != NULL; i++) {
    long faults;
    if (wanted != NULL && strcmp(wanted, level) != 0) continue;
    faults = check_level(directory, level, inputs);
    if (faults == NOT_RUN) return 2;
    if (faults == NOT_HERE) {
      printf("@name@ (%s): left out, this CPU lacks its instructions\n", level);
      continue;
    }
    checked++;
    bad += faults;
  }
  if (checked == 0) {
    fprintf(stderr, "check: no code for %s runs here\n", wanted != NULL ? wanted : "this CPU");
    return 2;
  }
  return bad ? 1 : 0;
}

int main(int argc, char **argv) {
  const char *directory = argc > 1 ? argv[1] : ".";
  const void *inputs[@input_slots@] = {0};
  size_t i;
  int status = 0;

  for (i = 0; i != @NAME@_NUM_INPUTS; i++) {
    const @name@_tensor t = @input_of@;
    inputs[i] = read_file(directory, "input", i, t.bytes);
    if (inputs[i] == NULL) status = 2;
  }
  if (status == 0) status = check_levels(directory, getenv("TILECAST_LEVEL"), inputs);
  for (i = 0; i != @NAME@_NUM_INPUTS; i++) free((void *)(uintptr_t)inputs[i]);
  return status;
}
