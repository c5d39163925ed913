"""The commands: arguments in, facts out; no arithmetic here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from . import STEERING, emit, say
from .lazy import numpy_on_first_use
from .progress import at_work
from .words import layer_named, open_model, parse_at, parse_inputs, split_model_layer

if TYPE_CHECKING:
    from ..api import Model, Run

Command = TypeVar("Command", bound=Callable[..., Any])

SIX_LINES = """\
convlens shows how each layer of a network turns its input into its output.
  convlens demo                  one question answered, from start to end
  convlens open                  hover any number of a trained network
  convlens summary MODEL         your own .keras, .h5, .onnx: all shapes, weights
  convlens explain MODEL LAYER   a layer; with --at 5,7,12 one number as its sum
  convlens --help                all commands"""


class _Group(click.Group):
    """Commands; any other first word is a MODEL, whose summary is shown."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and self._is_model(args[0]):
            return "summary", self.commands["summary"], args
        if args and args[0] not in self.commands:
            from .. import samples
            from ..errors import near_miss

            ctx.fail(
                f"`{args[0]}` is no command, no file and no built-in network. "
                + (
                    near_miss(args[0], [*self.commands, *samples.NAMES]).capitalize()
                    or f"Commands: {', '.join(self.commands)}."
                )
            )
        return super().resolve_command(ctx, args)

    @staticmethod
    def _is_model(word: str) -> bool:
        from .. import samples

        return word in samples.NAMES or Path(word).exists()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from .. import __version__

        emit(f"convlens {__version__}")
        ctx.exit()


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="After an error of convlens' own, --debug shows where it arose.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="The version.",
)
@click.pass_context
def convlens(ctx: click.Context) -> None:
    """See how each layer of your network turns its input into its output.

    MODEL is a file (.keras, .h5, .onnx, .pt2) or a built-in network: question, answer, digits,
    digits-untrained. Without MODEL it is digits, trained on real handwritten digits.
    """
    if ctx.invoked_subcommand is None:
        emit(SIX_LINES)


_input_shape = click.option(
    "--input-shape",
    multiple=True,
    metavar="[NAME=]28,28,1",
    help="Sizes the model leaves open; no batch axis.",
)


def _running(command: Command) -> Command:
    """The options of every command that runs a model."""
    for option in (
        click.option(
            "--architecture", metavar="FILE", help="The architecture of a weights-only file."
        ),
        click.option("--crop", is_flag=True, help="Cut the picture's middle to the model's size."),
        click.option("--resize", is_flag=True, help="Scale the picture to the model's size."),
        _input_shape,
        click.option(
            "--input",
            "inputs",
            multiple=True,
            metavar="[NAME=]FILE",
            help="A picture or a .npy array; once per input of the model.",
        ),
    ):
        command = option(command)
    return command


def _run(model: Model, inputs: tuple[str, ...], resize: bool, crop: bool) -> Run:
    if (resize or crop) and not inputs:
        raise click.UsageError(
            f"--{'resize' if resize else 'crop'} is about a picture: give it with --input"
        )
    with at_work(f"running the {len(model.graph.calls):,} layers of {model.name}"):
        return model.run(parse_inputs(model, inputs), resize=resize, crop=crop)


def _print_json(facts: dict[str, Any]) -> None:
    import json

    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    emit(text.translate({code: f"\\u{code:04x}" for code in STEERING}))


@convlens.command(short_help="Shapes, weights, costs and what each layer sees.")
@click.argument("model", required=False)
@_input_shape
@click.option(
    "--style",
    type=click.Choice(["convlens", "keras", "classic"]),
    default="convlens",
    show_default=True,
    help="Our table, Keras 3's, or the ruled table of older Keras.",
)
@click.option("--architecture", metavar="FILE", help="The architecture of a weights-only file.")
@click.option("--json", "as_json", is_flag=True, help="The facts as JSON.")
def summary(
    model: str | None,
    input_shape: tuple[str, ...],
    style: str,
    architecture: str | None,
    as_json: bool,
) -> None:
    """Every layer's shapes, weights, parameters, cost and receptive field.

    \b
    convlens summary digits
    convlens summary model.keras --input-shape 224,224,3
    """
    numpy_on_first_use()
    facts = open_model(model, input_shape, architecture).describe().facts
    if as_json:
        _print_json(facts.to_dict())
        return
    from ..render.summary import summary_text

    emit(summary_text(facts, style=style))


