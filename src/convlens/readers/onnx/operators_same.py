"""Operators that hand numbers on as they are, or cut them off at limits."""

from __future__ import annotations

import numpy as np

from ...layers.activate import Clip, Identity
from .operators import builds
from .site import Made, NotOurs, Site


@builds("Identity", anywhere=True)
def _identity(site: Site) -> Made:
    return site.of(Identity())


@builds("Dropout", anywhere=True)
def _dropout(site: Site) -> Made:
    if site.given(2) and any(site.numbers(2, "training mode")):
        raise NotOurs("it drops numbers at random")
    return site.of(Identity("dropout"))


@builds("Relu", anywhere=True)
def _relu(site: Site) -> Made:
    return site.of(Clip())


@builds("Clip", anywhere=True)
def _clip(site: Site) -> Made:
    limits: list[float | None] = []
    for place, word in ((1, "min"), (2, "max")):
        if word in site.node.attributes:
            limits.append(float(site.node.get(word)))
        elif site.given(place):
            limits.append(float(site.numbers(place, "limits")[0]))
        else:
            limits.append(None)
    # Old exporters write "no limit" as the largest number there is.
    wide = float(np.finfo(np.float32).max)
    low = None if limits[0] is not None and limits[0] <= -wide else limits[0]
    high = None if limits[1] is not None and limits[1] >= wide else limits[1]
    if low is not None and high is not None and low > high:
        raise NotOurs("a lower limit above the upper")
    return site.of(Clip(low, high))
