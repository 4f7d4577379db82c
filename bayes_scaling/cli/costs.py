"""What compute costs, and budgets in any unit, from options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bayes_scaling.base.errors import InfeasibleError, UsageError
from bayes_scaling.cli import values

if TYPE_CHECKING:
    from bayes_scaling.decisions.costs import CostModel

FORMS = (
    "1e24, 100PF-days, 10x (of the largest run), 50000device-hours, '$2M', '2M EUR', or 30days, 720h, 1month of the "
    "cluster"
)


def add_costs(parser: argparse.ArgumentParser, *, deadline: bool = False) -> None:
    """The options that say what compute costs; `deadline` adds by when a run must end."""
    group = parser.add_argument_group("costs")
    group.add_argument("--device", metavar="NAME", help="accelerator, such as H100; see 'bayes-scaling data devices'")
    group.add_argument("--precision", metavar="NAME", help="bf16, fp16 or fp8 (default: bf16)")
    group.add_argument("--devices-file", metavar="FILE", help="CSV of your own: device, precision, peak_flops")
    group.add_argument(
        "--devices-count", type=values.number("--devices-count"), metavar="N", help="devices in the cluster"
    )
    group.add_argument("--price", metavar="MONEY", help="of one device-hour: 2.5, '$2.5' or 2.5EUR")
    group.add_argument(
        "--utilisation",
        metavar="SHARE",
        help="share of the peak that training reaches: 0.4, or a prior (default: beta(alpha=24, beta=36))",
    )
    group.add_argument(
        "--failed",
        type=values.number("--failed"),
        default=0.0,
        metavar="SHARE",
        help="share of device time lost (default: 0)",
    )
    if deadline:
        group.add_argument(
            "--deadline", metavar="DAYS", help="by when the run must end: 90, 90days, 12weeks, 720h or 3months"
        )


def cost_of(arguments: argparse.Namespace, budget: str | None) -> CostModel:
    """The cost model of these options; the price is in the budget's currency where it names none."""
    from bayes_scaling.decisions.accelerators import get_device
    from bayes_scaling.decisions.costs import UTILISATION, CostModel, parse_price
    from bayes_scaling.laws.priors import Prior

    price, currency = parse_price(arguments.price, budget)
    share: Any = arguments.utilisation
    if share is None:
        share = UTILISATION
    else:
        share = Prior.parse(share) if "(" in share else values.number("--utilisation")(share)
    device = None
    if arguments.device is not None:
        device = get_device(arguments.device, arguments.precision, arguments.devices_file)
    asked = getattr(arguments, "deadline", None)
    deadline = None if asked is None else _days(asked)
    return CostModel(device, share, price, arguments.devices_count, arguments.failed, deadline, currency)


def _days(text: str) -> float:
    from bayes_scaling.decisions.costs import parse_days

    found = parse_days(text)
    return values.number("--deadline")(text) if found is None else found


def in_money(budgets: Sequence[str] | None) -> str | None:
    """The first of several budgets that is in money: its currency is the price's."""
    from bayes_scaling.decisions.costs import parse_amount

    return next((b for b in budgets or () if parse_amount(b).currency), None)


def amount(option: str, *, strict: bool = False) -> Any:
    """Reads an amount of compute, which stays as it was written; `strict` calls nothing at all a slip of the pen."""

    def read(text: str) -> str:
        from bayes_scaling.decisions.costs import parse_amount

        try:
            parse_amount(text)
        except InfeasibleError as error:
            if strict:
                raise UsageError(f"Budget '{text}' cannot be used with {option}: {error}") from None
            raise
        except UsageError as error:
            raise UsageError(f"{option}: {error}") from None
        return text

    return read
