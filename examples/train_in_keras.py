"""Train in Keras and come back: convlens shows the numbers before and after.

    python examples/train_in_keras.py        (needs: pip install keras jax)

`digits-untrained` is handed to Keras, trained for a moment on the handwritten digits that come
with convlens, and opened again. The pictures are few: it learns them by heart, no more.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np

import convlens
from convlens import samples


def main() -> None:
    names = samples.digits()
    pictures = np.stack([samples.digit(name) for name in names])
    labels = np.array([samples.label(name) for name in names])

    before = convlens.load("digits-untrained")
    live = before.to_keras()
    live.compile("adam", "sparse_categorical_crossentropy")
    live.fit(pictures, labels, epochs=8, verbose=0)
    after = convlens.load(live)

    for word, model in (("before", before), ("after", after)):
        right = int((model.predict(pictures).argmax(axis=1) == labels).sum())
        print(f"{word} training: {right} of {len(labels)} digits right")
    print(after.explain("conv2d_1", at=(5, 7, 12), input=pictures[0]))


if __name__ == "__main__":
    main()
