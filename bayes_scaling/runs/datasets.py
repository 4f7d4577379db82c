"""Known data sets: those that ship in `data/`, and public ones downloaded on request and verified.

A shipped set is `data/NAME.csv` with its card `data/NAME.md`; adding the two files adds the set. A
downloaded one is a table in `data/registry.toml`. Listing them imports neither pandas nor NumPy.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tomllib
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.errors import DataError, unknown
from bayes_scaling.base.locate import folder

if TYPE_CHECKING:
    import pandas as pd

CACHE_VARIABLE = "BAYES_SCALING_CACHE"
"""Environment variable that moves the folder for downloaded sets."""
_TIMEOUT = 30.0


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set without reading it whole.

    Attributes
    ----------
    name, title
        Its name for `load_runs`, and one line on what it is.
    rows
        Number of rows.
    has_losses
        Whether it holds training runs; False for tables of other published figures.
    shipped
        Whether it comes with the package; otherwise it is downloaded by `fetch`.
    available
        Whether it can be read now, without a network.
    licence, citation
        Of the source.
    path
        Where it is, or where a download is put.
    """

    name: str
    title: str
    rows: int
    has_losses: bool
    shipped: bool
    available: bool
    licence: str
    citation: str
    path: Path

    def to_dict(self) -> dict[str, Any]:
        """One entry of the JSON of `data`."""
        return {**asdict(self), "path": str(self.path)}


def list_datasets() -> list[DataSet]:
    """All known sets, the shipped ones first, each part in alphabetical order."""
    return [describe(name) for name in known_names()]


def known_names() -> list[str]:
    """Names of all known sets, in the order of `list_datasets`."""
    return [*_shipped_names(), *sorted(_registry())]


def is_dataset(name: str) -> bool:
    """Whether a known data set has that name."""
    return name in _registry() or name in _shipped_names()


def describe(name: str) -> DataSet:
    """What is known of the set `name`.

    Raises
    ------
    UsageError
        If there is no such set.
    """
    _known(name)
    if entry := _registry().get(name):
        path = cached_path(name)
        facts = {key: entry[key] for key in ("title", "rows", "licence", "citation")}
        return DataSet(name, has_losses=True, shipped=False, available=path.is_file(), path=path, **facts)
    path = folder("data") / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream)
        header = next(reader)
        rows = sum(1 for _ in reader)
    text = card(name)
    return DataSet(
        name,
        title=text.splitlines()[0].removeprefix("#").strip(),
        rows=rows,
        has_losses="loss" in header,
        shipped=True,
        available=True,
        licence=_card_line(text, "Licence"),
        citation=_card_line(text, "Citation"),
        path=path,
    )


def card(name: str) -> str:
    """The card of the set `name`, Markdown: source, licence, columns, what to beware of.

    Raises
    ------
    UsageError
        If there is no such set.
    """
    _known(name)
    if entry := _registry().get(name):
        columns = "".join(f"| `{ours}` | `{theirs}` |\n" for ours, theirs in entry["columns"].items())
        return (
            f"# {entry['title']}\n\n- Holds: {entry['rows']} runs, downloaded on request\n"
            f"- Licence: {entry['licence']}\n- Citation: {entry['citation']}\n- Source: {_url(entry)}\n"
            f"- SHA-256: {entry['sha256']}\n\n{entry['notes'].strip()}\n\n"
            f"| column | in the source |\n|---|---|\n{columns}\nGet it with: bayes-scaling data fetch "
            f"{name}\n"
        )
    return (folder("data") / f"{name}.md").read_text(encoding="utf-8")


def load_table(name: str) -> pd.DataFrame:
    """The set `name` with canonical columns, `run` the first; text cells stay text.

    A set to be downloaded is read from where `fetch` put it, and verified again; nothing is downloaded here.

    Raises
    ------
    UsageError
        If there is no such set.
    DataError
        If it has to be downloaded first, or the file there is not the one registered.
    """
    from bayes_scaling.runs.readers import read_file

    _known(name)
    entry = _registry().get(name)
    if entry is None:
        return read_file(folder("data") / f"{name}.csv").frame
    path = cached_path(name)
    if not path.is_file():
        raise DataError(f"Data set '{name}' is not on this machine. Get it with: bayes-scaling data fetch {name}")
    _verify(name, path)
    return adapt(read_file(path).frame, entry, name)


