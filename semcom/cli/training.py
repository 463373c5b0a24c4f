"""semcom train | pack | weights: learned parts, from pictures to weights that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from semcom.cli import options
from semcom.errors import SemcomError

weights = typer.Typer(
    help="List, check and explain the weights that ship.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def register(app: typer.Typer) -> None:
    app.command()(train)
    app.command()(pack)
    app.add_typer(weights, name="weights")


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file (YAML), such as recipes/autoencoder.yaml.")],
    set_: options.Set = None,
    out: Annotated[Optional[Path], typer.Option(help="The run's folder; runs/NAME if not given.")] = None,
    device: Annotated[Optional[str], typer.Option(help="auto, cpu or cuda; the recipe's execution.device if not given.")] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Toy size on made-up pictures, in seconds: does it run?")] = False,
    allow_plugins: options.Plugins = False,
) -> None:
    """Train a recipe, or go on with it where it was stopped.

    \b
    semcom train recipes/autoencoder.yaml
    semcom train recipes/autoencoder.yaml --smoke
    semcom train recipes/autoencoder.yaml --set optimise.steps=2000 --out runs/short
    """
    from semcom.cli import following

    following.train(recipe, list(set_ or []), out, device, smoke, allow_plugins)


def pack(
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Folders, KIND:PATH of labelled sets, or sources as YAML.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    size: Annotated[tuple[int, int], typer.Option(help="H W: the largest centred crop of this shape, resized.")] = (288, 384),
    codec: Annotated[str, typer.Option(help="jpeg (fast to read) or webp (smaller).")] = "jpeg",
    quality: Annotated[int, typer.Option(min=1, max=100, help="The codec's quality.")] = 90,
    terms: Annotated[Optional[str], typer.Option(help="On what terms the pictures of plain folders may be used.")] = None,
) -> None:
    """Put the training images of folders and labelled sets into one compact file.

    Of a labelled set only its training images are taken; val and tuning images never are.

    \b
    semcom pack camvid:data/camvid labelmefacade:data/labelmefacade -o packs/streets.safetensors
    semcom pack pictures more-pictures -o packs/mine.safetensors --size 256 256 --terms "CC0"
    """
    from semcom.errors import allowed
    from semcom.train import gather
    from semcom.train import pack as packing

    if codec not in packing.CODECS:
        raise SemcomError(f"--codec '{codec}' was given; {allowed(codec, packing.CODECS)}")
    gathered = gather.gather(images, size, terms or gather.UNSTATED)
    count = packing.write(out, gathered.items(), gathered.classes, gathered.provenance, codec, quality)
    print(f"{out}: {count} pictures of {size[0]}x{size[1]}, {out.stat().st_size / 2**20:.1f} MiB")
    for entry in gathered.provenance:
        print(f"  {entry['source']}: {entry['images']} ({entry['terms']})")
    for _, source in gathered.sources:
        for name, reason in source.skipped().items():
            print(f"  skipped: {name}: {reason}")


@weights.command("list")
def list_weights(json: options.Json = False) -> None:
    """List the weights that ship: size, terms, and whether they are what was pinned.

    \b
    semcom weights list
    """
    rows = _checked()
    if json:
        return options.print_json(rows)
    if not rows:
        print("no weights ship with this version")
    for row in rows:
        print(f"{row['name']:<20} {row['mib']:6.2f} MiB  {'ok' if row['problem'] is None else 'not ok'}  {row['licence']}")


@weights.command()
def verify(json: options.Json = False) -> None:
    """Check the digest of everything that ships; exit status 2 if something is missing or changed.

    \b
    semcom weights verify
    """
    rows = _checked()
    wrong = [row["problem"] for row in rows if row["problem"]]
    if json:
        options.print_json(rows)
    elif not wrong:
        print(f"{len(rows)} weights are there and are what was pinned")
    if wrong:
        raise SemcomError("\n".join(wrong))


@weights.command()
def card(
    name: Annotated[str, typer.Argument(help="Weights that ship, or a folder that `semcom train` wrote.")],
    scores: Annotated[Optional[Path], typer.Option(help="A table.csv of results: its rows go into the card of a folder.")] = None,
) -> None:
    """Print a model card: what it is, its data and their terms, scores, how it was made, its digest.

    \b
    semcom weights card runs/autoencoder/weights
    semcom weights card runs/autoencoder/weights --scores results/autoencoder/table.csv
    """
    from semcom.models import weights as pinned

    if scores is not None:
        from semcom.train.card import add_scores

        add_scores(Path(name), scores)
    print(pinned.card(name), end="")


@weights.command()
def tables(
    name: Annotated[str, typer.Argument(metavar="AUTOENCODER", help="A folder that `semcom train` or diffusers wrote, or a .safetensors file.")],
    packs: Annotated[list[Path], typer.Argument(metavar="PACK...", help="Training pictures that `semcom pack` put together.")],
    size: Annotated[tuple[int, int], typer.Option(help="H W of the pictures, multiples of 8.")] = (128, 256),
    pictures: Annotated[int, typer.Option(min=1, help="Pictures to fit to, at most, evenly spread over the packs.")] = 256,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Fit what is sent beside the weights: statistics of the latents, and tables for coding them as bits.

    \b
    semcom weights tables runs/autoencoder/weights packs/streets.safetensors
    """
    from semcom.models import storage
    from semcom.train.tables import make

    path = make(name, packs, size, pictures, device)
    print(f"{path}: {path.stat().st_size / 2**10:.0f} KiB, SHA-256 {storage.digest(path)}")


