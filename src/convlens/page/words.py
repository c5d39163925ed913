"""The page's own sentences: words that explain themselves, and the walkthrough.

They are sent with the facts; `{name}` is a number or a name that the page fills in, `{name word}` a
number with its word, `{picture}` what the network is given. What is said about a layer itself comes
from the catalogue that every surface uses.
"""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "picture": "What the network is given: a grid of numbers, for a picture one per pixel and colour.",
    "map": "One channel of what flows through the network, seen as a picture.",
    "filter": "One block of weights. It spans all input maps and makes one output map.",
    "weight": "One learnt number. A filter multiplies each with an input number.",
    "window": "The patch of input cells that one output number reads.",
    "sum": "All the products, added up, plus the bias.",
    "bias": "One learnt number per filter, added to every one of its sums.",
    "ReLU": "Keeps a number above 0 as it is, and makes every other number 0.",
    "softmax": "Turns a row of numbers into shares of 1: exp of each, divided by the sum of the exps.",
    "parameters": "All learnt numbers of a layer: weights and biases.",
    "MACs": "Multiply-adds: how many products of a learnt weight with a real input there are.",
    "receptive field": "The patch of the {picture} that can reach one number of this layer.",
    "stride": "How many cells the window moves from one output to the next.",
    "padding": "Cells of nothing (zeros) around a map, so that the window can reach over its edge.",
    "dilation": "The spacing between the cells that a window reads.",
    "groups": "Input maps and filters split into parts that do not see each other.",
    "depthwise layer": "A convolution whose filters read one input map each: nothing is added over maps.",
    "quantise": "Brings a real number to the nearest of equal steps, which a whole number counts.",
    "engine": "ONNX Runtime, the independent program that ran the network; our sums are checked against it.",
    "bound": "How far float32 rounding can take the engine's number from the exact sum.",
}

