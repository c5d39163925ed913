"""What a wrong argument, shape or call says, word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from convlens import keras
from convlens.errors import ConvlensError

k: Any = keras


def chain(shape: tuple[int | None, ...], *layers: Any) -> Any:
    """A Sequential model of these layers."""
    return k.Sequential([k.Input(shape), *layers])


def small() -> Any:
    """A convolution and a Dense."""
    return chain((28, 28, 1), k.Conv2D(32, 3), k.Flatten(), k.Dense(10))


def skip(size: int) -> Any:
    """A map halved, doubled and joined with itself."""
    whole = k.Input((size, size, 3))
    return k.Concatenate()([k.UpSampling2D()(k.MaxPooling2D()(whole)), whole])


def left_out() -> Any:
    """A model whose second Input is not named."""
    first, second = k.Input((3,)), k.Input((4,))
    return k.Model(first, k.Concatenate()([first, second]))


CASES: list[tuple[str, Callable[[], Any], str]] = [
    (
        "an argument is missing",
        lambda: k.Conv2D(32),
        """\
`Conv2D`: `kernel_size` is missing
  given:  filters=32
  needed: Conv2D(filters, kernel_size, strides=(1, 1), padding='valid', ...)
""",
    ),
    (
        "an argument has a wrong name",
        lambda: k.Conv2D(32, kernal_size=3),
        """\
`Conv2D` has no argument `kernal_size`
  given:  kernal_size=3
  needed: one of filters, kernel_size, strides, padding, data_format, dilation_rate, groups, activation, use_bias, ...
  hint:   did you mean `kernel_size`?
""",
    ),
    (
        "an argument is given twice",
        lambda: k.Conv2D(32, 3, filters=16),
        """\
`Conv2D` got `filters` twice
  given:  32 by its place and filters=16
  needed: Conv2D(filters, kernel_size, strides=(1, 1), padding='valid', ...)
""",
    ),
    (
        "too many arguments",
        lambda: k.ReLU(1, 2, 3, 4),
        """\
`ReLU` takes at most 3 arguments without a name
  given:  4 of them
  needed: ReLU(max_value=None, negative_slope=0.0, threshold=0.0)
""",
    ),
    (
        "padding is a number",
        lambda: k.Conv2D(32, 3, padding=1),
        """\
`Conv2D`: `padding` is a word in Keras, not a number of cells
  given:  padding=1
  needed: "valid" (no padding) or "same" (at stride 1 as many outputs as inputs)
  hint:   for exactly this padding: ZeroPadding2D(1) in front, and padding="valid" here
""",
    ),
    (
        "padding is causal in 2-D",
        lambda: k.Conv2D(32, 3, padding="causal"),
        """\
`Conv2D`: padding="causal" is there for Conv1D alone
  given:  padding='causal'
  needed: "valid" (no padding) or "same" (at stride 1 as many outputs as inputs)
  hint:   put ZeroPadding2D in front, with all of its zeros before, and use padding="valid"
""",
    ),
    (
        "padding is misspelt",
        lambda: k.Conv1D(32, 3, padding="casual"),
        """\
`Conv1D`: no padding is called "casual"
  given:  padding='casual'
  needed: "valid" (no padding) or "same" (at stride 1 as many outputs as inputs) or "causal" (zeros before only)
  hint:   did you mean `causal`?
""",
    ),
    (
        "strides with dilation",
        lambda: k.Conv2D(32, 3, strides=2, dilation_rate=2),
        """\
`Conv2D`: Keras does not combine strides with dilation in this layer
  given:  strides=(2, 2), dilation_rate=(2, 2)
  needed: strides 1, or dilation_rate 1
  hint:   DepthwiseConv and SeparableConv take both; or dilate, then pool
""",
    ),
    (
        "filters that do not divide",
        lambda: k.Conv2D(30, 3, groups=4),
        """\
`Conv2D`: 30 filters cannot be dealt into 4 groups
  given:  filters=30, groups=4
  needed: groups that divide the filters: 1, 2, 3, 5, 6, 10, 15, 30
""",
    ),
    (
        "maps that do not divide",
        lambda: chain((28, 28, 30), k.Conv2D(32, 3, groups=4)),
        """\
1st layer, `conv2d` (Conv2D): 30 input maps cannot be dealt into 4 groups
  given:  groups=4, input (28, 28, 30)
  needed: groups that divide 30 maps and 32 filters: 1, 2
""",
    ),
    (
        "output_padding as large as the stride",
        lambda: k.Conv2DTranspose(8, 3, strides=8, output_padding=8),
        """\
