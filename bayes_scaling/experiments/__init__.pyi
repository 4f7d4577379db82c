from .result import Suggestions as Suggestions
from .suggesting import suggest as suggest
