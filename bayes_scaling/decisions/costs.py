"""What compute costs: FLOP as device-hours, money, or days on a cluster, and back.

A device does its peak times the utilisation (the share of the peak that goes into the model's own arithmetic), which
is not known before a run: it has a distribution, and so has every amount that is converted through it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.base.errors import InfeasibleError, UsageError
from bayes_scaling.base.units import format_count, format_flop, parse_count, parse_flop
from bayes_scaling.decisions.accelerators import Device, get_device
from bayes_scaling.laws.priors import Prior

FLOPS, HOURS, MONEY, DAYS = "FLOP", "device-hours", "money", "days"
TIMES = "times the largest run"

UTILISATION = Prior.make("beta", alpha=24, beta=36)
"""0.4, and 0.30 to 0.51 with probability 0.9: the range of large published training runs (PaLM 0.46, Llama 3 0.38 to
0.43: Chowdhery et al., 2022; Grattafiori et al., 2024)."""

TYPICAL_DRAWS = 1001

LARGEST_CLUSTER = 1e7
"""Devices. More than anybody has in one place; what would need more is not feasible."""

_FORMS = "write 1e24, 100PF-days, 10x (of the largest run), 50000device-hours, $2M (or 2M USD) or 30days"
_CURRENCIES = {"$": "USD", "usd": "USD", "€": "EUR", "eur": "EUR", "£": "GBP", "gbp": "GBP"}
_HOURS = re.compile(r"(.+?)\s*(?:gpu|tpu|device|chip|accelerator)[-\s]?(?:hours?|h)", re.IGNORECASE)
_DAYS = re.compile(r"(.+?)\s*(hours?|hrs?|h|days?|d|weeks?|w|months?|years?)", re.IGNORECASE)
_IN_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "m": 365.25 / 12, "y": 365.25}
_TIMES = re.compile(r"(.+?)\s*[x×]", re.IGNORECASE)
_SIGNED = re.compile(r"([$€£])\s*(.+)")
_WORDED = re.compile(r"(.+?)\s*(usd|eur|gbp)", re.IGNORECASE)


@dataclass(frozen=True)
class Amount:
    """An amount of compute in one of the units: FLOP, device-hours, money, days on the cluster, or times the compute of
    the largest run."""

    value: float
    unit: str = FLOPS
    currency: str = ""

    def __str__(self) -> str:
        if self.unit == FLOPS:
            return f"{format_flop(self.value)} FLOP"
        if self.unit == MONEY:
            return f"{format_count(self.value)} {self.currency}".rstrip()
        if self.unit == TIMES:
            return f"{self.value:g} times the compute of the largest run"
        return f"{format_count(self.value) if self.unit == HOURS else f'{self.value:g}'} {self.unit}"


def parse_amount(text: str | float | Amount) -> Amount:
    """A budget as people write it; a number is FLOP.

    Raises
    ------
    InfeasibleError
        For a budget of zero or less.
    UsageError
        If it is no amount of compute.
    """
    if isinstance(text, Amount):
        return text
    if not isinstance(text, str):
        return Amount(_read(str(text), lambda _: parse_flop(float(text)), text))
    written = text.strip()
    if match := _SIGNED.fullmatch(written):
        return Amount(_read(match[2], parse_count, text), MONEY, _CURRENCIES[match[1]])
    if match := _WORDED.fullmatch(written):
        return Amount(_read(match[1], parse_count, text), MONEY, _CURRENCIES[match[2].lower()])
    if match := _HOURS.fullmatch(written):
        return Amount(_read(match[1], parse_count, text), HOURS)
    days = parse_days(written)
    if days is not None:
        return Amount(days, DAYS)
    if match := _TIMES.fullmatch(written):
        return Amount(_read(match[1], parse_count, text), TIMES)
    return Amount(_read(written, parse_flop, text))


def parse_days(text: str) -> float | None:
    """A duration in days: 720h, 30days, 12weeks, 1month; None where the text is none.

    Raises
    ------
    InfeasibleError
        For a duration of zero or less.
    UsageError
        If what stands before the unit is no number.
    """
    match = _DAYS.fullmatch(text.strip())
    if match is None or re.search("pf|flop", text, re.IGNORECASE):
        return None
    return _read(match[1], parse_count, text) * _IN_DAYS[match[2][0].lower()]


def absolute(amount: Amount, largest: float) -> Amount:
    """The amount, in FLOP where it was stated as times the `largest` run's compute, FLOP."""
    return Amount(amount.value * largest) if amount.unit == TIMES else amount


