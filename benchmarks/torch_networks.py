"""Which networks of torchvision and timm there are: names, builders, picture sizes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import torch

# timm's modules of networks that are convolutional, some of them with attention here and there.
FAMILIES = (
    "byobnet convmixer convnext cpubone csatv2 cspnet cspnext densenet dla dpn edgenext "
    "efficientnet fasternet fastvit focalnet ghostnet hardcorenas hgnet hrnet inception_next "
    "inception_resnet_v2 inception_v3 inception_v4 lcnetv2 mambaout metaformer mobilenetv3 "
    "mobilenetv5 nasnet nfnet pnasnet rdnet regnet repghost repvit res2net resnest resnet resnetv2 "
    "rexnet selecsls senet shvit sknet starnet tresnet vgg vovnet xception xception_aligned"
)
# Of torchvision: transformers, detection, optical flow, video and quantised networks.
SKIPPED = re.compile(r"vit|swin|maxvit|rcnn|retina|ssd|fcos|raft|r3d|mc3|r2plus|s3d|mvit|quantized")


def torchvision_networks() -> Iterator[tuple[str, Any, int]]:
    """(name, builder, picture size) of classification and segmentation networks."""
    declare_operators()
    from torchvision import models

    for name in models.list_models():
        if SKIPPED.search(name):
            continue

        def build(name: str = name) -> Any:
            builder = models.get_model_builder(name)
            more: dict[str, Any] = {}
            if "segmentation" in builder.__module__:
                more["weights_backbone"] = None
            if name in ("googlenet", "inception_v3"):
                more["init_weights"] = False
            return models.get_model(name, weights=None, **more)

        yield name, build, 299 if name == "inception_v3" else 224


def timm_networks() -> Iterator[tuple[str, Any, int]]:
    """(name, builder, picture size) of the families named above."""
    declare_operators()
    import timm

    families = set(FAMILIES.split())
    for name in timm.list_models():
        if name.startswith("test_") or family(name) not in families:
            continue
        found = timm.models.get_pretrained_cfg(name)
        side = found.input_size[-1] if found is not None and found.input_size else 224

        def build(name: str = name) -> Any:
            return timm.create_model(name, pretrained=False)

        yield name, build, side


def family(name: str) -> str:
    """The module of timm that a network is defined in."""
    import timm

    return str(timm.models._registry._model_to_module.get(name, ""))


def declare_operators() -> None:
    """Name torchvision's own operators where its compiled part is missing: its import asks."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool"):
            library.define(f"{operator}(Tensor a) -> Tensor")
            library.define(f"_{operator}_backward(Tensor a) -> Tensor")
        library.define("deform_conv2d(Tensor a) -> Tensor")
        library.define("_deform_conv2d_backward(Tensor a) -> Tensor")
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        globals()["_kept_library"] = library
