"""The diagrams at the top of the notebooks: the road from the corpus to the evaluation, with "you are here".

`python -m benchmarks.roads` writes `docs/road-lstm.svg`, `docs/road-pretrained.svg` and `docs/road-compare.svg`. Every
box is light with dark text and nothing is written outside of a box, so a page may be white or dark.
"""

from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path("docs")
WIDTH, HEIGHT = 600, 268  # pixels
MARGIN, GAP = 4, 22
BOX_WIDTH, BOX_HEIGHT = (WIDTH - 2 * MARGIN - 3 * GAP) // 4, 56
ROWS = (4, 106, 208)  # upper edges of the rows of boxes
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
DARK, GREY = "#1F2328", "#808080"
FILL, EDGE = "#E8EDF2", "#AAB4BE"
# Okabe and Ito's orange, lightened.
HERE_FILL, HERE_EDGE = "#FFD98A", "#E69F00"

COLUMNS = [MARGIN + column * (BOX_WIDTH + GAP) for column in range(4)]
# Left edge and width of the box of each model.
MODELS = {"LSTM": (MARGIN + 8, 74), "transformer": (MARGIN + 90, 104), "n-grams": (MARGIN + 202, 74)}
# Title, second line, left edge, upper edge and width of every box but those of the models.
BOXES = (
    ("corpus", "raw tweets", COLUMNS[0], ROWS[0], BOX_WIDTH),
    ("clean and split", "train, val, test", COLUMNS[1], ROWS[0], BOX_WIDTH),
    ("tokenizer", "words to tokens", COLUMNS[2], ROWS[0], BOX_WIDTH),
    ("batches", "with a mask", COLUMNS[3], ROWS[0], BOX_WIDTH),
    ("training", "the loss falls", COLUMNS[2], ROWS[1], BOX_WIDTH),
    ("run folder", "weights, record", COLUMNS[3], ROWS[1], BOX_WIDTH),
    ("completions", "ends of tweets", COLUMNS[0], ROWS[2], BOX_WIDTH),
    ("evaluation", "on test tweets", COLUMNS[1], ROWS[2], BOX_WIDTH),
)
# The boxes of each notebook, and the one that has the sign.
ROADS = {
    "lstm": (
        {"corpus", "clean and split", "tokenizer", "batches", "LSTM", "n-grams", "training", "run folder"},
        "LSTM",
    ),
    "pretrained": ({"tokenizer", "batches", "transformer", "training", "run folder"}, "transformer"),
    "compare": ({"n-grams", "run folder", "completions", "evaluation"}, "evaluation"),
}
TITLES = {
    "lstm": "solution_lstm.ipynb trains the LSTM",
    "pretrained": "solution_pretrained.ipynb fine-tunes the transformer",
    "compare": "compare.ipynb compares all systems",
}


def box(x: float, y: float, width: float, height: float, lines: tuple[str, ...], is_here: bool) -> str:
    """A box with one or two lines of text in its middle, the first of them bold."""
    fill, edge, stroke = (HERE_FILL, HERE_EDGE, 2) if is_here else (FILL, EDGE, 1)
    first = y + height / 2 + 5 - 9 * (len(lines) - 1)
    texts = [
        f'<text x="{x + width / 2:g}" y="{first + 18 * i:g}"{weight}>{escape(line)}</text>'
        for i, (line, weight) in enumerate(zip(lines, (' font-weight="600"', "")))
    ]
    rectangle = (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" '
        f'fill="{fill}" stroke="{edge}" stroke-width="{stroke}"/>'
    )
    return "\n".join([rectangle, *texts])


def arrow(*points: tuple[float, float]) -> str:
    """A line through these points with a head at the last one."""
    path = " L ".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path d="M {path}" fill="none" stroke="{GREY}" stroke-width="2" marker-end="url(#head)"/>'


