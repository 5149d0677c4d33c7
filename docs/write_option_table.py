"""Write the option tables of README.md from `compiler/options.py`.

python docs/write_option_table.py          rewrite the tables in place
python docs/write_option_table.py --check  exit status 1 where they are out of date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tilecast.compiler.options import OPTIONS, VARIABLES

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"(<!-- options -->\n).*?(<!-- end options -->)", re.DOTALL)


def option_tables() -> str:
    """Markdown of both tables: options of compile, and environment variables of the tool."""
    lines = ["| option | default | meaning |", "|---|---|---|"]
    for spec in OPTIONS:
        choices = f" ({', '.join(spec.choices)})" if spec.choices else ""
        later = "" if spec.available else " *(not available yet)*"
        lines.append(f"| `{spec.name}` | `{spec.default}` | {spec.help}{choices}{later} |")
    lines += ["", "| variable | default | meaning |", "|---|---|---|"]
    for name, (default, text) in VARIABLES.items():
        lines.append(f"| `{name}` | {f'`{default}`' if default else ''} | {text} |")
    return "\n".join(lines) + "\n"


def with_tables(text: str) -> str:
    """README text with the block between the option marks replaced."""
    return BLOCK.sub(lambda match: match[1] + option_tables() + match[2], text)


def main() -> int:
    """Rewrite or check; the exit status."""
    text = README.read_text(encoding="utf-8")
    wanted = with_tables(text)
    if "--check" in sys.argv[1:]:
        return int(text != wanted)
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
