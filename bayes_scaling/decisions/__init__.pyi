from .accelerators import get_device as get_device
from .costs import CostModel as CostModel, FLOPS as FLOPS, UTILISATION as UTILISATION, parse_price as parse_price
from .deciding import answer as answer, decide as decide
from .limits import Limits as Limits
from .request import Request as Request, ask as ask
from .result import Decision as Decision, cost_words as cost_words
