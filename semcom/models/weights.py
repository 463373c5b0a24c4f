"""The weights that ship: one line each, pinned by digest, checked when they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semcom.errors import WeightsError, allowed
from semcom.models import storage

#: where the package keeps them: ROOT/NAME/
ROOT = Path(__file__).resolve().parents[1] / "weights"


@dataclass(frozen=True)
class Pinned:
    """Weights that ship. ``file`` lies in ROOT/NAME; ``sha256`` is its digest; ``licence`` says on what terms.

    ``also``: (file, digest) of what else lies there and changes numbers, such as tables of latents.
    """

    file: str
    sha256: str
    licence: str
    also: tuple[tuple[str, str], ...] = ()


#: name -> weights; `semcom train` prints the line of what it made (docs/training.md)
TABLE: dict[str, Pinned] = {
    "autoencoder": Pinned(
        "weights_int8.safetensors",
        "802927494008baa8698ad5dc48a5cd8e77d358ed4d9f46e3cd02ccf3a542d63d",
        "CamVid (Brostow et al. 2008) research use; LabelMeFacade (Froehlich et al. 2010) non-commercial research",
        also=(
            ("weights_int8.tables.npz", "66fc936ae045c8be075b3ca16e431ec13ed22516d58943e716d9e8d2b0dae539"),
            ("semcom.json", "a5440349b214779f2221db62b0101775274919c8c08d2cb5836b0ecd24a49db5"),
            ("weights_int8.codecs.json", "ff63c4c1403ebdf446faef5439ae2c3d449b7b90896eb97e0d785180cdb93952"),
        ),
    ),
    "jscc": Pinned(
        "diffusion_pytorch_model.safetensors",
        "2c142c45a479713e0d7077df4a487006a67f55c6d33686fae61836d3d39601d1",
        "CamVid (Brostow et al. 2008) research use; LabelMeFacade (Froehlich et al. 2010) non-commercial research",
    ),
    "segmenter_evaluator": Pinned(
        "weights_int8.safetensors",
        "54847c53ed53551faa06762991f9b250eadc12060d3db6a0e871157498603e34",
        "CamVid (Brostow et al. 2008) research use; LabelMeFacade (Froehlich et al. 2010) non-commercial research",
        also=(("config.json", "4d8e72c72d779f3f4d0695f52f5c341e1c789dd940551453cc58b60b06f93219"),),
    ),
    "segmenter_transmitter": Pinned(
        "weights_int8.safetensors",
        "648994ce9f0a0cd483e0a84db4ec8bb46778dddc50f8e0f018c3240a58c981de",
        "CamVid (Brostow et al. 2008) research use; LabelMeFacade (Froehlich et al. 2010) non-commercial research",
        also=(("config.json", "585c30a784bac17cb9a07f90daa2b10097879a8b8c2e97b02149bd159ebf7896"),),
    ),
    "latent_denoiser": Pinned(
        "diffusion_pytorch_model.safetensors",
        "eb613cd5c6d7fecaf9e27af5145378b1a2759bac25a0c099269cd85df4b30449",
        "CamVid (Brostow et al. 2008) research use; LabelMeFacade (Froehlich et al. 2010) non-commercial research",
    ),
    "gan": Pinned(
        "diffusion_pytorch_model.safetensors",
        "ed91bfd3008066e4130519b280fed503308a15dfb6b08e234c9a0b3515f1d29f",
        "CamVid (Brostow et al. 2008) research use; LabelMeFacade (Froehlich et al. 2010) non-commercial research",
    ),
    "label_map": Pinned(
        "label_map.safetensors",
        "63ce2c70cb63be2b2e1503d842e7893167b5b198076b56b0188e49bacd3d3801",
        "trained on CamVid (Brostow et al. 2008; research use), LabelMeFacade (Froehlich et al. 2010; non-commercial research) "
        "and streets (drawn by this package)",
    ),
}


def find(name: str) -> Path:
    """The file of pinned weights, whose digest has been checked. Raises: WeightsError."""
    if name not in TABLE:
        raise WeightsError(f"there are no weights '{name}'; {allowed(name, TABLE)}")
    path = ROOT / name / TABLE[name].file
    if problem := check(name):
        raise WeightsError(problem)
    return path


def check(name: str) -> str | None:
    """None if the weights are there and are those that the table promises; else one sentence."""
    pinned = TABLE[name]
    for file, sha256 in ((pinned.file, pinned.sha256), *pinned.also):
        path = ROOT / name / file
        if not path.is_file():
            return (
                f"the weights '{name}' are missing: put {file} with SHA-256 {sha256} into '{path.parent}', "
                "or install semcom again"
            )
        found = storage.digest(path)
        if found != sha256:
            return f"'{path}' is not what was pinned: its SHA-256 is {found} and should be {sha256}; install semcom again"
    return None


def card(name: str) -> str:
    """The model card of pinned weights, or of a folder that `semcom train` wrote."""
    folder = ROOT / name if name in TABLE else Path(name)
    path = folder / storage.CARD
    if not path.is_file():
        given = f"there is no model card '{path}'"
        raise WeightsError(f"{given}; give a folder that `semcom train` wrote, or a name; {allowed(name, TABLE)}")
    return path.read_text(encoding="utf-8")