@weights.command("codecs")
def codec_errors(
    name: Annotated[str, typer.Argument(metavar="AUTOENCODER", help="A folder that `semcom train` or diffusers wrote, or a .safetensors file.")],
    packs: Annotated[list[Path], typer.Argument(metavar="PACK...", help="Training pictures that `semcom pack` put together.")],
    size: Annotated[tuple[int, int], typer.Option(help="H W of the pictures, multiples of 8.")] = (128, 256),
    pictures: Annotated[int, typer.Option(min=1, help="Pictures to measure on, at most, evenly spread over the packs.")] = 24,
) -> None:
    """Measure how far codecs' pictures are from the originals in latents, by their rate: what `codec_diffusion` starts from.

    \b
    semcom weights codecs runs/autoencoder/weights packs/streets.safetensors
    """
    from semcom.models import storage
    from semcom.train.codec_errors import make

    path = make(name, packs, size, pictures)
    print(f"{path}: {path.stat().st_size / 2**10:.0f} KiB, SHA-256 {storage.digest(path)}")


@weights.command()
def heights(
    folder: Annotated[Path, typer.Argument(metavar="SEGMENTER", help="The weights folder of a segmenter that `semcom train` wrote.")],
    packs: Annotated[list[Path], typer.Argument(metavar="PACK...", help="Training pictures that `semcom pack` put together.")],
    strength: Annotated[float, typer.Option(min=0.0, help="What the table is multiplied by; 0 takes it out.")] = 0.5,
    source: Annotated[Optional[str], typer.Option(help="Count only the pictures of this source, such as camvid.")] = None,
) -> None:
    """Tell a trained segmenter how likely a class is at a pixel's height, as counted in the packs.

    \b
    semcom weights heights runs/segmenter_evaluator/weights packs/photos.safetensors --source camvid
    """
    from semcom.models.segmenter import identity
    from semcom.train.heights import make

    make(folder, packs, strength, source)
    print(f"{folder}: heights of strength {strength:g} are in its config; its identity is now {identity(str(folder))}")


def _checked() -> list[dict]:
    from semcom.models import weights as pinned

    rows = []
    for name, entry in pinned.TABLE.items():
        path = pinned.ROOT / name / entry.file
        size = path.stat().st_size / 2**20 if path.is_file() else 0.0
        rows.append({"name": name, "mib": size, "sha256": entry.sha256, "licence": entry.licence, "problem": pinned.check(name)})
    return rows
