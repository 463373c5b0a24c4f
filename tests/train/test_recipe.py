"""Recipes are as strict as scenario files."""

import pytest
import yaml

from semcom.errors import ScenarioError
from semcom.scenario.yaml_file import read_text
from semcom.train.recipe import check, load

GOOD = """\
name: mine
data: {packs: [a.safetensors]}
task:
  kind: autoencoder
  losses: {l1: 1.0}
optimise:
  steps: 100
  warmup: 10
"""


def wrong(text):
    with pytest.raises(ScenarioError) as error:
        check(read_text(text, "r.yaml"))
    return str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("steps: 100", "step: 100", "r.yaml:7: optimise.step: there is no 'step' here; allowed: "),
        ("steps: 100", "step: 100", "did you mean 'steps'?"),
        ("steps: 100", "steps: 1e2", "r.yaml:7: optimise.steps: 100.0 was given; expected a whole number"),
        ("steps: 100", "steps: 5", "optimise.warmup is 10 of 5 steps; it must end before the training does"),
        ("kind: autoencoder", "kind: autoencodr", "r.yaml:4: task.kind: there is no task 'autoencodr'; allowed: autoencoder"),
        ("l1: 1.0", "l2: 1.0", "r.yaml:5: task.losses.l2: there is no 'l2' here"),
        ("l1: 1.0", "l1: 0, pyramid: 0", "all reconstruction losses are 0; give l1, mse, pyramid or lpips_squeeze a weight"),
        ("kind: autoencoder", "kind: autoencoder\n  sent: [4, 32]", "each must lie in 1 to latent_channels = 16"),
        ("packs: [a.safetensors]", "packs: []", "r.yaml:2: data.packs: [] was given; expected at least 1 entries"),
        ("packs: [a.safetensors]", "packs: [a], size: [100, 256]", "expected [H, W] of at least 16 pixels each, multiples of 8"),
        ("packs: [a.safetensors]", "packs: [a], scale: [0.5, 2]", "expected [smallest, largest] with 0 < smallest <= largest <= 1"),
        ("name: mine", "name: mine\nname: yours", "r.yaml:2: name: this key appears twice"),
        ("name: mine", "seed: 1", "r.yaml:1: 'name' is missing: the run goes to runs/<name>"),
        ("name: mine", "name: mine\nsweep: {}", "there is no 'sweep' here"),
        ("  warmup: 10", "  warmup: 10\nexecution: {device: gpu}", "r.yaml:9: execution.device: 'gpu' was given; allowed: auto, cpu, cuda"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_line_path_and_nearest_name(old, new, sentence):
    assert sentence in wrong(GOOD.replace(old, new))


def test_everything_wrong_is_said_at_once_in_the_order_of_the_file():
    text = wrong(GOOD.replace("l1: 1.0", "l2: 1.0").replace("steps: 100", "step: 100"))
    assert [line.split(":")[1] for line in text.splitlines()] == ["5", "6", "7"]  # l2, steps is missing, step


@pytest.mark.parametrize("text", ["", "- 1", "just text"])
def test_what_is_no_recipe_at_all(text):
    assert "expected a mapping with name, seed, data, task, optimise, keep, execution" in wrong(text)


def test_fields_are_set_beside_the_file(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(GOOD)
    recipe = load(path, ["optimise.steps=7", "optimise.warmup=0", "task.losses.l1=0.5", "task.noise={share: 0}"])
    assert recipe.optimise.steps == 7 and recipe.task.losses.l1 == 0.5 and recipe.task.noise.share == 0.0
    with pytest.raises(ScenarioError, match="--set optimise.step=7: optimise.step: there is no 'step' here"):
        load(path, ["optimise.step=7"])
    path.write_text(GOOD.replace("task:\n  kind: autoencoder\n  losses: {l1: 1.0}\n", "task: autoencoder\n"))
    assert load(path, ["task.encoder_width=16"]).task.encoder_width == 16


def test_a_recipe_is_written_as_it_is_read(tmp_path):
    recipe = check(read_text(GOOD, "r.yaml"))
    again = check(read_text(recipe.text(), "r.yaml"))
    assert again.plain() == recipe.plain() and yaml.safe_load(recipe.text())["optimise"]["betas"] == [0.9, 0.99]


def test_identity_is_what_changes_the_numbers():
    recipe = check(read_text(GOOD, "r.yaml"))

    def changed(section, **values):
        return (
            recipe.model_copy(update={section: getattr(recipe, section).model_copy(update=values)}).identity()
            != recipe.identity()
        )

    assert changed("optimise", batch_size=3) and changed("optimise", precision="float32") and changed("data", colour=0.0)
    assert changed("task", encoder_width=8)
    assert not changed("execution", workers=4) and not changed("keep", checkpoint_every=5)
