/* Weights of @name@, read from a safetensors file: mapped where POSIX mmap exists, else read.

   The header parser is strict: a file that is not exactly what the model expects is refused before
   any pointer into it is handed out. */
#if defined(__unix__) || defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#define USE_MMAP 1
#else
#define USE_MMAP 0
#endif

#include "@name@_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if USE_MMAP
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#define ALIGNMENT 64
#define MAX_HEADER_BYTES ((uint64_t)100 * 1000 * 1000)
#define MAX_RANK @weight_rank@
#define NAME_BYTES @weight_name_bytes@

typedef struct {
  const char *name;
  const char *dtype;
  size_t rank;
  uint64_t shape[MAX_RANK];
  uint64_t bytes;
} expected_weight;

static const expected_weight EXPECTED[@NAME@_NUM_WEIGHTS] = {
@weight_table@};

typedef struct {
  const char *at;
  const char *end;
} cursor;

typedef struct {
  char dtype[8];
  size_t rank;
  uint64_t shape[MAX_RANK];
  uint64_t offsets[2];
} entry;

static void skip_space(cursor *c) {
  while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
    c->at++;
}

static int take(cursor *c, char expected) {
  skip_space(c);
  if (c->at >= c->end || *c->at != expected) return 0;
  c->at++;
  return 1;
}

/* A JSON string. At most capacity - 1 bytes are stored; *length is the true length. */
static int take_string(cursor *c, char *out, size_t capacity, size_t *length) {
  size_t n = 0;
  if (!take(c, '"')) return 0;
  while (c->at < c->end && *c->at != '"') {
    char byte = *c->at++;
    if ((unsigned char)byte < 0x20) return 0;
    if (byte == '\\') {
      if (c->at >= c->end) return 0;
      switch (*c->at++) {
        case '"': byte = '"'; break;
        case '\\': byte = '\\'; break;
        case '/': byte = '/'; break;
        case 'b': byte = '\b'; break;
        case 'f': byte = '\f'; break;
        case 'n': byte = '\n'; break;
        case 'r': byte = '\r'; break;
        case 't': byte = '\t'; break;
        default: return 0; /* names are written as plain UTF-8, so \u does not occur */
      }
    }
    if (n + 1 < capacity) out[n] = byte;
    n++;
  }
  if (!take(c, '"')) return 0;
  out[n < capacity ? n : capacity - 1] = '\0';
  *length = n;
  return 1;
}

static int take_integer(cursor *c, uint64_t *value) {
  uint64_t v = 0;
  const char *start;
  skip_space(c);
  start = c->at;
  while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
    uint64_t digit = (uint64_t)(*c->at - '0');
    if (v > (UINT64_MAX - digit) / 10) return 0;
    v = v * 10 + digit;
    c->at++;
  }
  if (c->at == start || (*start == '0' && c->at != start + 1)) return 0;
  *value = v;
  return 1;
}

/* [1, 2, 3]; values beyond `capacity` are counted, not stored. */
static int take_integers(cursor *c, uint64_t *out, size_t capacity, size_t *count) {
  uint64_t value;
  *count = 0;
  if (!take(c, '[')) return 0;
  if (take(c, ']')) return 1;
  do {
    if (!take_integer(c, &value)) return 0;
    if (*count < capacity) out[*count] = value;
    (*count)++;
  } while (take(c, ','));
  return take(c, ']');
}

/* {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, keys in any order, each once. */
static int take_entry(cursor *c, entry *e) {
  unsigned seen = 0;
  if (!take(c, '{')) return 0;
  do {
    char key[16];
    size_t length;
    unsigned field;
    if (!take_string(c, key, sizeof key, &length) || !take(c, ':')) return 0;
    if (strcmp(key, "dtype") == 0) {
      field = 1;
      if (!take_string(c, e->dtype, sizeof e->dtype, &length)) return 0;
      if (length >= sizeof e->dtype) return 0;
    } else if (strcmp(key, "shape") == 0) {
      field = 2;
      if (!take_integers(c, e->shape, MAX_RANK, &e->rank)) return 0;
    } else if (strcmp(key, "data_offsets") == 0) {
      field = 4;
      if (!take_integers(c, e->offsets, 2, &length) || length != 2) return 0;
    } else {
      return 0;
    }
    if (seen & field) return 0;
    seen |= field;
  } while (take(c, ','));
  return seen == 7 && take(c, '}');
}

/* {"key": "value", ...} */
static int take_metadata(cursor *c) {
  char ignored[2];
  size_t length;
  if (!take(c, '{')) return 0;
  if (take(c, '}')) return 1;
  do {
    if (!take_string(c, ignored, sizeof ignored, &length) || !take(c, ':')) return 0;
    if (!take_string(c, ignored, sizeof ignored, &length)) return 0;
  } while (take(c, ','));
  return take(c, '}');
}

static int matches(const expected_weight *want, const entry *e, uint64_t data_bytes) {
  size_t d;
  if (strcmp(want->dtype, e->dtype) != 0 || want->rank != e->rank) return 0;
  for (d = 0; d < want->rank; d++)
    if (want->shape[d] != e->shape[d]) return 0;
  return e->offsets[0] <= e->offsets[1] && e->offsets[1] <= data_bytes &&
         e->offsets[1] - e->offsets[0] == want->bytes;
}

