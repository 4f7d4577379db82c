"""Options' values: from a word of the command line to what the library takes, or a `UsageError`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from bayes_scaling.base.errors import UsageError, nearest
from bayes_scaling.base.units import parse_count, parse_flop

AVERAGE = "average"

_AT = "Write for example --at params=70e9,tokens=1.4e12."
_NAMES = {
    "N": "params",
    "n_params": "params",
    "D": "tokens",
    "n_tokens": "tokens",
    "C": "flops",
    "compute": "flops",
}


def number(option: str) -> Callable[[str], float]:
    """Reads a number."""

    def read(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise UsageError(f"{option} takes a number; '{text}' is none.") from None

    return read


def count(option: str) -> Callable[[str], float]:
    """Reads a count: 7B, 1.4T, 1e9."""

    def read(text: str) -> float:
        try:
            return parse_count(text)
        except ValueError as error:
            raise UsageError(f"{option} '{text}' cannot be used: {error}.") from None

    return read


def whole(option: str, least: int) -> Callable[[str], int]:
    """Reads a whole number of at least `least`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise UsageError(f"{option} takes a whole number; '{text}' is none.") from None
        if not least <= value < 2**32:
            raise UsageError(f"{option} {value} is out of range: give a whole number of at least {least}.")
        return value

    return read


def probability(text: str) -> float:
    """A number between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"--ci takes a probability; '{text}' is none. Write --ci 0.9 for 90 %.") from None
    if not 0 < value < 1:
        raise UsageError(f"--ci {text} must lie between 0 and 1. Write --ci 0.9 for 90 %.")
    return value


def loss(text: str) -> float:
    """A loss, as people write it."""
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"--target-loss takes a loss in nats per token; '{text}' is none. Write 2.05.") from None
    if not 0 < value <= 30:
        raise UsageError(f"--target-loss {text} is no plausible loss: give nats per token, above 0 and up to 30.")
    return value


def law_names(text: str) -> tuple[str, ...]:
    """One name or several with commas between, each known and named once; `average` stands alone."""
    from bayes_scaling.laws.registry import get_law

    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise UsageError("--law takes a name. See 'bayes-scaling laws'.")
    if AVERAGE in names and len(names) > 1:
        raise UsageError(f"'{AVERAGE}' is no law among others: name the laws to average with --laws A,B.")
    for name in names:
        if name != AVERAGE:
            get_law(name)
        if names.count(name) > 1:
            raise UsageError(f"Law '{name}' is named twice; name each law once.")
    return names


def noise_name(text: str) -> str:
    """The name of a noise model."""
    from bayes_scaling.laws.noise import get_noise

    return get_noise(text).name


def column_map(items: Iterable[str] | None) -> dict[str, str]:
    """`["loss=eval/c4", "flops="]` as `{"loss": "eval/c4", "flops": ""}`."""
    found: dict[str, str] = {}
    for item in items or ():
        role, equals, column = item.partition("=")
        role = role.strip()
        if not equals or not role:
            raise UsageError(f"Cannot read --map '{item}'. Write --map loss=eval/c4_loss; --map flops= leaves it out.")
        if role in found:
            raise UsageError(f"--map names '{role}' twice; give it once.")
        found[role] = column.strip()
    return found


def query(text: str, inputs: Sequence[str], factor: float | None = 1.0) -> dict[str, float]:
    """One `--at`: params, tokens, and whatever else of `inputs` the laws need.

    Any two of params, tokens and flops give the third, by C = 6·N·D times `factor`, as the runs' compute is counted.
    All three may be given where they agree, which is not asked before the factor is known.
    """
    given: dict[str, float] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (part.strip() for part in item.partition("="))
        name = _NAMES.get(name, name)
        if not equals:
            raise UsageError(f"Cannot read '{item}' in --at '{text}'. {_AT}")
        if name in given:
            raise UsageError(f"--at '{text}' gives {name} twice. {_AT}")
        known = {"params", "tokens", "flops", *inputs}
        if name not in known:
            near = nearest(name, known)
            guess = f" Did you mean '{near}'?" if near else ""
            raise UsageError(
                f"--at '{text}': '{name}' is not asked for.{guess} Known: {', '.join(sorted(known))}. {_AT}"
            )
        try:
            given[name] = parse_flop(value) if name == "flops" else parse_count(value)
        except ValueError as error:
            raise UsageError(f"--at '{text}': {name}={value} cannot be used: {error}.") from None
    sizes = _sizes(given, text, factor)
    missing = sorted(set(inputs) - set(sizes) - set(given))
    if missing:
        raise UsageError(f"--at '{text}' lacks {', '.join(missing)}, which the law needs.")
    return {**{k: v for k, v in given.items() if k != "flops"}, **sizes}


# Counts of compute further apart than this differ by a unit, not by what they count.
UNIT = 30.0


def _sizes(given: Mapping[str, float], text: str, factor: float | None) -> dict[str, float]:
    n, d, c = (given.get(k) for k in ("params", "tokens", "flops"))
    times = 6 * (1.0 if factor is None else factor)
    # Before the runs are read only what no table could explain is refused.
    apart = 0.05 if factor is not None else UNIT - 1
    if n and d and c and not 1 / (1 + apart) <= c / (times * n * d) <= 1 + apart:
        counted = f"{times:.4g}·params·tokens ({times * n * d:.3g})"
        raise UsageError(f"--at '{text}': flops are not {counted}. Give two of the three.")
    if n and d:
        return {"params": n, "tokens": d}
    if n and c:
        return {"params": n, "tokens": c / (times * n)}
    if d and c:
        return {"params": c / (times * d), "tokens": d}
    raise UsageError(f"--at '{text}' needs two of params, tokens and flops. {_AT}")