def adapt(frame: pd.DataFrame, entry: dict[str, Any], name: str) -> pd.DataFrame:
    """A source's table in canonical columns, as its registry entry declares: chosen columns renamed, tokens
    or params derived by flops = 6·params·tokens, and rows that a published analysis leaves out marked 1 in a
    column.

    Raises
    ------
    DataError
        If the source lacks a column named, or a cell is no number.
    """
    import pandas as pd

    missing = [theirs for theirs in entry["columns"].values() if theirs not in frame.columns]
    if missing:
        raise DataError(
            f"Data set '{name}': its file lacks the column(s) {', '.join(missing)} that the registry names."
        )
    try:
        table = {ours: pd.to_numeric(frame[theirs]).astype(float) for ours, theirs in entry["columns"].items()}
    except ValueError as error:
        raise DataError(f"Data set '{name}': its file holds a cell that is no number ({error}).") from error
    if "derive" in entry:
        derived = entry["derive"]
        other = {"tokens": "params", "params": "tokens"}[derived]
        table[derived] = table["flops"] / (6 * table[other])
    result = pd.DataFrame(table)
    if rule := entry.get("exclude"):
        out = result[rule["highest"]].nlargest(rule["count"]).index
        result[rule["column"]] = result.index.isin(out).astype(int)
    result.insert(0, "run", [f"{name} {i + 1}" for i in range(len(result))])
    order = ["run", "params", "tokens", "flops", "loss"]
    return result[[*order, *(column for column in result.columns if column not in order)]]


def fetch(name: str) -> Path:
    """Download the set `name` into the user's cache and verify it; a verified copy there is used as it is.

    Returns
    -------
    Path
        Where the file is. Shipped sets are there already.

    Raises
    ------
    UsageError
        If there is no such set.
    DataError
        If it cannot be downloaded (the message says where to put the file by hand), or what came, or lay
        there, is not the file registered.
    """
    _known(name)
    entry = _registry().get(name)
    if entry is None:
        return folder("data") / f"{name}.csv"
    path = cached_path(name)
    if path.is_file():
        _verify(name, path)
        return path
    import pooch
    from requests.exceptions import RequestException

    url = _url(entry)
    by_hand = (
        f"To place it by hand, get the file from a machine that can reach {url} and save it as {path}. "
        f"Its SHA-256 must be {entry['sha256']}."
    )
    pooch.get_logger().setLevel("ERROR")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        downloader = pooch.HTTPDownloader(progressbar=False, timeout=_TIMEOUT)
        pooch.retrieve(url, f"sha256:{entry['sha256']}", fname=path.name, path=path.parent, downloader=downloader)
    except (RequestException, OSError) as error:
        reason = "no connection" if "NameResolution" in str(error) else type(error).__name__
        raise DataError(f"Cannot download '{name}' ({reason}). {by_hand}") from error
    except ValueError as error:  # pooch's word for a wrong checksum; it keeps nothing
        raise DataError(f"What came for '{name}' is not the file registered: its SHA-256 differs. {by_hand}") from error
    return path


def cached_path(name: str) -> Path:
    """Where the set `name` is downloaded to; the folder may be moved by BAYES_SCALING_CACHE."""
    entry = _registry()[name]
    if moved := os.environ.get(CACHE_VARIABLE):
        base = Path(moved)
    else:
        import platformdirs

        base = platformdirs.user_cache_path("bayes_scaling") / "data"
    return base / f"{name}{Path(entry['file']).suffix}"


def _verify(name: str, path: Path) -> None:
    wanted = _registry()[name]["sha256"]
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wanted:
        raise DataError(
            f"{path} is not the file registered as '{name}': its SHA-256 is {found}, not {wanted}. Delete "
            f"it, then: "
            f"bayes-scaling data fetch {name}"
        )


def _known(name: str) -> None:
    if not is_dataset(name):
        raise unknown("data set", name, known_names(), "See 'bayes-scaling data'.")


def _url(entry: dict[str, Any]) -> str:
    return f"https://raw.githubusercontent.com/{entry['repository']}/{entry['commit']}/{entry['file']}"


def _shipped_names() -> list[str]:
    return sorted(path.stem for path in folder("data").glob("*.csv"))


@cache
def _registry() -> dict[str, dict[str, Any]]:
    return tomllib.loads((folder("data") / "registry.toml").read_text(encoding="utf-8"))


def _card_line(text: str, key: str) -> str:
    start = f"- {key}:"
    return next((line.removeprefix(start).strip() for line in text.splitlines() if line.startswith(start)), "")