def typical_flops(budget: float | str | Amount, cost: CostModel | None, largest: float, random_seed: int = 0) -> float:
    """The FLOP that a budget buys, the median where that is uncertain; `largest` is the largest run's compute, FLOP.

    Raises
    ------
    InfeasibleError
        If it is not above zero, or its price, device or number of devices is missing.
    UsageError
        If it is no amount of compute.
    """
    rates = draw_rates(cost or CostModel(), TYPICAL_DRAWS, random_seed)
    return float(np.median(rates.flops(absolute(parse_amount(budget), largest))))


def _read(number: str, reader: Any, text: Any) -> float:
    try:
        return float(reader(number))
    except (ValueError, TypeError) as error:
        reason = str(error)
    if reason.startswith(("zero", "negative")):
        raise InfeasibleError(f"A budget of {text} trains nothing: it must be above 0, such as 1e24 FLOP.")
    raise UsageError(f"Budget '{text}' cannot be used: {reason.partition(';')[0]}; {_FORMS}.")


@dataclass(frozen=True)
class CostModel:
    """How compute is paid for.

    Parameters
    ----------
    device
        The accelerator, or its name; without one, costs are in FLOP.
    utilisation
        Share of the device's peak that goes into 6 N D: a number, or a prior over (0, 1).
    price
        Money for one device-hour; None where unknown.
    devices
        How many there are; None where unknown.
    failed
        Share of device time lost to runs that fail and to restarts.
    deadline_days
        By when the run must end, in days; None without a deadline.

    Raises
    ------
    InfeasibleError
        For a price, a number of devices, a deadline or a share that cannot be.
    UsageError
        Where something needs a device and there is none.
    """

    device: Device | str | None = None
    utilisation: float | Prior = UTILISATION
    price: float | None = None
    devices: float | None = None
    failed: float = 0.0
    deadline_days: float | None = None
    currency: str = "USD"

    def __post_init__(self) -> None:
        if isinstance(self.device, str):
            object.__setattr__(self, "device", get_device(self.device))
        for name, value, example in (
            ("price of a device-hour", self.price, "2.5"),
            ("number of devices", self.devices, "1024"),
            ("deadline in days", self.deadline_days, "90"),
        ):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InfeasibleError(f"The {name} is {value:g}: it must be above 0, such as {example}.")
        if not 0 <= self.failed < 1:
            raise InfeasibleError(
                f"The allowance for failed runs is {self.failed:g}: it must be at least 0 and below 1, such as 0.1."
            )
        if isinstance(self.utilisation, Prior):
            low, high = self.utilisation.interval(0.999)
        else:
            low = high = float(self.utilisation)
        if not (low > 0 and high <= 1):
            raise InfeasibleError(
                f"The utilisation {self.utilisation} is not possible: it lies above 0 and up to 1, such as 0.4 or "
                "'beta(alpha=24, beta=36)'."
            )
        needs = [n for n, v in (("price", self.price), ("devices-count", self.devices)) if v is not None]
        if self.deadline_days is not None:
            needs.append("deadline")
        if needs and self.device is None:
            raise UsageError(f"--{needs[0]} needs a device: --device H100.")

    @property
    def hardware(self) -> Device | None:
        """The device, once its name has been looked up; None without one."""
        return None if self.device is None or isinstance(self.device, str) else self.device

    @property
    def unit(self) -> str:
        """What costs are stated in: money where there is a price, else device-hours, else FLOP."""
        if self.price is not None:
            return self.currency
        return FLOPS if self.device is None else HOURS

    def to_dict(self) -> dict[str, Any]:
        """`cost_model` of the JSON of `decide`."""
        d = self.hardware
        return {
            "unit": self.unit,
            "device": None if d is None else d.name,
            "precision": None if d is None else d.precision,
            "peak_flops": None if d is None else d.peak_flops,
            "utilisation": None if d is None else str(self.utilisation),
            "price": self.price,
            "devices": self.devices,
            "failed": self.failed,
            "deadline_days": self.deadline_days,
        }