`Conv2DTranspose`: `output_padding` must be smaller than the strides: it only chooses among the sizes that a convolution with these strides brings back to the same input
  given:  output_padding=(8, 8), strides=(8, 8)
  needed: 0 to 7
  hint:   here 10 rows can become 75..82 with output_padding 0..7, and 80 without it
""",
    ),
    (
        "output_padding as large as the stride, with same",
        lambda: k.Conv2DTranspose(8, 8, 8, "same", (8, 1)),
        """\
`Conv2DTranspose`: `output_padding` must be smaller than the strides: it only chooses among the sizes that a convolution with these strides brings back to the same input
  given:  output_padding=(8, 1), strides=(8, 8)
  needed: 0 to 7
  hint:   here 10 rows can become 72..79 with output_padding 0..7, and 80 without it
""",
    ),
    (
        "a window with too many sizes",
        lambda: k.Conv2D(32, (3, 3, 3)),
        """\
`Conv2D`: `kernel_size` does not fit
  given:  kernel_size=(3, 3, 3)
  needed: a whole number, or 2 of them (height, width), 1 or more
""",
    ),
    (
        "no filters",
        lambda: k.Conv2D(0, 3),
        """\
`Conv2D`: `filters` must be a whole number
  given:  filters=0
  needed: 1 or more
""",
    ),
    (
        "a layout that is none",
        lambda: k.Conv2D(32, 3, data_format="channel_first"),
        """\
