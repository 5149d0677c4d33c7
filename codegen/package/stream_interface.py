"""What the C interface has where weights are read while the model runs: readers, places, init."""

from __future__ import annotations

from functools import reduce

from .content import PackageContent
from .weights_file import weights_file_layout

FNV_OFFSET, FNV_PRIME = 14695981039346656037, 1099511628211
INIT = """\
int {name}_init({name}_context *ctx, const char *weights_path) {{
  return {name}_init_level(ctx, weights_path, NULL);
}}

int {name}_init_level({name}_context *ctx, const char *weights_path, const char *level) {{
  const int code = choose_program(ctx, level);
  return code != {upper}_OK ? code : finish(ctx, {name}_load_weights(ctx, weights_path));
}}
"""
INIT_READER = """\
int {name}_init_reader({name}_context *ctx, {name}_reader read, void *source, const char *level) {{
  const int code = choose_program(ctx, level);
  return code != {upper}_OK ? code : finish(ctx, {name}_open_stream(ctx, read, source));
}}

#ifndef {upper}_WITHOUT_FILES
{init}#endif
"""
TYPES = """
/* Reads `bytes` bytes at `offset` of the weights file to `to`; returns 0 where it could. */
typedef int (*{name}_reader)(void *source, uint64_t offset, void *to, size_t bytes);

/* Where weights come from, and where each is in there. The fields are private. */
typedef struct {{
  {name}_reader read;
  void *source;
  int failed;
}} {name}_stream;

typedef struct {{
  {name}_stream *stream;
  uint64_t offset;
}} {name}_place;
"""
FUNCTION = """\
/* The same with what `read` gives of the weights file, wherever it is (flash, a network, memory):
   `source` is handed on to it. `level` may be a null pointer. */
int {name}_init_reader({name}_context *ctx, {name}_reader read, void *source, const char *level);

"""
FETCH = "void {symbol}_fetch(void *to, const void *weight, size_t bytes)"


def header_hash(header: bytes) -> int:
    """FNV-1a with 64 bits."""
    return reduce(lambda hash, byte: (hash ^ byte) * FNV_PRIME % 2**64, header, FNV_OFFSET)


def stream_interface(content: PackageContent) -> dict[str, str]:
    """Values of the templates' words about streamed weights; nothing is added without them."""
    name, upper = content.name, content.name.upper()
    init = INIT.format(name=name, upper=upper)
    if not content.streamed:
        return {
            **dict.fromkeys(("stream_types", "stream_fields", "stream_functions"), ""),
            **dict.fromkeys(("stream_prototypes", "before_run"), ""),
            "init_functions": init,
            "run_result": f"{upper}_OK",
        }
    header, offsets, size = weights_file_layout(content.weights)
    heads = [FETCH.format(symbol=program.symbol) for program in content.programs]
    return {
        "stream_types": TYPES.format(name=name),
        "stream_fields": (
            f"  {name}_stream stream;\n  {name}_place places[{max(1, len(content.weights))}];\n"
        ),
        "stream_functions": FUNCTION.format(name=name),
        "stream_prototypes": "".join(
            f"{head};\n"
            for head in (
                *heads,
                f"int {name}_open_stream({name}_context *ctx, {name}_reader read, void *source)",
            )
        ),
        "init_functions": INIT_READER.format(name=name, upper=upper, init=init),
        "before_run": "ctx->places[0].stream->failed = 0;\n  ",
        "run_result": f"ctx->places[0].stream->failed ? {upper}_ERROR_FILE : {upper}_OK",
        "fetch_functions": "\n".join(f"{head} {{ fetch(to, weight, bytes); }}\n" for head in heads),
        "weight_offsets": ", ".join(f"UINT64_C({offset})" for offset in offsets),
        "header_bytes": str(len(header)),
        "header_hash": str(header_hash(header)),
        "file_bytes": str(size),
    }
