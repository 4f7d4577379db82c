"""Known data sets: the shipped tables, their cards, and downloads that are verified."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from bayes_scaling.base.errors import DataError, UsageError
from bayes_scaling.runs import datasets
from bayes_scaling.runs.loading import load_runs

SHIPPED = ("chinchilla_optima", "chinchilla_shapes", "devices", "known_models", "pile")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BAYES_SCALING_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def fake(cache, monkeypatch):
    """A registered set whose file is ours, so that downloads are tested on a bare clone."""
    rows = "".join(f"{n}e8,{n}e18,{4 - n / 10}\n" for n in range(1, 8))
    data = f"Model Size,Training FLOP,loss\n{rows}".encode()
    entry = datasets._registry()["chinchilla_epoch"] | {"sha256": hashlib.sha256(data).hexdigest(), "rows": 7}
    monkeypatch.setattr(datasets, "_registry", lambda: {"fake": entry})
    return data


def test_pile():
    runs = load_runs("pile")
    assert runs.n == 30
    assert runs.name == "pile"
    assert len(runs.groups) == 5
    at = {name: i for i, name in enumerate(runs.run)}
    assert (runs.params[at["GPT-J-6B"]], runs.tokens[at["GPT-J-6B"]]) == (6.05e9, 402e9)
    assert (runs.params[at["GPT-NeoX-20B"]], runs.tokens[at["GPT-NeoX-20B"]]) == (2.055e10, 472e9)
    assert {notice.code for notice in runs.notices} == {"flops_differ"}
    # The power law that Dey et al. (2023) print for their own models, on their own count of FLOP.
    ours = runs.group == "cerebras-gpt"
    law = (runs.flops[ours] / 5.984e22) ** -0.0737 + 0.5066
    np.testing.assert_allclose(runs.loss[ours], law, atol=0.025)


def test_pythia_tokens_are_steps_times_batch():
    runs = load_runs("pile")
    pythia = np.char.startswith(runs.group, "pythia")
    assert set(runs.tokens[pythia]) == {143_000 * 2_097_152}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_table_has_a_card(name):
    known = datasets.describe(name)
    table = datasets.load_table(name)
    assert known.shipped
    assert known.available
    assert known.rows == len(table)
    assert known.title
    assert known.licence
    assert known.citation
    assert known.has_losses == (name == "pile")
    text = datasets.card(name)
    for column in table.columns:
        assert f"`{column}`" in text
    assert not table.astype(str).duplicated().any()


@pytest.mark.parametrize("name", set(SHIPPED) - {"pile"})
def test_tables_without_losses_say_so(name):
    with pytest.raises(DataError, match="holds no losses"):
        load_runs(name)


def test_published_figures_have_the_units_they_claim():
    models = datasets.load_table("known_models").set_index("run")
    assert 6 * float(models.loc["Chinchilla", "params"]) * float(models.loc["Chinchilla", "tokens"]) == 5.88e23
    assert 6 * float(models.loc["Llama 3.1 405B", "params"]) * float(models.loc["Llama 3.1 405B", "tokens"]) == (
        pytest.approx(3.8e25, rel=0.01)
    )
    optima = datasets.load_table("chinchilla_optima").astype(float)
    assert (optima.tokens / optima.params).between(15, 40).all()
    shapes = datasets.load_table("chinchilla_shapes").astype(float)
    attention = 4 * shapes.d_model * shapes.heads * shapes.d_head
    counted = shapes.layers * (attention + 2 * shapes.d_model * shapes.d_ff) + 32_000 * shapes.d_model
    assert (counted / shapes.params).between(0.75, 1.25).all()


def test_listing():
    names = [known.name for known in datasets.list_datasets()]
    assert names == [*sorted(SHIPPED), "chinchilla_epoch"]
    assert datasets.list_datasets()[0].to_dict()["name"] == names[0]
    with pytest.raises(UsageError, match="Did you mean 'pile'"):
        datasets.describe("pil")


def test_listing_starts_at_once():
    program = (
        "import sys; from bayes_scaling.runs.datasets import list_datasets, card; [card(d.name) for d in "
        "list_datasets()];"
        "print([m for m in ('pandas', 'numpy', 'pooch', 'requests') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_before_a_download(cache):
    with pytest.raises(DataError, match="bayes-scaling data fetch chinchilla_epoch"):
        load_runs("chinchilla_epoch")
    known = datasets.describe("chinchilla_epoch")
    assert not known.available
    assert known.path == cache / "chinchilla_epoch.csv"
    assert known.citation in datasets.card("chinchilla_epoch")


def test_fetch_and_adapt(fake, cache, monkeypatch):
    import pooch

    def download(url, output_file, pooch_object, check_only=False):
        assert url.startswith("https://raw.githubusercontent.com/epoch-research/")
        with open(output_file, "wb") as stream:
            stream.write(fake)

    monkeypatch.setattr(pooch, "HTTPDownloader", lambda **_: download)
    path = datasets.fetch("fake")
    assert path.read_bytes() == fake
    monkeypatch.setattr(pooch, "HTTPDownloader", lambda **_: pytest.fail("a verified copy is not fetched again"))
    assert datasets.fetch("fake") == path
    runs = load_runs("fake")
    np.testing.assert_allclose(6 * runs.params * runs.tokens, runs.flops)
    assert runs.extra["epoch_excluded"].tolist() == [1, 1, 1, 1, 1, 0, 0]
    assert runs.run[0] == "fake 1"


def test_a_wrong_download_is_refused_and_not_kept(fake, cache, monkeypatch):
    import pooch

    def download(url, output_file, pooch_object, check_only=False):
        with open(output_file, "wb") as stream:
            stream.write(b"<html>not found</html>")

    monkeypatch.setattr(pooch, "HTTPDownloader", lambda **_: download)
    with pytest.raises(DataError, match="SHA-256 differs"):
        datasets.fetch("fake")
    assert list(cache.iterdir()) == []


def test_without_a_network(fake, cache, monkeypatch):
    import pooch
    from requests.exceptions import ConnectionError

    def download(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(pooch, "HTTPDownloader", lambda **_: download)
    with pytest.raises(DataError) as caught:
        datasets.fetch("fake")
    message = str(caught.value)
    assert str(cache / "fake.csv") in message
    assert hashlib.sha256(fake).hexdigest() in message
    assert "raw.githubusercontent.com" in message
    (cache / "fake.csv").write_bytes(fake)  # as the message says
    assert datasets.fetch("fake") == cache / "fake.csv"
    assert load_runs("fake").n == 7


def test_a_wrong_file_placed_by_hand(fake, cache):
    (cache / "fake.csv").write_bytes(fake + b"\n")
    for use in (datasets.fetch, load_runs):
        with pytest.raises(DataError, match="is not the file registered as 'fake'"):
            use("fake")


def test_the_epoch_adapter_on_its_source(local_data, cache):
    shutil.copyfile(local_data / "chinchilla_epoch.raw.csv", cache / "chinchilla_epoch.csv")
    runs = load_runs("chinchilla_epoch")
    known = pd.read_csv(local_data / "chinchilla_epoch.csv")
    assert runs.n == datasets.describe("chinchilla_epoch").rows == 245
    for column in ("params", "tokens", "flops", "loss"):
        np.testing.assert_allclose(getattr(runs, column), known[column], rtol=1e-8)
    np.testing.assert_array_equal(runs.extra["epoch_excluded"], known["epoch_excluded"])
    assert runs.notices == ()


@pytest.mark.parametrize("name", ["gadre_overtraining", "muennighoff_fit182", "porian_isoflop", "xlstm_isoflop"])
def test_public_tables_load(local_data, name):
    runs = load_runs(local_data / f"{name}.csv")
    assert runs.n > 50
