"""The question that started convlens, asked in Python: `python examples/question.py`.

A network with 32 filters in its 1st layer and 64 in its 2nd: why are 64 maps made, not 32*64?
"""

from __future__ import annotations

import numpy as np

from convlens.keras import Conv2D, DepthwiseConv2D, Input, Model, Sequential


def main() -> None:
    """Build the network, take its 2nd layer apart, and put it together again."""
    model = Sequential()
    model.add(Conv2D(32, kernel_size=(3, 3), activation="relu", input_shape=(28, 28, 1)))
    model.add(Conv2D(64, (3, 3), activation="relu"))
    for layer in model.layers:
        print(layer.name, [weight.shape for weight in layer.get_weights()], layer.output.shape)

    run = model.run()
    second = model.layers[1]

    # The same 18,432 weights in a layer that does not add up over the maps it reads.
    x = Input((26, 26, 32))
    apart = DepthwiseConv2D(3, depth_multiplier=64, use_bias=False)
    network = Model(x, apart(x))
    apart.set_weights([second.get_weights()[0]])
    maps = network.predict(run["conv2d"])
    print(f"kept apart: {maps.shape}")

    # Each filter has one partial map for each of the 32 maps: 32*64 of them. Added up, and the
    # bias, they are the 64 maps of the 2nd layer.
    added = maps.reshape(1, 24, 24, 32, 64).sum(axis=3) + second.get_weights()[1]
    print(f"added up:   {added.shape}")
    off = np.abs(added - run["conv2d_1", "pre_activation"]).max()
    print(f"the 2nd layer's own numbers are at most {off:.0e} away")
    print()
    print(model.explain("conv2d_1", at=(5, 7, 12)))


if __name__ == "__main__":
    main()