SENTENCES: dict[str, str] = {
    "walk.1": "The window",
    "walk.1.sum": (
        "The {ordinal} layer looks at {own} maps through a window of {kernel}. It sits at the same "
        "place, {position}, in all {own} of them; in the {picture} it sees {seen}."
    ),
    "walk.1.one": (
        "The {ordinal} layer looks at its input through a window of {kernel}, here at {position}; in the "
        "{picture} it sees {seen}."
    ),
    "walk.2": "The filter",
    "walk.2.sum": (
        "Filter {filter} is one block of {kernel}×{own} = {products} weights: a slice of {kernel} for "
        "each map, every slice different. Each weight is multiplied with the cell under it."
    ),
    "walk.2.one": (
        "Filter {filter} is a block of {kernel} = {products weight}: each is multiplied with the cell under it."
    ),
    "walk.3": "The sum",
    "walk.3.sum": (
        "Map {topMap} counts most, with {top}. The {own} slices are ADDED into one number{bias}: "
        "{total}. This plus sign is why {own} maps become one."
    ),
    "walk.3.one": "{products product}{bias} together: {total}.",
    "walk.bias.sum": ", and the bias {bias} joins",
    "walk.bias.one": " and the bias {bias}",
    "walk.4": "One number",
    "walk.4.sum": (
        "{verdict} {value} is one cell of map {filter}. The window moves on, and the same weights are "
        "used again at every place."
    ),
    "walk.4.one": (
        "{verdict} {value} is one cell of map {filter}. The window moves on, and the same weights are "
        "used again at every place."
    ),
    "walk.5": "{filters}, not {product}",
    "walk.5.sum": (
        "Every filter does this once: {filters filter}, {filters map}. Before the plus there are "
        '{own} × {filters} = {product map} for a moment: choose "keep apart" to see them.'
    ),
    "walk.5.one": "Every filter makes one map of its own: {filters filter}, {filters map}.",
    "burst.1": (
        "Without the plus, every filter leaves {own} maps, one for each input map: "
        "{own} × {filters} = {product}."
    ),
    "burst.2": (
        "That is another layer: a depthwise layer of {per filter} per map. It has the same {weights} "
        "weights ({kernel}×{own}×{filters}), and nothing is added up."
    ),
    "listed": "reads {n number}; where, and the steps, were written down when this file was made",
    "stored": "a stored number",
    "used": (
        "weight ({place}) of the slice for map {map}: used {times time}, once at every place where "
        "it meets the map"
    ),
    "kernels": (
        "A column per filter, a row per input map: {filters} × {own} slices of {kernel}. "
        "Blue below 0, orange above, up to {largest}."
    ),
    "kernels.some": " Drawn are the first {columns} × {rows}.",
    "focus": (
        "output map {c}, {height} by {width} cells; arrow keys move the cell, page up and down "
        "change the map{slice}; now at {position}"
    ),
    "maps": "{maps} input maps of {height} by {width}, the window marked in each",
    "outputs": "all {maps} output maps; arrow keys move the cell{slice}",
    "patch": "the {picture}; of it this number sees {seen}",
    "after": "what it makes of the sum is not worked out here",
    "live.after": "{layer} [{at}]: the sum is {value}; what {after} makes of it is not known",
    "live.sum": "{layer} [{at}] = {value}, from {terms product}",
    "live.other": "{layer} [{at}] = {value}; numbers read: {terms}",
    "trail.title": "Back to the {picture}",
    "trail.words": (
        "The cells that number [{at}] rests on, layer by layer: its window in each, through to the "
        "{picture}. Of many maps the one with the largest number in the window is shown."
    ),
    "trail.height": "row",
    "trail.width": "column",
    "trail.depth": "slice",
    "trail.steps": "step",
    "trail.numbers": "number",
    "trail.over": "; part of it lies on padding",
    "trail.more": "show {more layer} more",
    "prep": (
        "A picture is {fit} to {height}×{width}{grey}; a pixel of 0 to 255 becomes "
        "pixel / 255 × {top}{mean}{std}."
    ),
    "prep.stretch": "scaled",
    "prep.crop": "cut to its middle and scaled",
    "max": "A pool has no weights: it takes the largest number of its window, map by map.",
    "mean": "A pool has no weights: it takes the mean of its window, map by map.",
    "opaque": (
        "Not explained: the page shows what goes in and what comes out. Its shape and its numbers "
        "are the engine's."
    ),
    "elsewhere": (
        "The page shows this layer's maps, shapes and counts. Its numbers are worked out by the command:"
    ),
    "absent": "The values of this layer are not in this page: its shapes and counts are.",
    "given": "Another preprocessing starts from the picture as it was given.",
    "pad": (
        "draw with the mouse or a finger; keys: arrows move the pen, the space bar puts it down and "
        "lifts it"
    ),
    "pen": "pen {how} at row {row}, column {column}",
    "burst.here": "input map {map} under its slice of filter {filter}",
    "burst.all": "one column per filter, one row per input map",
    "apart": "the {own} maps that each filter makes",
    "fold.one": "the layer above repeats: ×{times} in all. Show {rows} rows",
    "fold": "the {layers} layers above repeat: ×{times} in all. Show {rows} rows",
    "scale": "colours: from 0 to {text} (orange)",
    "scale.both": "colours: from -{text} (blue) through 0 to {text} (orange)",
    "scale.0": "all 0",
    "scale.nan": "nothing finite",
    "drop.served": "a picture, an array (.npy) or a model: drop, paste or",
    "drop.exported": "a picture: drop, paste or",
    "twin": "The {ordinal} layer, {name} ({kind}), turns {from} into {to}.",
    "twin.number": " The number at [{at}] is {value}.",
    "twin.after": ", after the activation {value}",
    "patch.part": "a patch of {sides}",
    "patch.line": "{sides position}",
    "patch.row": "{sides number}",
    "patch.all": "all of it",
    "told": "{products product}{bias}{padding}. Ours {ours}",
    "told.bias": " and a bias",
    "told.engine": ", the engine's {engine}: {apart}, bound {bound}",
    "told.after": "; {name} gives {value}",
    "heat": "heatmap of all weights",
    "stage": "How this layer makes its numbers",
    "where": "Where the numbers come from",
    "sees": "sees of the {picture}",
    "moves": "moves by {by} for each step",
    "outer": "; an outer bound",
    "once": "for one {picture}.",
    "picture": "{picture}",
    "rows": "the first {rows} of {many} add",
    "text": "The picture as text",
    "terms": "The sum, term by term",
    "fewer": "show the largest only",
    "fit.stretch": "scale all of it",
    "fit.crop": "cut out the middle",
    "rgb": "red, green, blue",
    "bgr": "blue, green, red",
    "adding": "add one by one",
    "about": "About this layer",
    "burst.some": "the first {shown} of them",
    "norm": "k = gamma / √(variance + ε) = {k}",
    "relu.on": "above 0: keeps it",
    "relu.off": "not above 0: makes it 0",
    "relu.nan": "not a number: keeps it",
    "apart.0": "equal, bit for bit",
    "apart.off": "off by {off}",
    "apart.nan": "not a number either",
    "apart.inf": "beyond what its 32 bits hold",
    "padded": "padding under the window: {places place}",
    "running": "{upTo} of {terms term}, running total {sum}",
    "weights.random": "random weights",
    "weights.trained": "trained weights",
    "weights.file": "weights from the file",
    "weights.live": "weights of a live model",
    "own": "These numbers were computed by this page: the engine has not run on this input.",
    "large": "this page cannot run this network on another input: use convlens open",
    "undrawn": "this picture cannot be read",
    "yours": "what you gave it",
    "slice": "slice {slice} of 0 to {last}",
    "slice.keys": "; the keys < and > change the slice",
    "no": "nothing yet",
    "walk": "Walkthrough",
    "all": "All filters",
    "unfit": "does not fit",
    "then": "What follows",
    "whole": "the whole network",
    "reading": "reading the numbers …",
    "sort": "Sort and colour by",
    "unknown": "no weights are known here",
    "none": "no weights: nothing here is learnt",
    "command": "convlens explain MODEL {name} --at …",
    "looked": ": row {row}, column {column} of the table",
    "others": "and {n product} more",
    "made.max": "the largest is",
    "made.min": "the smallest is",
    "made.mean": "their sum divided by {by}",
    "made.sum": "their sum is",
    "pooled": "one window of map {map}",
    "nokeras": "# Keras does not take this: stride beside dilation, or a factor that is not whole",
    "closed": "models and arrays need the command: convlens open",
}


def words(given: str) -> dict[str, str]:
    """Everything the page says, by id; a glossary word's id is `?word`.

    `given` is what the network is given, for people: `picture`, or `input` where it is none.
    """
    lines = SENTENCES | {f"?{word}": line for word, line in GLOSSARY.items()}
    lines["pictures"] = "Pictures" if given == "picture" else "Inputs"
    return {name: line.replace("{picture}", given) for name, line in lines.items()}