`Conv2D`: `data_format` is one of two words
  given:  data_format='channel_first'
  needed: "channels_last" (Keras' default) or "channels_first"
  hint:   did you mean `channels_first`?
""",
    ),
    (
        "an activation that is none",
        lambda: k.Conv2D(32, 3, activation="rleu"),
        """\
`Conv2D`: no activation is called `rleu`
  given:  activation='rleu'
  needed: a word of Keras, such as "relu", "sigmoid", "tanh", "softmax"
  hint:   did you mean `relu`?
""",
    ),
    (
        "an initializer that is none",
        lambda: k.Conv2D(32, 3, kernel_initializer="gloro_uniform"),
        """\
`Conv2D`: this initializer is not known
  given:  'gloro_uniform'
  needed: a word of Keras, such as "zeros", "ones", "glorot_uniform", "glorot_normal"
  hint:   did you mean `glorot_uniform`?
""",
    ),
    (
        "a rate in per cent",
        lambda: k.Dropout(25),
        """\
`Dropout`: `rate` is the share of numbers that training drops
  given:  rate=25
  needed: a number from 0 to 1
  hint:   for 25 per cent write 0.25
""",
    ),
    (
        "half a unit",
        lambda: k.Dense(10.5),
        """\
`Dense`: `units` must be a whole number
  given:  units=10.5
  needed: 1 or more
""",
    ),
    (
        "two sizes to be worked out",
        lambda: k.Reshape((3, -1, -1)),
        """\
`Reshape`: only one size of `target_shape` can be worked out
  given:  target_shape=(3, -1, -1)
  needed: at most one -1
""",
    ),
    (
        "an order that is none",
        lambda: k.Permute((0, 1)),
        """\
`Permute`: `dims` names every axis once, from 1 (0 is the batch)
  given:  dims=(0, 1)
  needed: for example (2, 1) or (3, 1, 2)
""",
    ),
    (
        "the picture shrinks to nothing",
        lambda: chain((6, 6, 1), k.Conv2D(8, 3), k.Conv2D(8, 3), k.Conv2D(8, 3)),
        """\
3rd layer, `conv2d_2` (Conv2D): height: a window 3 wide does not fit an axis of 2
  given:  size 2, window 3  ((6, 6, 1) -> (4, 4, 8) -> (2, 2, 8) so far)
  needed: a size of at least 3
  hint:   use a larger picture, fewer layers that shrink it, or padding="same"
""",
    ),
    (
        "channels first into a layer that reads them last",
        lambda: chain((1, 200, 200), k.Conv2D(32, 3)),
        """\
1st layer, `conv2d` (Conv2D): height: a window 3 wide does not fit an axis of 1
  given:  size 1, window 3
  needed: a size of at least 3
  hint:   this layer reads channels last; for a picture with 1 channel give (200, 200, 1)
""",
    ),
    (
        "channels last into layers that read them first",
        lambda: chain(
            (150, 150, 3),
            k.Conv2D(32, 3, data_format="channels_first"),
            k.MaxPooling2D(2, data_format="channels_first"),
        ),
        """\
2nd layer, `max_pooling2d` (MaxPooling2D): width: a window 2 wide does not fit an axis of 1
  given:  size 1, window 2  ((150, 150, 3) -> (32, 148, 1) so far)
  needed: a size of at least 2
  hint:   conv2d: this layer reads channels first; for a picture with 3 channels give (3, 150, 150)
""",
    ),
    (
        "no channel axis",
        lambda: chain((28, 28), k.Conv2D(32, 3)),
        """\
1st layer, `conv2d` (Conv2D): Conv2D needs 3 axes besides the batch, not 2
  given:  (28, 28)
  needed: (height, width, channels)
  hint:   one channel is an axis too: (28, 28, 1)
""",
    ),
    (
        "no channel axis in 1-D",
        lambda: chain((100,), k.Conv1D(32, 3)),
        """\
1st layer, `conv1d` (Conv1D): Conv1D needs 2 axes besides the batch, not 1
  given:  (100,)
  needed: (steps, channels)
  hint:   one channel is an axis too: (100, 1)
""",
    ),
    (
        "the number of samples in the shape",
        lambda: chain((26721, 32, 32, 1), k.Conv2D(32, 3)),
        """\
1st layer, `conv2d` (Conv2D): Conv2D needs 3 axes besides the batch, not 4
  given:  (26721, 32, 32, 1)
  needed: (height, width, channels)
  hint:   leave the number of samples out of the shape: (32, 32, 1); for clips use Conv3D, its kernel 1 frame deep
""",
    ),
    (
        "an unknown number of channels",
        lambda: chain((28, 28, None), k.Conv2D(32, 3)),
        """\
1st layer, `conv2d` (Conv2D): the number of channels must be known to make the weights
  given:  (28, 28, None)
  needed: a number there instead of None
  hint:   sizes of the picture may be None, the number of channels may not
""",
    ),
    (
        "a Dense after maps of unknown size",
        lambda: chain((None, None, 3), k.Conv2D(64, 3), k.Flatten(), k.Dense(2)),
        """\
3rd layer, `dense` (Dense): the size of the last axis must be known to make the weights
  given:  (None,)  ((None, None, 3) -> (None, None, 64) -> (None,) so far)
  needed: a number there instead of None
  hint:   after maps of unknown size use GlobalAveragePooling2D or GlobalMaxPooling2D instead of Flatten
""",
    ),
    (
        "a skip connection that misses by one",
        lambda: skip(451),
        """\
`Concatenate`: the inputs differ on axis 0: 450 and 451
  given:  (450, 450, 3), (451, 451, 3)  ((451, 451, 3) -> (225, 225, 3) -> (450, 450, 3) so far)
  needed: equal sizes on every axis but 2
  hint:   451 is odd: halving drops one row, doubling gives 450; use a picture whose size is a multiple of 2 per level, padding="same" in the pools, or Cropping2D before joining
""",
    ),
    (
        "maps of two sizes are added",
        lambda: k.Add()([k.Input((33, 33, 8)), k.Input((31, 31, 8))]),
        """\
`Add`: the inputs differ on axis 0: 31 and 33
  given:  (33, 33, 8), (31, 31, 8)
  needed: equal sizes, or 1
  hint:   an odd size loses a row when it is halved; use a multiple of 2 per level, padding="same", or crop
""",
    ),
    (
        "numbers that do not fill a shape",
        lambda: chain((28, 28, 1), k.Reshape((3, 100))),
        """\
1st layer, `reshape` (Reshape): 784 numbers do not fill (3, 100)
  given:  (28, 28, 1) = 784 numbers
  needed: 300 numbers
""",
    ),
    (
        "two layers of one name",
        lambda: chain((28, 28, 1), k.Conv2D(4, 3, name="a"), k.Conv2D(4, 3, name="a")),
        """\
`sequential`: two layers are called `a`
  given:  name='a', a Conv2D and a Conv2D
  needed: a name of its own for each layer
  hint:   to use one layer twice, call the same object again
""",
    ),
    (
        "layers without brackets",
        lambda: k.Sequential(k.Conv2D(2, 3)),
        """\
`Sequential` takes one list of layers
  given:  Sequential(Conv2D(...), ...)
  needed: Sequential([layer, layer, ...])
  hint:   put square brackets around the layers
""",
    ),
    (
        "a class instead of a layer",
        lambda: k.Sequential([k.Flatten]),
        """\
1st layer: a class was added, not a layer
  given:  Flatten
  needed: Flatten(...)
  hint:   call the class: the brackets make the layer
""",
    ),
    (
        "something that is no layer",
        lambda: k.Sequential([k.Flatten(), 3]),
        """\
2nd layer: only layers can be added
  given:  int
  needed: a layer, such as Conv2D(32, 3)
""",
    ),
    (
        "a model without a shape is summed up",
        lambda: k.Sequential([k.Conv2D(2, 3)]).summary(),
        """\
`sequential`: the input shape is not known, so nothing has a shape yet
  needed: Input(shape) in front, or input_shape= in the first layer
  hint:   grey pictures of 28 x 28: Sequential([Input((28, 28, 1)), ...])
""",
    ),
    (
        "a model without layers is summed up",
        lambda: k.Sequential().summary(),
        """\
`sequential`: the model has no layers
  hint:   add one: model.add(Conv2D(32, 3, input_shape=(28, 28, 1)))
""",
    ),
    (
        "a layer instead of a tensor",
        lambda: k.Model(k.Input((3,)), k.Dense(2)),
        """\
`Model`: `outputs` holds something that is no tensor
  given:  outputs=Dense
  needed: Input(shape), or what a layer gave when it was called
  hint:   give a layer's output: layer.output
""",
    ),
    (
        "a model of nothing",
        lambda: k.Model(),
        """\
`Model`: a model needs `inputs`
  needed: Model(inputs, outputs)
  hint:   a class of your own with a `call` has no layers that can be seen from outside; make the model in the functional way, or load it from Keras
""",
    ),
    (
        "an input is left out",
        lambda: left_out(),
        """\
`functional`: an output of the model needs an Input that is not among its inputs
  given:  inputs (None, 3)
  needed: also the Input of shape (None, 4)
""",
    ),
    (
        "a layer that is not there",
        lambda: small().get_layer("conv2"),
        """\
sequential: no layer is called `conv2`
  given:  conv2
  needed: one of conv2d, flatten, dense
  hint:   did you mean `conv2d`?
""",
    ),
    (
        "a PyTorch kernel",
        lambda: small().layers[0].set_weights([np.zeros((32, 1, 3, 3)), np.zeros(32)]),
        """\
`conv2d` (Conv2D): weight `kernel` has another shape
  given:  (32, 1, 3, 3)
  needed: (3, 3, 1, 32)
  hint:   PyTorch stores it as (32, 1, 3, 3); np.transpose(array, (2, 3, 1, 0)) makes it fit
""",
    ),
    (
        "two arrays for four weights",
        lambda: (
            chain((8, 8, 2), k.BatchNormalization())
            .layers[0]
            .set_weights([np.zeros(2), np.zeros(2)])
        ),
        """\
`batch_normalization` (BatchNormalization): 2 arrays are given for 4 weights
  given:  (2,), (2,)
  needed: gamma (2,), beta (2,), moving_mean (2,), moving_variance (2,)
""",
    ),
    (
        "a Dense that was made for another picture",
        lambda: small().layers[2](np.zeros((8, 28800))),
        """\
`dense` (Dense): its kernel was made for another input
  given:  input (28800,), which would need a kernel (28800, 10)
  needed: an input like (21632,), for which its kernel (21632, 10) was made
  hint:   one layer has one set of weights; after Flatten its length depends on the size of the picture, after GlobalAveragePooling2D it does not
""",
    ),
    (
        "training",
        lambda: small().fit(1, 2),
        """\
`fit` is Keras' job: convlens explains models, it does not train them
  given:  model.fit(...)
  needed: Keras (pip install keras jax)
  hint:   live = model.to_keras(); live.compile(...); live.fit(x, y); model = convlens.load(live)
""",
    ),
    (
        "a weight beyond all bounds",
        lambda: chain((28, 28, 1), k.Conv2D(2**40, 3)).get_weights(),
        """\
conv2d/kernel: the weight is too large to be made
  given:  (3, 3, 1, 1099511627776), 9,895,604,649,984 numbers, 36,864 GiB
  needed: at most 1,073,741,824 numbers
  hint:   shapes, counts and costs of the model can be shown all the same
""",
    ),
    (
        "a tensor times a text",
        lambda: k.Input((3,)) * "x",
        """\
a tensor cannot be combined with this by `*`
  given:  x * str
  needed: a number, or another tensor
  hint:   for another kind of arithmetic, compute it before the model or after it
""",
    ),
    (
        "numbers of a tensor",
        lambda: np.asarray(k.Input((3,))),
        """\
a tensor has no numbers yet
  given:  <Tensor shape=(None, 3), made by input_layer>
  needed: an array
  hint:   Model(inputs, outputs).predict(x) computes numbers
""",
    ),
    (
        "two inputs into a layer that takes one",
        lambda: k.Conv2D(2, 3)([k.Input((8, 8, 1)), k.Input((8, 8, 1))]),
        """\
`Conv2D`: the layer takes one input
  given:  2: (8, 8, 1), (8, 8, 1)
  needed: one tensor
  hint:   join them first, with Concatenate or Add
""",
    ),
    (
        "an output before any call",
        lambda: k.Conv2D(2, 3).output,
        """\
`Conv2D`: the layer was not called yet, so it has no input and no output
  hint:   put it into a model, or call it on a tensor
""",
    ),
    (
        "a size that is none",
        lambda: k.Input((28, 0, 1)),
        """\
`Input`: `shape` holds something that is no size
  given:  shape=(28, 0, 1)
  needed: whole numbers from 1 up, or None where a size is not known
""",
    ),
]


@pytest.mark.parametrize(("wrong", "text"), [pytest.param(*case, id=name) for name, *case in CASES])
def test_the_whole_message(wrong: Callable[[], Any], text: str) -> None:
    with pytest.raises(ConvlensError) as caught:
        wrong()
    assert str(caught.value) + "\n" == text


def test_a_layer_that_only_keras_has_says_where_to_build_it() -> None:
    with pytest.raises(AttributeError) as caught:
        k.layers.MultiHeadAttention  # noqa: B018
    assert str(caught.value) == (
        "convlens.keras does not build `MultiHeadAttention`\n"
        "  needed: a layer whose every number can be explained\n"
        "  hint:   build it in Keras: convlens.load(model) shows a model with a MultiHeadAttention"
        " in it"
    )


def test_time_distributed_wants_a_layer() -> None:
    with pytest.raises(ConvlensError) as caught:
        k.layers.TimeDistributed(16)
    assert str(caught.value).splitlines()[1:] == [
        "  given:  layer=16",
        "  needed: a layer of convlens.keras, such as Conv2D(16, 3)",
    ]


OLD_WORDS = [
    (lambda: k.Conv2D(32, 3, border_mode="same"), "padding='same'"),
    (lambda: k.Conv2D(32, 3, subsample=(2, 2)), "strides=(2, 2)"),
    (lambda: k.Conv2D(nb_filter=32, nb_row=3, nb_col=5), "filters=32"),
    (lambda: k.Conv2D(32, nb_row=3, nb_col=5), "kernel_size=(3, 5)"),
    (lambda: k.Conv2D(32, 3, dim_ordering="th"), "data_format='channels_first'"),
    (lambda: k.Dense(output_dim=7), "units=7"),
    (lambda: k.Dense(7, init="he_normal"), "kernel_initializer='he_normal'"),
    (lambda: k.Dense(7, bias=False), "use_bias=False"),
    (lambda: k.Dropout(p=0.5), "rate=0.5"),
]


@pytest.mark.parametrize(("call", "today"), OLD_WORDS, ids=[today for _, today in OLD_WORDS])
def test_an_argument_of_keras_1_says_what_it_is_called_today(
    call: Callable[[], Any], today: str
) -> None:
    with pytest.raises(ConvlensError) as caught:
        call()
    assert str(caught.value).splitlines()[-1] == (
        f"  hint:   Keras 1 called it so; today it is {today}"
    )


def test_an_embedding_takes_input_length_as_keras_does() -> None:
    assert k.Embedding(10, 4, input_length=6).config["output_dim"] == 4


def test_a_lambda_is_refused_with_its_reason() -> None:
    with pytest.raises(AttributeError) as caught:
        k.layers.Lambda  # noqa: B018
    assert str(caught.value) == (
        "convlens.keras has no `Lambda`\n"
        "  hint:   it runs code of yours, which convlens cannot see into; in a Keras model that "
        "convlens.load opens it is shown, not explained"
    )


def test_merges_are_there_as_functions() -> None:
    a, b = k.Input((4, 3)), k.Input((4, 3))
    shapes = {
        word: getattr(k.layers, word)([a, b]).shape for word in ("add", "multiply", "average")
    }
    assert set(shapes.values()) == {(None, 4, 3)}
    assert k.layers.concatenate([a, b], axis=1).shape == (None, 8, 3)
    assert k.layers.dot([a, b], axes=2).shape == (None, 4, 4)
