"""Run the notebooks and keep what they give in them: ``python docs/execute_notebooks.py [name ...]``.

The code runs as it would in Jupyter, each notebook in a process of its own: what is printed, the value of a
last line and the figures of a cell are its outputs.  Only matplotlib, with its Pillow, is needed.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "notebooks"
Output = dict[str, Any]


def execute(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook with fresh outputs; an error in a cell is raised."""
    import matplotlib as mpl

    mpl.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    cells, count = [], 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            cell = cell | {
                "execution_count": count,
                "outputs": run_cell("".join(cell["source"]), names, count),
            }
        cells.append(cell)
    return notebook | {"cells": cells}


def run_cell(source: str, names: dict[str, Any], count: int) -> list[Output]:
    """What a cell gives: its text, the value of a last expression, its figures."""
    tree, last = ast.parse(source), None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";"):
        last = ast.Expression(tree.body.pop().value)
    printed, value = io.StringIO(), None
    with redirect_stdout(printed):
        exec(compile(tree, f"cell {count}", "exec"), names)
        if last is not None:
            value = eval(compile(last, f"cell {count}", "eval"), names)
    outputs: list[Output] = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": lines(printed.getvalue())})
    if value is not None:
        data = {"text/plain": lines(repr(value))}
        outputs.append(
            {"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"}
        )
    return [*outputs, *figures()]


def figures() -> Iterator[Output]:
    """The open figures, each with its titles for those who cannot see it."""
    from matplotlib import pyplot as plt

    for number in plt.get_fignums():
        figure = plt.figure(number)
        titles = [
            figure.get_suptitle(),
            *(a.get_title(where) for a in figure.axes for where in ("left", "center")),
        ]
        text = "Figure: " + "; ".join(" ".join(t.split()) for t in titles if t)
        data = {"image/png": base64.b64encode(picture(figure)).decode() + "\n", "text/plain": [text]}
        plt.close(figure)
        yield {"data": data, "metadata": {}, "output_type": "display_data"}


def picture(figure: Any) -> bytes:
    """A figure as PNG, in a palette of 256 colours: a third of the size, and nobody sees it."""
    from PIL import Image

    drawn, kept = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(kept, "png", optimize=True)
    return kept.getvalue()


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main(names: list[str]) -> None:
    chosen = [FOLDER / f"{name}.ipynb" for name in names] or sorted(FOLDER.glob("*.ipynb"))
    if len(chosen) > 1:
        for path in chosen:
            subprocess.run([sys.executable, __file__, path.stem], check=True)
        return
    (path,) = chosen
    done = execute(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path.name}: {path.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
