"""What the C interface has where sizes are known at run time only: bounds, shapes, one argument."""

from __future__ import annotations

from collections.abc import Sequence

from ...dialects.sizes import Size
from .content import PackageContent, TensorSignature


def size_interface(content: PackageContent) -> dict[str, str]:
    """Values of the templates' words about sizes; nothing is added for a model without any."""
    if not content.sizes:
        return {
            "size_error": "",
            "size_error_text": "",
            "size_declarations": "",
            "size_parameter": "",
            "size_argument": "",
            "size_use": "",
            "size_definitions": "",
            "size_checks": "",
            "given_inputs": "inputs",
            "check_sizes": "",
            "input_of": f"{content.name}_inputs[i]",
            "output_of": f"{content.name}_outputs[i]",
        }
    name, upper = content.name, content.name.upper()
    bounds = ", ".join(f"{s.low} <= {s.name} <= {s.high}" for s in content.sizes)
    values = ", ".join(str(content.check.sizes[s.name]) for s in content.sizes)
    return {
        "size_error": f",\n  {upper}_ERROR_SIZE = 7      /* a size is outside of its bounds */",
        "size_error_text": (
            f'\n    case {upper}_ERROR_SIZE: return "a size is outside of its bounds: {bounds}";'
        ),
        "size_declarations": _declarations(content),
        "size_parameter": "const int64_t sizes[],\n    ",
        "size_argument": "sizes, ",
        "size_use": f"     int64_t sizes[] = {{...}};         one per entry of {name}_sizes\n",
        "size_definitions": _definitions(content),
        "size_checks": _checks(content),
        "given_inputs": "given",
        "check_sizes": f"\nstatic const int64_t sizes[{upper}_NUM_SIZES] = {{{values}}};\n",
        "input_of": f"{name}_input_at(i, sizes)",
        "output_of": f"{name}_output_at(i, sizes)",
    }


def _declarations(content: PackageContent) -> str:
    name, upper = content.name, content.name.upper()
    return f"""
/* A size that each call chooses. The shapes in {name}_inputs and {name}_outputs are the largest. */
#define {upper}_NUM_SIZES {len(content.sizes)}

typedef struct {{
  const char *name;
  int64_t low;
  int64_t high;
}} {name}_size;

extern const {name}_size {name}_sizes[{upper}_NUM_SIZES];

/* An input or output for the given sizes. */
{name}_tensor {name}_input_at(size_t index, const int64_t sizes[]);
{name}_tensor {name}_output_at(size_t index, const int64_t sizes[]);
"""


def _definitions(content: PackageContent) -> str:
    name, upper = content.name, content.name.upper()
    rows = "".join(f'    {{"{s.name}", {s.low}, {s.high}}},\n' for s in content.sizes)
    return f"""
const {name}_size {name}_sizes[{upper}_NUM_SIZES] = {{
{rows}}};

static {name}_tensor with_shape({name}_tensor tensor, const int64_t shape[]) {{
  size_t width = tensor.elements ? tensor.bytes / tensor.elements : 1;
  int d;
  tensor.elements = 1;
  for (d = 0; d < tensor.rank; d++) {{
    tensor.shape[d] = shape[d];
    tensor.elements *= (size_t)shape[d];
  }}
  tensor.bytes = tensor.elements * width;
  return tensor;
}}

{_shapes(content, "input", content.inputs)}
{_shapes(content, "output", content.outputs)}"""


def _shapes(content: PackageContent, kind: str, tensors: Sequence[TensorSignature]) -> str:
    names = {s.name: f"sizes[{k}]" for k, s in enumerate(content.sizes)}
    cases = []
    for k, tensor in enumerate(tensors):
        for d, extent in enumerate(tensor.shape):
            size: object = extent
            text = size.c_text(names) if isinstance(size, Size) else str(size)
            cases.append(f"    case {k * content.max_rank + d}: return {text};\n")
    name = content.name
    return f"""static int64_t {kind}_extent(size_t at, const int64_t sizes[]) {{
  (void)sizes;
  switch (at) {{
{"".join(cases)}    default: return 0;
  }}
}}

{name}_tensor {name}_{kind}_at(size_t index, const int64_t sizes[]) {{
  int64_t shape[{content.name.upper()}_MAX_RANK];
  size_t d;
  for (d = 0; d < {content.name.upper()}_MAX_RANK; d++)
    shape[d] = {kind}_extent(index * {content.name.upper()}_MAX_RANK + d, sizes);
  return with_shape({name}_{kind}s[index], shape);
}}
"""


def _checks(content: PackageContent) -> str:
    """Statements of the run function: sizes are checked, and given to the program after inputs."""
    name, upper = content.name, content.name.upper()
    return f"""
  const void *given[{upper}_NUM_INPUTS + 1];
  if (sizes == NULL) return {upper}_ERROR_ARGUMENT;
  for (i = 0; i != {upper}_NUM_SIZES; i++)
    if (sizes[i] < {name}_sizes[i].low || sizes[i] > {name}_sizes[i].high)
      return {upper}_ERROR_SIZE;
  for (i = 0; i != {upper}_NUM_INPUTS; i++) given[i] = inputs == NULL ? NULL : inputs[i];
  given[{upper}_NUM_INPUTS] = sizes;"""