@convlens.command(short_help="A layer, or one number as its sum.")
@click.argument("model", required=False)
@click.argument("layer", required=False)
@click.option(
    "--at", metavar="5,7,12", help="Show this one number. Every axis but the batch, from 0."
)
@_running
@click.option("--sample", type=int, default=0, metavar="N", help="Which picture of a batch.")
@click.option("--stage", metavar="NAME", help="Another stage of a layer that works in stages.")
@click.option(
    "--output", type=int, default=0, metavar="N", help="Which output of a layer that has several."
)
@click.option(
    "--depth",
    type=click.IntRange(0, 20),
    default=0,
    metavar="N",
    help="Follow the largest terms back this many layers.",
)
@click.option("--numpy", "as_numpy", is_flag=True, help="Lines of NumPy that reproduce the number.")
@click.option("--json", "as_json", is_flag=True, help="The facts as JSON.")
def explain(
    model: str | None,
    layer: str | None,
    at: str | None,
    inputs: tuple[str, ...],
    input_shape: tuple[str, ...],
    resize: bool,
    crop: bool,
    architecture: str | None,
    sample: int,
    stage: str | None,
    output: int,
    depth: int,
    as_numpy: bool,
    as_json: bool,
) -> None:
    """A layer in its own numbers; with --at, one number of it as its sum.

    One word alone is the MODEL, or a LAYER of the built-in digits.

    \b
    convlens explain conv2d_1
    convlens explain conv2d_1 --at 5,7,12
    convlens explain model.keras block1_conv2 --at 0,0,3 --input cat.png --resize
    """
    named, chosen = split_model_layer(model, layer)
    place = parse_at(at)
    asked = {
        "--numpy": as_numpy,
        "--depth": depth,
        "--stage": stage,
        "--sample": sample,
        "--output": output,
    }
    alone = [option for option, given in asked.items() if given]
    if place is None and alone:
        raise click.UsageError(
            f"{alone[0]} is about one number: say which with --at, as in --at 5,7,12"
        )
    opened = open_model(named, input_shape, architecture)
    if chosen is not None:
        chosen = layer_named(opened, chosen)
    run = _run(opened, inputs, resize, crop)
    with at_work("working it out"):
        found = run.explain(chosen, place, stage=stage, sample=sample, depth=depth, output=output)
    if as_json:
        _print_json(found.to_dict())
    elif as_numpy:
        from ..render.numpy_code import numpy_text

        emit(numpy_text(found.facts))
    else:
        emit(str(found))


@convlens.command("open", short_help="The interactive page, in the browser.")
@click.argument("model", required=False)
@_running
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="0: any free port."
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def open_page(
    model: str | None,
    inputs: tuple[str, ...],
    input_shape: tuple[str, ...],
    resize: bool,
    crop: bool,
    architecture: str | None,
    port: int,
    no_browser: bool,
) -> None:
    """The interactive page: hover any number and see the sum that made it.

    Only this computer can reach it. Ctrl-C ends it.
    """
    run = _run(open_model(model, input_shape, architecture), inputs, resize, crop)
    from ..server import serve

    serve(run, port=port, browser=not no_browser)


@convlens.command(short_help="The interactive page as one offline file.")
@click.argument("model", required=False)
@click.option("-o", "--output", required=True, metavar="PAGE.html", help="Where to write the page.")
@_running
@click.option(
    "--budget", type=click.IntRange(1), metavar="KB", help="How much of the values to keep."
)
@click.option("--layers", metavar="NAME,NAME", help="Only the values of these layers.")
def export(
    model: str | None,
    output: str,
    inputs: tuple[str, ...],
    input_shape: tuple[str, ...],
    resize: bool,
    crop: bool,
    architecture: str | None,
    budget: int | None,
    layers: str | None,
) -> None:
    """The interactive page as one file that needs no network."""
    opened = open_model(model, input_shape, architecture)
    options: dict[str, Any] = {}
    if budget is not None:
        options["budget"] = budget * 1000
    if layers is not None:
        options["layers"] = tuple(
            opened.graph.call(name.strip()).name for name in layers.split(",")
        )
    run = _run(opened, inputs, resize, crop)
    with at_work("making the page"):
        path = run.export(output, **options)
    say(f"wrote {path} ({path.stat().st_size / 1000:,.0f} kB): open it in a browser")


@convlens.command(short_help="Source code: not read yet; says what to do instead.")
@click.argument("file", metavar="FILE.py|-")
@click.option("--json", "as_json", is_flag=True, help="The facts as JSON.")
def doctor(file: str, as_json: bool) -> int:
    """Shapes of pasted Keras or PyTorch code; where it breaks, and the fix.

    This version does not read source code yet. It says what to do instead.
    """
    from ..errors import ModelError

    raise ModelError(
        "reading source code is not there yet",
        where=file,
        needed="a model file: .keras, .h5, .onnx or .pt2",
        hint="save the model and give the file to convlens summary; for code in Keras' words, "
        "`from convlens.keras import ...` runs it and names the layer that does not fit",
    )


@convlens.command()
@click.argument("model")
@click.argument("target", metavar="OUT.onnx|OUT.keras")
@click.option("--architecture", metavar="FILE", help="The architecture of a weights-only file.")
@_input_shape
def convert(
    model: str, target: str, architecture: str | None, input_shape: tuple[str, ...]
) -> None:
    """Write a model in another format."""
    opened = open_model(model, input_shape, architecture)
    with at_work(f"writing {target}"):
        path = opened.save(target)
    say(f"wrote {path} ({path.stat().st_size / 1000:,.0f} kB)")


@convlens.command(short_help="Why 64 maps and not 32*64? In real numbers.")
@click.option("--digit", metavar="NAME", help="Another of the shipped digits, such as 3-0.png.")
@click.option("--json", "as_json", is_flag=True, help="The facts as JSON.")
def demo(digit: str | None, as_json: bool) -> None:
    """Why does the 2nd layer make 64 maps and not 32*64? Answered in real numbers."""
    from .. import samples
    from ..api import load

    run = load("digits").run(samples.digit(digit) if digit else None)
    from ..explain.story import tell
    from ..render.story import story_text

    name = digit or samples.DEFAULT_DIGIT
    facts = tell(run.execution, run.origin, shows=samples.label(name))
    if as_json:
        _print_json(facts.to_dict())
    else:
        emit(story_text(facts))
