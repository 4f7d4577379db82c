from .averaging import validated_average as validated_average, weighed as weighed
from .backtesting import (
    AVERAGE as AVERAGE,
    Backtest as Backtest,
    averaged_draws as averaged_draws,
    backtest as backtest,
    judge as judge,
)
