"""A `Fleet`: posteriors of many data sets under one or several laws, in one DataTree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.base.errors import DataError, Notice, UsageError, unknown
from bayes_scaling.base.intervals import DEFAULT_CI
from bayes_scaling.base.provenance import envelope
from bayes_scaling.base.settings import Settings
from bayes_scaling.engine.fingerprint import priors_of
from bayes_scaling.engine.model import columns
from bayes_scaling.engine.program import program_for
from bayes_scaling.engine.tables import Table
from bayes_scaling.fleets.chunks import INTERVAL, METHODS
from bayes_scaling.inference.diagnostics import Diagnostics
from bayes_scaling.inference.fitting import collect
from bayes_scaling.inference.result import Fit
from bayes_scaling.inference.sampling import Draws
from bayes_scaling.laws.law import ScalingLaw
from bayes_scaling.laws.noise import Noise
from bayes_scaling.runs.runs import Runs

if TYPE_CHECKING:
    import pandas as pd
    from xarray import DataTree

# Of each member, one number or word: what the group `members` holds besides the parameters' interval values.
NUMBERS = (
    "verdict", "rhat_max", "ess_bulk_min", "ess_tail_min", "divergences", "ebfmi_min", "rhat_first", "method",
    "gradients", "searches", "seconds", "messages", "error", "log_evidence_ok",
)  # fmt: skip


# Of each parameter of each member, besides its interval value.
EACH = ("ess_bulk", "ess_tail", "rhat")


@dataclass(frozen=True, eq=False, repr=False)
class Fleet:
    """Posteriors of many data sets under one or several laws.

    Parameters
    ----------
    laws, noises
        The hypotheses, with the priors that were used; one noise model a law.
    runs
        By data set, in the order given: what each was learned from.
    unusable
        What is wrong with members that could not be sampled at all, by (data set, law).
    idata
        ArviZ `DataTree`, a group for each law and in it `posterior`, `sample_stats`, `unconstrained_posterior`, all
        with dims (dataset, chain, draw, ...), and `members`: interval values, ESS and R-hat, dims (dataset,
        parameter), and the verdict and what it rests on, dims (dataset,). Where draws are not kept, `members` alone.
    settings
        Draws and chains that were asked for.
    seconds
        Wall time by part.
    """

    laws: tuple[ScalingLaw, ...]
    noises: tuple[Noise, ...]
    runs: Mapping[str, Runs]
    unusable: Mapping[tuple[str, str], str]
    idata: DataTree
    settings: Settings
    ci_prob: float = DEFAULT_CI
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many members there are, those that failed included."""
        return sum(1 for _ in self.members())

    def members(self) -> Iterator[tuple[str, str]]:
        """(data set, law) of every member."""
        names = dict.fromkeys([*self.runs, *(name for name, _ in self.unusable)])
        yield from ((name, law.name) for name in names for law in self.laws)

    @property
    def diagnostics(self) -> pd.DataFrame:
        """One row a member: verdict, R-hat, ESS, divergences, whether it was redone and how, seconds."""
        import pandas as pd

        rows = [{"dataset": name, "law": law, **self._numbers(name, law)} for name, law in self.members()]
        frame = pd.DataFrame(rows).set_index(["dataset", "law"])
        return frame.drop(columns=["messages", "error", "log_evidence_ok"])

    @property
    def failed(self) -> dict[tuple[str, str], str]:
        """What went wrong with each member that failed, by (data set, law): its data, or its diagnostics."""
        found = {}
        for name, law in self.members():
            numbers = self._numbers(name, law)
            if numbers["verdict"] == "failed":
                found[name, law] = numbers["error"] or " ".join(numbers["messages"])
        return found

    @property
    def ok(self) -> bool:
        """Whether no member failed."""
        return not self.failed

    def _numbers(self, name: str, law: str) -> dict[str, Any]:
        """What is known of a member besides its parameters."""
        if (name, law) in self.unusable:
            blank = dict.fromkeys((*NUMBERS, "log_evidence", "log_evidence_sd"))
            told = {"verdict": "failed", "error": self.unusable[name, law], "messages": [], "redone": False}
            return {**blank, **told}
        held = self._held(law)
        i = held["position"][name]
        out = {key: held[key][i] for key in NUMBERS}
        out["messages"] = json.loads(out["messages"])
        value, sd = held["log_evidence"][i].tolist()
        out |= {"log_evidence": value, "log_evidence_sd": sd, "redone": out["method"] not in ("", METHODS[0])}
        return out

    def _held(self, law: str) -> dict[str, Any]:
        """The group `members` of a law as arrays, and where in it each data set is: looked up thousands of times."""
        if law not in self._cache:
            group = self.idata[f"{law}/members"]
            arrays: dict[str, Any] = {str(name): v.to_numpy() for name, v in group.data_vars.items()}
            arrays |= {name: arrays[name].tolist() for name in NUMBERS}
            names = {str(name): i for i, name in enumerate(group["dataset"].to_numpy())}
            parameters = [str(v) for v in group["parameter"].to_numpy()]
            self._cache[law] = {**arrays, "position": names, "parameters": parameters}
        return self._cache[law]

    _cache: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)

    def summary(self) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        """By data set, law and parameter: interval value, ESS and R-hat. Members without draws are left out."""
        out: dict[str, dict[str, Any]] = {}
        for name, law in self.members():
            parameters = self._parameters(name, law)
            if parameters is not None:
                out.setdefault(name, {})[law] = parameters
        return out

    def _parameters(self, name: str, law: str) -> dict[str, dict[str, float]] | None:
        if (name, law) in self.unusable:
            return None
        held = self._held(law)
        i = held["position"][name]
        if held["error"][i]:
            return None
        names = (*INTERVAL, *EACH)
        rows = np.column_stack([held["intervals"][i], *(held[k][i] for k in EACH)]).tolist()
        return {p: dict(zip(names, row, strict=True)) for p, row in zip(held["parameters"], rows, strict=True)}

    def to_frame(self) -> pd.DataFrame:
        """One row a data set, law and parameter: interval value, ESS, R-hat."""
        import pandas as pd

        rows = [
            {"dataset": name, "law": law, "parameter": parameter, **value}
            for name, laws in self.summary().items()
            for law, parameters in laws.items()
            for parameter, value in parameters.items()
        ]
        return pd.DataFrame(rows, columns=["dataset", "law", "parameter", *INTERVAL, *EACH])

    @property
    def notices(self) -> tuple[Notice, ...]:
        """One notice a data set that could not be used, and one a member whose diagnostics failed."""
        unusable = {name: text for (name, _), text in self.unusable.items()}
        failed = {member: text for member, text in self.failed.items() if member not in self.unusable}
        return (
            *(Notice("data_unusable", f"{name}: {text}") for name, text in unusable.items()),
            *(Notice("fit_failed", f"{name}, {law}: {message}") for (name, law), message in failed.items()),
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of `fleet`: `members[]`, each with interval values and diagnostics."""
        rows = []
        for name, law in self.members():
            numbers = self._numbers(name, law)
            error = numbers.pop("error") or None
            known = numbers.pop("log_evidence_ok")
            evidence = {k: numbers.pop(k) for k in ("log_evidence", "log_evidence_sd")}
            rows.append(
                {
                    "dataset": name,
                    "law": law,
                    "runs": {"n": self.runs[name].n if name in self.runs else None},
                    "parameters": self._parameters(name, law),
                    "diagnostics": numbers,
                    **evidence,
                    "log_evidence_ok": known if evidence["log_evidence"] is not None else None,
                    "error": error,
                }
            )
        body = {
            "laws": [law.name for law in self.laws],
            "noise": self.noises[0].name,
            "priors": {w.name: priors_of(w, n) for w, n in zip(self.laws, self.noises, strict=True)},
            "members": rows,
            "n_members": len(rows),
            "n_failed": len(self.failed),
            "n_redone": sum(bool(row["diagnostics"]["redone"]) for row in rows),
        }
        digest = hashlib.sha256("".join(runs.sha256 for runs in self.runs.values()).encode()).hexdigest()
        return envelope(
            "fleet",
            body,
            ci_prob=self.ci_prob,
            seconds=self.seconds,
            seed=self.settings.random_seed,
            runs_sha256=digest,
            warnings=self.notices,
        )

    def __getitem__(self, member: str | tuple[str, str]) -> Fit:
        """The `Fit` of a data set, or of (data set, law) where there are several laws.

        Raises
        ------
        UsageError
            If there is no such member, or the draws were not kept.
        DataError
            If it could not be sampled; the message says why.
        """
        name, law = member if isinstance(member, tuple) else (member, self.laws[0].name)
        if not isinstance(member, tuple) and len(self.laws) > 1:
            raise UsageError(f"Several laws were fitted: ask for fleet[{name!r}, 'LAW'].")
        if name not in dict(self.members()):
            raise unknown("data set", name, dict(self.members()), "")
        chosen = {w.name: (w, n) for w, n in zip(self.laws, self.noises, strict=True)}
        if law not in chosen:
            raise unknown("law", law, chosen, "")
        numbers = self._numbers(name, law)
        if numbers["error"]:
            raise DataError(f"{name}: {numbers['error']}")
        if "posterior" not in self.idata[law].children:
            raise UsageError("The draws were not kept: make the fleet with keep_draws=True.")
        return self._fit(name, *chosen[law], numbers)

    def _fit(self, name: str, law: ScalingLaw, noise: Noise, numbers: Mapping[str, Any]) -> Fit:
        runs, i = self.runs[name], self._held(law.name)["position"][name]
        frame = columns(law, noise, runs)
        program, table = program_for(law, noise, frame), Table.padded(frame)
        x = self.idata[f"{law.name}/unconstrained_posterior"]["x"].to_numpy()[i]
        stats = {str(k): v.to_numpy()[i] for k, v in self.idata[f"{law.name}/sample_stats"].data_vars.items()}
        prior, pointwise, values = program.describe(x.reshape(-1, x.shape[-1]), table)
        shape = x.shape[:2]
        verdict = Diagnostics(
            **{k: numbers[k] for k in ("verdict", "rhat_max", "ess_bulk_min", "ess_tail_min", "divergences")},
            ebfmi_min=numbers["ebfmi_min"],
            messages=tuple(numbers["messages"]),
            gradients=numbers["gradients"],
        )
        drawn = Draws(
            x=x,
            values={k: v.reshape(*shape, *v.shape[1:]) for k, v in values.items()},
            log_prior=prior.reshape(shape),
            log_likelihood=pointwise.reshape(*shape, pointwise.shape[-1]),
            stats=stats,
            modes=None,
            diagnostics=verdict,
            settings=self.settings,
        )
        idata = collect(drawn, law, noise, runs, frame, program.density.names, self.settings)
        return Fit(law, noise, runs, idata, verdict, self.settings, self.ci_prob, {"total": numbers["seconds"]})

    def __repr__(self) -> str:
        redone = int(self.diagnostics["redone"].sum())
        head = f"Fleet of {len(self)} posteriors: {len(self.runs)} data sets, {', '.join(w.name for w in self.laws)}"
        state = f"{len(self.failed)} failed, {redone} redone, {self.seconds.get('total', 0.0):.1f} s"
        return f"{head}\n{state}\n{self.diagnostics.to_string(max_rows=12)}"

    def _repr_html_(self) -> str:
        table = self.diagnostics.to_html(max_rows=20)
        return f"<b>{escape(str(self).splitlines()[0])}</b><p>{escape(str(self).splitlines()[1])}</p>{table}"