def arrows() -> list[str]:
    """The arrows along the road; from the end of a row one turns to the start of the next."""
    middles = [y + BOX_HEIGHT / 2 for y in ROWS]
    drawn = [arrow((x - GAP, middles[0]), (x - 3, middles[0])) for x in COLUMNS[1:]]
    drawn += [arrow((x - GAP, middles[1]), (x - 3, middles[1])) for x in COLUMNS[2:]]
    drawn += [arrow((COLUMNS[1] - GAP, middles[2]), (COLUMNS[1] - 3, middles[2]))]
    start = COLUMNS[3] + BOX_WIDTH / 2
    # The n-grams never have the sign, so above them is room for the arrow.
    left, width = MODELS["n-grams"]
    ends = left + width / 2, COLUMNS[0] + BOX_WIDTH / 2
    for upper, lower, end in zip(ROWS, ROWS[1:], ends):
        turn = upper + BOX_HEIGHT + 11
        drawn.append(arrow((start, upper + BOX_HEIGHT + 1), (start, turn), (end, turn), (end, lower - 3)))
    return drawn


def sign(x: float, y: float) -> str:
    """The words "you are here" on a label that points down to (x, y)."""
    return "\n".join(
        [
            f'<path d="M {x - 7:g} {y - 8:g} L {x + 7:g} {y - 8:g} L {x:g} {y:g} Z" fill="{DARK}" stroke="#FFFFFF"/>',
            f'<rect x="{x - 48:g}" y="{y - 27:g}" width="96" height="20" rx="10" fill="{DARK}" stroke="#FFFFFF"/>',
            f'<text x="{x:g}" y="{y - 12.5:g}" fill="#FFFFFF">you are here</text>',
        ]
    )


def legend() -> list[str]:
    """Which boxes belong to this notebook, in the empty end of the last row."""
    return [
        box(COLUMNS[2], ROWS[2] + 16, BOX_WIDTH, 24, ("this notebook",), True),
        box(COLUMNS[3], ROWS[2] + 16, BOX_WIDTH, 24, ("other notebooks",), False),
    ]


def road(name: str) -> str:
    """The diagram of one notebook as SVG.

    Args:
        name: a key of `ROADS`.
    """
    here, with_sign = ROADS[name]
    boxes = [box(x, y, width, BOX_HEIGHT, (title, more), title in here) for title, more, x, y, width in BOXES]
    frame_width = COLUMNS[2] - GAP - MARGIN
    boxes.append(
        f'<rect x="{MARGIN}" y="{ROWS[1]}" width="{frame_width}" height="{BOX_HEIGHT}" rx="6" '
        f'fill="#FFFFFF" stroke="{EDGE}"/>'
    )
    boxes += [
        box(x, ROWS[1] + 8, width, BOX_HEIGHT - 16, (model,), model in here) for model, (x, width) in MODELS.items()
    ]
    tops = {title: (x + width / 2, y) for title, _, x, y, width in BOXES}
    tops |= {model: (x + width / 2, ROWS[1] + 8) for model, (x, width) in MODELS.items()}
    stops = [title for title, *_ in BOXES]
    stops[4:4] = [" or ".join(MODELS)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" role="img" font-family="{FONT}" font-size="13" text-anchor="middle" fill="{DARK}">',
            f"<title>The road: {TITLES[name]}</title>",
            f"<desc>{', '.join(stops)}. You are here: {with_sign}.</desc>",
            '<defs><marker id="head" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="5" markerHeight="5" '
            f'orient="auto"><path d="M 0 0 L 10 5 L 0 10 Z" fill="{GREY}"/></marker></defs>',
            *arrows(),
            *boxes,
            *legend(),
            sign(*tops[with_sign]),
            "</svg>",
            "",
        ]
    )


def write_roads(folder: Path) -> None:
    """Write the diagram of every notebook into a folder."""
    for name in ROADS:
        (folder / f"road-{name}.svg").write_text(road(name), encoding="utf-8")


if __name__ == "__main__":
    write_roads(FOLDER)