@dataclass(frozen=True, eq=False)
class Rates:
    """A cost model with its uncertainty drawn.

    Parameters
    ----------
    per_hour
        FLOP that one device puts into the model in an hour, failed runs allowed for, dims (draw,); None without a
        device.
    """

    model: CostModel
    per_hour: np.ndarray | None

    def _rate(self, what: str) -> np.ndarray:
        if self.per_hour is None:
            raise InfeasibleError(f"{what} needs to know the device: --device H100 (see 'bayes-scaling data devices').")
        return self.per_hour

    def flops(self, amount: Amount) -> np.ndarray:
        """FLOP that an amount buys: dims () where it is FLOP, else (draw,).

        Raises
        ------
        InfeasibleError
            If the price, the device or the number of devices that it takes is missing.
        """
        m = self.model
        if amount.unit == FLOPS:
            return np.asarray(amount.value)
        rate = self._rate(f"A budget of {amount}")
        if amount.unit == HOURS:
            return amount.value * rate
        if amount.unit == MONEY:
            if m.price is None:
                raise InfeasibleError(
                    f"A budget of {amount} needs the price of a device-hour: --price 2.5, or state it in "
                    "FLOP or device-hours."
                )
            if amount.currency != m.currency:
                raise UsageError(f"The budget is in {amount.currency} and the price in {m.currency}: use one currency.")
            return amount.value / m.price * rate
        if m.devices is None:
            raise InfeasibleError(f"A budget of {amount} needs the number of devices: --devices-count 1024.")
        return amount.value * 24 * m.devices * rate

    def hours(self, flops: Any) -> np.ndarray:
        """Device-hours, dims (draw,) or as `flops`."""
        hours: np.ndarray = np.asarray(flops, float) / self._rate("A cost in device-hours")
        return hours

    def cost(self, flops: Any) -> np.ndarray:
        """Cost of FLOP in the model's unit, dims (draw,) where a device is known, else as `flops`."""
        if self.per_hour is None:
            return np.asarray(flops, float)
        hours = self.hours(flops)
        return hours if self.model.price is None else hours * self.model.price

    def days(self, flops: Any) -> np.ndarray | None:
        """Days on the cluster, dims (draw,); None where the cluster is not known."""
        if self.per_hour is None or self.model.devices is None:
            return None
        return self.hours(flops) / (24 * self.model.devices)

    def by_deadline(self) -> np.ndarray | None:
        """FLOP that the cluster does by the deadline, dims (draw,); None where either is not known."""
        m = self.model
        if self.per_hour is None or m.devices is None or m.deadline_days is None:
            return None
        return m.deadline_days * 24 * m.devices * self.per_hour

    def devices_needed(self, flops: Any) -> float | None:
        """Median number of devices that meet the deadline; None without one."""
        if self.per_hour is None or self.model.deadline_days is None:
            return None
        return float(np.median(self.hours(flops))) / (24 * self.model.deadline_days)

    def check_deadline(self, flops: Any, what: str) -> None:
        """Refuse what cannot be done in time.

        Raises
        ------
        InfeasibleError
            If the cluster is more likely than not to be late, or no cluster could be on time.
        """
        needed = self.devices_needed(flops)
        if needed is None:
            return
        m, days = self.model, self.days(flops)
        if days is not None and np.median(days) > (m.deadline_days or 0):
            able = self.by_deadline()
            assert able is not None
            raise InfeasibleError(
                f"The deadline of {m.deadline_days:g} days binds: {what} takes {format_count(float(np.median(days)))} "
                f"days on {m.devices:g} {m.hardware.name if m.hardware else ''}. Feasible: "
                f"{format_flop(float(np.median(able)))} FLOP by then, or {format_count(np.ceil(needed))} devices."
            )
        if needed > LARGEST_CLUSTER:
            late = needed * (m.deadline_days or 0) / LARGEST_CLUSTER
            raise InfeasibleError(
                f"The deadline of {m.deadline_days:g} days binds: {what} would take {format_count(needed)} devices, "
                f"which no cluster has. Feasible: {format_count(late)} days on {format_count(LARGEST_CLUSTER)} devices."
            )


def draw_rates(model: CostModel, draws: int, random_seed: int = 0) -> Rates:
    """The cost model's uncertainty as equally likely draws, spread evenly over its distribution."""
    if model.hardware is None:
        return Rates(model, None)
    if isinstance(model.utilisation, Prior):
        order = np.random.default_rng([random_seed, 401]).permutation(draws)
        share = model.utilisation.dist.ppf((order + 0.5) / draws)
    else:
        share = np.full(draws, float(model.utilisation))
    return Rates(model, model.hardware.peak_flops * share * 3600 * (1 - model.failed))


def parse_price(text: str | float | None, budget: Any = None) -> tuple[float | None, str]:
    """The price of a device-hour and its currency: of the text, else of the budget, else USD.

    Raises
    ------
    InfeasibleError
        For a price of zero or less.
    UsageError
        If it is no amount of money.
    """
    amount = parse_amount(budget) if budget is not None else None
    currency = amount.currency if amount is not None and amount.currency else "USD"
    if text is None:
        return None, currency
    written = str(text).strip()
    if match := _SIGNED.fullmatch(written):
        written, currency = match[2], _CURRENCIES[match[1]]
    elif match := _WORDED.fullmatch(written):
        written, currency = match[1], _CURRENCIES[match[2].lower()]
    try:
        value = float(written)
    except ValueError:
        raise UsageError(f"The price '{text}' is no amount of money: write 2.5, $2.5 or 2.5EUR.") from None
    if not (np.isfinite(value) and value > 0):
        raise InfeasibleError(f"The price of a device-hour is {text}: it must be above 0, such as 2.5.")
    return value, currency
