"""Every explaining sentence, once: id -> sentence with slots.

Numbers are formatted by `wording`, never here. Ids of notes are those that layers use; a test
asserts that each id in use has a sentence and that every slot of it is filled. First lines use
picture, map, filter, weight, window, sum and bias only; other words are explained where they first
stand.
"""

from __future__ import annotations

_BATCHNORM = (
    "{stored:n} in all, of which training changes {trained:n}: scale and shift. The others are "
    "running means and variances. Keras counts {stored:n} parameters, PyTorch {trained:n} (to it the "
    "rest are buffers): both are right. `Not trained` does not mean frozen by you. Here the stored "
    "numbers are used, not those of the batch; epsilon is {epsilon} (Keras' own is 0.001, PyTorch's "
    "1e-05, and a momentum of 0.99 in Keras is 0.01 in PyTorch)."
)

TEXTS: dict[str, str] = {
    # -- convolutions ---------------------------------------------------------------------------
    "conv.filter": (
        "A filter is not a {kernel:by} square of weights: it is a block of {kernel:by} for each of "
        "the {maps:n map} it reads, {products:n weight} in all. Laid on a place it covers "
        "all of them at once and gives ONE number: the sum of {products:n product}. "
        "{filters:n filter}, so {filters:n map}."
    ),
    "conv.filter.line": (
        "A filter is not {kernel:by} weights in a line: it is {kernel:by} for each of the "
        "{maps:n map} it reads (the numbers of one step), {products:n weight} in all. The window "
        "slides along the steps only, never along the {maps:n}; at each place it gives ONE number, "
        "the sum of {products:n product}. {filters:n filter}, so {filters:n map}."
    ),
    "conv.filter.cube": (
        "A filter is not a {kernel:by} cube of weights: it is such a cube for each of the "
        "{maps:n map} it reads, {products:n weight} in all. Laid on a place it covers all of them "
        "at once and gives ONE number: the sum of {products:n product}. {filters:n filter}, so "
        "{filters:n map}."
    ),
    "conv.filter.one": (
        "A filter reads one map here: it is a block of {kernel:by} weights. Laid on a place it "
        "gives ONE number: the sum of {products:n product}. {filters:n filter}, so "
        "{filters:n map}."
    ),
    "conv.not_product": (
        "Why {filters:n map} and not {maps:n}*{filters:n} = {partial:n}? The {partial:n} maps "
        "exist for a moment: one for each input map and filter. They are exactly what "
        "DepthwiseConv2D(depth_multiplier={filters}) makes of the same {weights:n weight}. This "
        "layer then ADDS the {maps:n} that belong to each filter into one, and adds "
        "{bias:n bias|biases}. {filters:n map} are left. The maps are not averaged, and no slice "
        "of a filter is used twice: swap two input maps and the output changes."
    ),
    "conv.not_product.plain": (
        "Why {filters:n map} and not {maps:n}*{filters:n} = {partial:n}? The {partial:n} maps "
        "exist for a moment: one for each input map and filter. They are exactly what "
        "DepthwiseConv2D(depth_multiplier={filters}) makes of the same {weights:n weight}. This "
        "layer then ADDS the {maps:n} that belong to each filter into one. {filters:n map} are "
        "left. The maps are not averaged, and no slice of a filter is used twice: swap two input "
        "maps and the output changes."
    ),
    "conv.depthwise": (
        "Depthwise: each of the {channels:n input map} has {multiplier:n filter} of its own, and "
        "nothing is added up across maps. So here the maps do multiply: "
        "{channels:n}*{multiplier:n} = {filters:n}, with {weights:n weight}."
    ),
    "conv.groups": (
        "In {groups:n} groups: a filter reads only {maps:n} of the {channels:n input map}, those "
        "of its group. No weight is shared between groups; there are {weights:n weight} instead of "
        "{groups:n} times as many."
    ),
    "conv.size_free": (
        "The size of the input is not in the weights: the same {weights:n} serve every place, "
        "and a larger input needs no more. There is one bias per filter, not one per place."
    ),
    "conv.size_free.plain": (
        "The size of the input is not in the weights: the same {weights:n} serve every place, "
        "and a larger input needs no more. There is no bias."
    ),
    "conv.pointwise": (
        "A window of one cell: nothing is mixed between places, only the {maps:n map} of one place "
        "into {filters:n}. It is a Dense layer at every place."
    ),
    "conv.separable": (
        "Two stages: first each of the {channels:n map} by itself ({between:n map} between, "
        "{depthwise_weights:n weight}), then a window of one cell that mixes them into "
        "{filters:n} ({pointwise_weights:n weight}). Together {weights:n}; one plain convolution of "
        "that window would need {plain_weights:n}."
    ),
    "transposed.not_inverse": (
        "This does not undo a convolution: sizes come back, values do not. Each input number lays "
        "the whole kernel, times itself, onto the output, {stride:n cell} apart: {n} cells spread "
        "to ({n} - 1)*{stride} + {kernel} = {full} for a window of {kernel}, of which {crop:n} are "
        "cut off: {out}. Padding cuts here, it does not add. Where a size could come from several, "
        "output_padding only says which; it adds no zeros. Keras' `same` cuts the odd cell at the "
        "end, PyTorch's padding=1, output_padding=1 at the start: the same shape, one cell apart."
    ),
    "transposed.axes": (
        "Keras keeps this kernel as (window, filters, input maps), PyTorch as (input maps, filters, "
        "window): the two map axes stand the other way round than in a convolution."
    ),
    # -- windows --------------------------------------------------------------------------------
    "window.same_stride": (
        "`same` does not keep the size when the stride is {stride}: it means size / step, rounded "
        "up: {n} / {stride} gives {out}."
    ),
    "window.uneven": (
        "The padding is uneven: {before:n cell} before and {after:n cell} after, so the first "
        "window starts at {start}. In Keras and TensorFlow the odd cell goes to the end; PyTorch's "
        "padding={after} puts {after} on both sides and would start at -{after}: other numbers, "
        "often of the very same shape."
    ),
    "window.causal": (
        "Causal: {before:n zero} stand before the first cell and none after the last, so an output "
        "never sees what comes later, and the length stays {out}."
    ),
    "window.unread": (
        "The last window ends at position {last} of {n}, so no window reads the last "
        "{unread:n cell} of the axis: another would hang over. Sizes are rounded down, "
        "({n} - {span}) / {stride} + 1, not {n} / {stride}."
    ),
    "window.dilation": (
        "Dilation {dilation}: the window's {kernel:n cell} lie {dilation} apart and span {span}. "
        "No weight is added, only gaps."
    ),
    # -- pools ----------------------------------------------------------------------------------
    "pool.max": (
        "Takes the largest number of each window of {kernel:by}, in every map by itself. No weights, "
        "no mixing of maps. Padding never wins: it counts as minus infinity, not as zero."
    ),
    "pool.average": (
        "Takes the mean of each window of {kernel:by}, in every map by itself. No weights, no mixing "
        "of maps."
    ),
    "pool.lp": (
        "Takes a power mean of each window of {kernel:by}, in every map by itself. No weights."
    ),
    "pool.jump": (
        "A pool with stride {stride:by} does not double what one number sees. It widens it by "
        "(window - 1) times the stride so far; what it multiplies is the stride: how far the view "
        "moves from one number to the next."
    ),
    "pool.ceil": (
        "ceil_mode counts a last window that hangs over the end, unless it would start in the "
        "padding behind the map: so it is not simply rounding up."
    ),
    "pool.counts_padding": (
        "At the border the mean still divides by all {taps}, as if the padding were zeros "
        "(PyTorch's default; Keras divides by the real cells only)."
    ),
    "pool.skips_padding": (
        "At the border the mean divides by the real cells, not by all {taps} (as Keras does; "
        "PyTorch's default count_include_pad=True divides by {taps})."
    ),
    "global.average": (
        "The mean of each whole map, {spatial:by} numbers: one number per map, {channels:n} in "
        "all. It works for maps of any size, which Flatten does not."
    ),
    "global.max": (
        "The largest number of each whole map ({spatial:by}): one per map, {channels:n} in all."
    ),
    "adaptive.average": (
        "Windows are chosen so that {spatial:by} becomes {sizes:by}, and each is averaged."
    ),
    "adaptive.max": (
        "Windows are chosen so that {spatial:by} becomes {sizes:by}; the largest number of each wins."
    ),
    "adaptive.lp": "Windows are chosen so that {spatial:by} becomes {sizes:by}; a power mean of each.",
    "adaptive.uneven": (
        "{n} is no multiple of {out}, so the windows differ ({widths:list} cells wide) and overlap."
    ),
    # -- dense, flatten and their kin -----------------------------------------------------------
    "dense.all": (
        "Each output number, {units:n} in all, is a sum over all {features:n input number} with "
        "weights of its own: {features:n}*{units:n} = {weights:n} weights. Where a number stands "
        "is nothing special any more: the {features:n} is fixed, and with it the input's size."
    ),
    "dense.on_map": (
        "Dense does not flatten by itself: it works on the last axis ({features:n} numbers), at "
        "each of the {positions:n place} with the same {weights:n weight}, like a convolution with "
        "a window of one cell. After a Flatten it would read {flat:n} numbers and have "
        "{flat_weights:n} weights."
    ),
    "matmul": "Each output number is a sum of {shared:n product} of one input with the other.",
    "einsum.product": (
        "`{equation}`: each letter is an axis. Each output number is a sum of {shared:n product}, "
        "over the letters that are not behind the arrow."
    ),
    "einsum.sum": (
        "`{equation}`: each letter is an axis. Each output number is a sum of {shared:n number}, "
        "over the letters that are not behind the arrow."
    ),
    "flatten.order": (
        "All {count:n number} of {shape:shape} in one row, the last axis fastest. No number "
        "changes. Keras flattens row, column, map; PyTorch map, row, column: weights of a Dense "
        "layer behind it must be reordered when they move from one to the other, though their "
        "shapes fit."
    ),
    "permute.order": "The axes of {shape:shape} change places, to {order:list}. No number changes.",
    "repeat.vector": "The row is repeated {count:n time}. No number changes.",
    "concatenate": (
        "Puts its inputs behind each other along axis {axis}: {sizes:list}. Nothing is added up, "
        "no number changes."
    ),
    "crop": "Cuts cells off the borders: {crops:list} (before, after) per axis. No number changes.",
    "pad.constant": (
        "Puts cells of value {value} around the borders: {pads:list} (before, after) per axis."
    ),
    "pad.reflect": (
        "Pads by mirroring about the last cell, which is not repeated: {pads:list} (before, after) "
        "per axis."
    ),
    "pad.edge": "Pads by repeating the last cell: {pads:list} (before, after) per axis.",
    "pad.wrap": "Pads with cells from the other end: {pads:list} (before, after) per axis.",
    "pixel_shuffle": (
        "Every {block:n map} become one map {factor} times as wide and high. No number changes."
    ),
    "pixel_unshuffle": (
        "Every {factor}-wide block of cells becomes {block:n map}. No number changes."
    ),
    "resize.nearest": (
        "Each output cell copies the nearest input cell (scale {scale:list}, places by {rule}). "
        "Nothing is learnt."
    ),
    "resize.linear": (
        "Each output cell mixes its neighbours by distance (scale {scale:list}, places by {rule}). "
        "The mixture is fixed, nothing is learnt; frameworks differ in where corners lie."
    ),
    "resize.cubic": (
        "Each output cell mixes four neighbours per axis (scale {scale:list}, places by {rule}); "
        "some with a negative share. Nothing is learnt."
    ),
    "select.slice": "Takes a part of each axis: {cuts:list}. No number changes.",
    "select.split": "Cuts axis {axis} into parts of {sizes:list}. No number changes.",
    "lookup.tile": "The same numbers {count:n time}, one after the other. No number changes.",
    "lookup.table": "Takes {count:n place} that a table names. No number changes.",
    "select.take": "Takes {count:n place} of axis {axis}. No number changes.",
    "overwrite": "Puts other numbers at {count:n place} of axis {axis}; the rest stays as it is.",
    "overwrite.table": "Puts other numbers at {count:n place}; the rest stays as it is.",
    "conv.own_kernel": (
        "A convolution whose kernel {kernel:shape} is not learnt: it is made for each sample, and is "
        "an input like the maps."
    ),
    "select.stack": "Lays {count:n tensor} on each other along a new axis {axis}. No number changes.",
    "select.unstack": "Takes axis {axis} apart into {count:n tensor}. No number changes.",
    "operand": "{formula}, with {count:n stored number} w.",
    "reduce.norm1": "The sum of the numbers without sign over {axes:axes}.",
    "reduce.norm2": "The root of the sum of squares over {axes:axes}.",
    "reduce.variance": (
        "The variance over {axes:axes}: the squared distances from the mean added up, divided by "
        "how many there are less {correction}."
    ),
    "reduce.deviation": (
        "The standard deviation over {axes:axes}: the root of the squared distances from the "
        "mean added up, divided by how many there are less {correction}."
    ),
    "reduce.sum": "The sum over {axes:axes}.",
    "reduce.mean": "The mean over {axes:axes}.",
    "reduce.product": "The product over {axes:axes}.",
    "reduce.logsumexp": "The logarithm of the sum of exp(x) over {axes:axes}: a soft maximum.",
    "reduce.max": "The largest number over {axes:axes}.",
    "reduce.min": "The smallest number over {axes:axes}.",
    # -- norms ----------------------------------------------------------------------------------
    "batchnorm.counts": (
        "{per_channel:n number} are kept for each of the {channels:n map}, " + _BATCHNORM
    ),
    "batchnorm.counts.row": (
        "{per_channel:n number} are kept for each of the {channels:n number}, " + _BATCHNORM
    ),
    "norm.layer": (
        "Centres and scales {count:n number} at a time ({axes:axes}) by their own mean and "
        "variance: nothing is remembered from training but scale and shift; epsilon {epsilon}."
    ),
    "norm.rms": (
        "Divides {count:n number} at a time ({axes:axes}) by the root of their mean square; "
        "the mean is not taken off; epsilon {epsilon}."
    ),
    "norm.unit": "Divides {count:n number} at a time by the root of the sum of their squares.",
    "norm.group": "Centres and scales the maps in groups, each by its own mean and variance.",
    "norm.instance": "Centres and scales each map by its own mean and variance.",
    "norm.lrn": "Divides each number by a power of the squares of its {size} neighbouring maps.",
    "scale.affine": "Multiplies by a stored number, adds another, or both. Nothing is mixed.",
    "scale.rescaling": "Every number times {scale}, plus {offset}.",
    "scale.normalization": (
        "Takes off a stored mean and divides by a stored deviation ({statistics:n} of each)."
    ),
    # -- activations ----------------------------------------------------------------------------
    "activation.relu": (
        "ReLU keeps a number above 0 and makes the others 0, each by itself. A layer's output is "
        "what stands after it."
    ),
    "activation.function": "Each number by itself becomes {formula}.",
    "number": "Each number is {formula}.",
    "activation.prelu": (
        "Numbers above 0 stay; others are multiplied by a learnt slope ({slopes:n} of them)."
    ),
    "activation.hard_shrink": "Numbers between -{lambd} and {lambd} become 0, the others stay.",
    "activation.threshold": "Numbers above {threshold} stay, the others become {value}.",
    "activation.glu": "The first {half:n} are multiplied by the sigmoid of the last {half:n}.",
    "softmax.row": (
        "Softmax turns {count:n number} into shares that add up to 1: every share depends on the "
        "whole row."
    ),
    "softmax.log": "The logarithm of each number's share of its row ({count:n number}).",
    "softmax.sparse": "Shares of {count:n number} that add up to 1, many of them exactly 0.",
    "softmax.sparse_running": (
        "Meant as shares of {count:n number} that add up to 1, many of them 0. Keras 3.15 takes its "
        "threshold from running sums: a row adds up to 1 only where one number stays above 0."
    ),
    "dropout": "Dropout works only while training; in use it passes every number on.",
    "augmentation": "It changes pictures at random while training; in use it passes every number on.",
    "quantise.to": "Each number becomes the nearest whole number of steps of one size.",
    "quantise.from": "Each whole number becomes the real number that it stands for.",
    "quantise.grid": (
        "Each number becomes the nearest one of steps of one size, as a quantised network would keep it."
    ),
    "quantise.range": (
        "Finds the steps that just hold every number of what arrives: their size, and which whole "
        "number stands for 0."
    ),
    "quantise.whole": "Works on whole numbers, without rounding.",
    "quantise.product": (
        "Quantised: sums whole numbers exactly, then brings the sum to the steps of its output. "
        "Terms are shown as the real numbers that they stand for."
    ),
    "quantise.function": (
        "Quantised: works on the real numbers that whole ones stand for, then brings the result to "
        "the steps of its output."
    ),
    "over_time": (
        "The same layer, with the same weights, at every step ({steps:n} of them), each by itself."
    ),
    "opaque": "`{what}` is not explained. {why} Its shape, and its numbers where it runs, are shown as they are.",
    # -- a layer --------------------------------------------------------------------------------
    "layer.title": "{position:th} layer of {model}: {name} ({kind})",
    "layer.after": "Then {activation}: {value}. That is the layer's output.",
    "layer.computed_weight": (
        "The `{name}` {shape:shape} that this layer works with is not stored: it is computed from "
        "{sources}."
    ),
    "layer.shared": "It is the same layer as {first}, used again: no new weights.",
    "layer.axes_keras": (
        "Keras keeps a kernel as (window, input maps, filters); PyTorch would keep it as "
        "{other:shape}: filters, input maps, window."
    ),
    "layer.axes_depthwise": (
        "Keras keeps this kernel as {shape:shape}: window, input maps, filters per map; PyTorch "
        "would keep it as {other:shape}: filters, the one map that each reads, window."
    ),
    "layer.axes_torch": (
        "PyTorch keeps a kernel as (filters, input maps, window); Keras would keep it as "
        "{other:shape}: window, input maps, filters."
    ),
    "layer.correlate": (
        "Weight [0, 0] meets the window's top left cell: frameworks do not flip the kernel."
    ),
    "layer.slices": ("A filter of this layer is {maps:n slice}, one per input map, not a picture."),
    "layer.cost": "Work: {working} = {macs:n} MACs (one MAC is one multiply-add; 2 FLOPs).",
    "layer.cost_real": "Of these, {real:n} meet a real number; the others fall on padding, or are cut off.",
    "layer.sees": "One number sees {sizes} of the input {input}{step}.",
    "layer.starts": "Windows start at {word} {starts}: {count:n place}.",
    "layer.before": " (A number of {name}: {sizes}{step}.)",
    "layer.box": "The strongest number sees {box} of {input}.",
    "layer.strongest": "Its strongest output on this run stands at {place}. {kind}",
    "apart.shown.plain": (
        "Shown on this run: the engine made {numbers:n partial map} with a depthwise convolution "
        "on the same {weights:n weight}; added up {maps:n} at a time, they give this layer's "
        "{filters:n map}."
    ),
    "apart.shown": (
        "Shown on this run: the engine made {numbers:n partial map} with a depthwise convolution "
        "on the same {weights:n weight}; added up {maps:n} at a time, plus {bias:n bias|biases}, "
        "they give this layer's {filters:n map}."
    ),
    "apart.agree": (
        "{numbers:n number} compared: the largest difference is {worst}, rounding may make {bound}."
    ),
    "apart.some": "(Compared for the first {compared:n} of {filters:n filter}.)",
    "apart.params": (
        "Only the biases differ: the {maps:n} maps kept apart would want {maps:n} biases, so "
        "{apart:n} parameters instead of {params:n}."
    ),
    # -- a number -------------------------------------------------------------------------------
    "number.is": "{where}: {place} is {value}",
    "number.sum": "It is a sum: {products:n product} of a number and a weight{bias}.",
    "number.sum_plain": "It is a sum of {products:n number}.",
    "number.mean": "It is the mean of {products:n number}: each divided by {divisor:n}, then added.",
    "number.products": "It is a sum: {products:n product} of a number with one of another input.",
    "number.shares": "It is a sum of {products:n number}, each times a fixed share.",
    "number.norm": "It is a sum of three: the number scaled, the stored mean scaled, and the shift.",
    "number.bias": ", and one bias",
    "number.choice": "It is the {word} of {reads:n number}: {winner}.",
    "number.copy": "It is a copy of one number: {winner}.",
    "number.constant": "It is not read from anywhere: it is the fixed number {value} ({name}).",
    "number.formula": "It is worked out in steps from {reads:n number}.",
    "number.reads": "It reads {source}: {window}.",
    "number.padding": "{count:n read|reads} of the window lie in the padding and add nothing.",
    "number.padding_max": "{count:n place} of the window lie in the padding and never win.",
    "number.engine": "ONNX Runtime computes {value}: off by {difference}; rounding allows {bound}.",
    "number.exact": "ONNX Runtime computes {value}: the same.",
    "number.broken": (
        "ONNX Runtime computes {value}: off by {difference}, MORE than the {bound} that rounding "
        "explains."
    ),
    "number.nonfinite": "Not a finite number, so there is nothing to add up exactly.",
    "number.unit": "(numbers of this column times {unit})",
    "number.keeps": "{activation} keeps it",
    "number.limit": "{activation} puts {value} in its place",
    "number.row": "{activation}: its share of the row of {count:n number}",
    "number.back": "Where the largest parts come from",
    "number.random": "The weights are random (seed {seed}): the sum is right, its meaning is none.",
    "number.random_plain": "The weights are random: the sum is right, its meaning is none.",
    "number.input": "The input: {remarks}.",
    "number.noise": "The input is noise (seed {seed}).",
    "number.sample": "The input is the network's own sample picture.",
    "number.from_zero": "Rows, columns and maps count from 0.",
    # -- the story of `convlens demo`: lines are broken here, for 80 columns ----------------------
    "story.question": (
        "You asked: the 2nd layer reads {maps:n map}. Why does it make {filters:n map},\n"
        "and not {maps}*{filters} = {partial:n}?"
    ),
    "story.filter": (
        "A filter of the 2nd layer is no flat {side:by} square. It is a {side:by}x{maps} block, one\n"
        "{side:by} slice for each of the {maps:n map}. Laid on a place it covers all {maps:n map} at\n"
        "once and gives ONE number. There are {filters:n block}, so there are {filters:n map}."
    ),
    "story.number": (
        "One number, worked out: {picture}, {weights} weights, filter {filter}, row {row},\n"
        "column {column} (the layer's strongest; rows, columns and maps count from 0):"
    ),
    "story.picture": "a real {digit}",
    "story.picture.yours": "your picture",
    "story.kept": "ReLU keeps it: above 0",
    "story.cut": "ReLU makes it 0: not above 0",
    "story.checked": "checked: ONNX Runtime computes",
    "story.same": "the same",
    "story.off": "{difference} apart",
    "story.product": (
        "And the {partial:n}? Each filter has {maps:n partial map}, one for each map it reads;\n"
        "the layer adds them up at once, with a bias. {filters:n map} are left.\n"
        "Weights: {product} = {weights:n}, plus {bias:n bias|biases} = {params:n}. The picture's "
        "size\n"
        "is not in it: a {larger:by} picture has the same {params:n}."
    ),
    "story.shapes": (
        "The block slides over {size:n row}. It is {window} high, so it has "
        "{size} - {window} + 1 = {out:n place},\n"
        "and {across} across: a map of {out}x{across}. Over the {maps:n map} it does not slide: it "
        "covers\n"
        "them all and adds them up."
    ),
    "story.apart": (
        "A layer that does not add up over its maps exists, too. It is called depthwise,\n"
        "and ran here on the same picture with the same {weights:n weight}:\n"
        "  DepthwiseConv2D(depth_multiplier={filters})  makes  {made:shape}\n"
        "  its maps added up {maps} at a time, plus {bias:n bias|biases}:  {added:shape}\n"
        "These and the 2nd layer's own {numbers:n number} {verdict}: at most {worst} apart\n"
        "(rounding alone may make {bound})."
    ),
    "story.agree": "agree",
    "story.differ": "DO NOT agree",
    "story.verdict": "The last layer's {count:n number} say: {guess}, with {share} %.",
    "story.truth": " The picture is a {digit}.",
    "story.next.open": "hover any of these numbers",
    "story.next.number": "this number with all its products",
    "story.next.layer": "this layer, what people get wrong",
    "story.next.summary": "all shapes, weights and costs",
    "story.next.yours": "your own .keras, .h5 or .onnx file",
}