/* Index of the expected weight called `name`, or @NAME@_NUM_WEIGHTS. Files list weights in the
   order of the table, so the search starts where the last one ended. */
static size_t find_expected(const char *name, size_t length, size_t start) {
  size_t n;
  if (length >= NAME_BYTES) return @NAME@_NUM_WEIGHTS;
  for (n = 0; n < @NAME@_NUM_WEIGHTS; n++) {
    size_t i = (start + n) % @NAME@_NUM_WEIGHTS;
    if (strcmp(EXPECTED[i].name, name) == 0) return i;
  }
  return @NAME@_NUM_WEIGHTS;
}

static int locate_weights(@name@_context *ctx, const unsigned char *file, uint64_t size) {
  uint64_t header_bytes = 0;
  const unsigned char *data;
  uint64_t data_bytes;
  cursor c;
  size_t i, found = 0, next = 0;
  if (size < 8) return @NAME@_ERROR_WEIGHTS;
  for (i = 0; i < 8; i++) header_bytes |= (uint64_t)file[i] << (8 * i);
  if (header_bytes > MAX_HEADER_BYTES || header_bytes > size - 8) return @NAME@_ERROR_WEIGHTS;
  c.at = (const char *)file + 8;
  c.end = c.at + header_bytes;
  data = file + 8 + header_bytes;
  data_bytes = size - 8 - header_bytes;
  if (!take(&c, '{')) return @NAME@_ERROR_WEIGHTS;
  if (!take(&c, '}')) {
    do {
      char name[NAME_BYTES + 16];
      size_t length;
      entry e;
      if (!take_string(&c, name, sizeof name, &length) || !take(&c, ':'))
        return @NAME@_ERROR_WEIGHTS;
      if (strcmp(name, "__metadata__") == 0) {
        if (!take_metadata(&c)) return @NAME@_ERROR_WEIGHTS;
        continue;
      }
      if (!take_entry(&c, &e)) return @NAME@_ERROR_WEIGHTS;
      i = find_expected(name, length, next);
      if (i == @NAME@_NUM_WEIGHTS) continue; /* fillers that align the next weight */
      if (ctx->weights[i] != NULL || !matches(&EXPECTED[i], &e, data_bytes))
        return @NAME@_ERROR_WEIGHTS;
      ctx->weights[i] = data + e.offsets[0];
      if ((uintptr_t)ctx->weights[i] % ALIGNMENT != 0) return @NAME@_ERROR_WEIGHTS;
      found++;
      next = i + 1;
    } while (take(&c, ','));
    if (!take(&c, '}')) return @NAME@_ERROR_WEIGHTS;
  }
  skip_space(&c);
  if (c.at != c.end || found != @NAME@_NUM_WEIGHTS) return @NAME@_ERROR_WEIGHTS;
  return @NAME@_OK;
}

#if USE_MMAP

static int open_file(@name@_context *ctx, const char *path) {
  struct stat info;
  void *address;
  int descriptor = open(path, O_RDONLY);
  if (descriptor < 0) return @NAME@_ERROR_FILE;
  if (fstat(descriptor, &info) != 0 || info.st_size <= 0) {
    close(descriptor);
    return @NAME@_ERROR_FILE;
  }
  address = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  close(descriptor);
  if (address == MAP_FAILED) return @NAME@_ERROR_FILE;
  ctx->weights_block = address;
  ctx->weights_start = address;
  ctx->weights_bytes = (size_t)info.st_size;
  return @NAME@_OK;
}

void @name@_release_weights(@name@_context *ctx) {
  if (ctx->weights_block != NULL) munmap(ctx->weights_block, ctx->weights_bytes);
  ctx->weights_block = NULL;
}

#else

static int open_file(@name@_context *ctx, const char *path) {
  FILE *stream = fopen(path, "rb");
  long size;
  unsigned char *start;
  int code = @NAME@_ERROR_FILE;
  if (stream == NULL) return code;
  if (fseek(stream, 0, SEEK_END) == 0 && (size = ftell(stream)) > 0 &&
      fseek(stream, 0, SEEK_SET) == 0) {
    ctx->weights_block = malloc((size_t)size + ALIGNMENT);
    if (ctx->weights_block == NULL) {
      code = @NAME@_ERROR_MEMORY;
    } else {
      start = (unsigned char *)ctx->weights_block;
      start += (ALIGNMENT - (uintptr_t)start % ALIGNMENT) % ALIGNMENT;
      if (fread(start, 1, (size_t)size, stream) == (size_t)size) {
        ctx->weights_start = start;
        ctx->weights_bytes = (size_t)size;
        code = @NAME@_OK;
      }
    }
  }
  fclose(stream);
  return code;
}

void @name@_release_weights(@name@_context *ctx) {
  free(ctx->weights_block);
  ctx->weights_block = NULL;
}

#endif

int @name@_load_weights(@name@_context *ctx, const char *path) {
  int code;
  if (path == NULL) return @NAME@_ERROR_ARGUMENT;
  code = open_file(ctx, path);
  if (code == @NAME@_OK)
    code = locate_weights(ctx, (const unsigned char *)ctx->weights_start, ctx->weights_bytes);
  return code;
}
