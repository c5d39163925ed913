"""A layer at every step of a sequence: steps stand where samples would.

(batch, steps, maps, rows, columns) becomes (batch * steps, maps, rows, columns), and a layer that
knows nothing of steps works on that: how Keras' TimeDistributed and networks for video are written.
In a file that takes one sample at a time, or behind regions cut out of a map, only steps are left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ...layers.over_time import OverTime
from ...model import FIRST, NOWHERE, Graph
from .site import Made, Site


def over_steps(site: Site, builder: Callable[[Site], Made]) -> Made | None:
    """The layer that the node would be if steps were samples, at every step.

    None where the first axis of what it reads is not one of steps, or it is more than one layer.
    """
    state = site.state
    live = [n for n, name in enumerate(site.node.inputs) if name and site.constant(n) is None]
    places = {site.batch_place(n) for n in live}
    if len(places) != 1:
        return None
    place = places.pop()
    if place not in (None, NOWHERE) and (place.axis != 0 or not place.shared):
        return None
    names = [site.node.input(n) for n in live]
    kept = {name: (state.batched.get(name, False), state.places.get(name, FIRST)) for name in names}
    state.batched.update(dict.fromkeys(names, True))
    state.places.update(dict.fromkeys(names, FIRST))
    try:
        made = builder(site)
    finally:
        state.batched.update((name, batched) for name, (batched, _) in kept.items())
        state.places.update((name, own) for name, (_, own) in kept.items())
    if made.before or made.places or made.place != FIRST or not made.batched:
        return None
    batched = place is not None
    return replace(
        made, layer=OverTime(made.layer), batched=batched, place=place or FIRST, channels_last=None
    )


def over_step_count(graph: Graph) -> int:
    """How many calls work step by step."""
    return sum(isinstance(call.layer, OverTime) for call in graph.calls)
