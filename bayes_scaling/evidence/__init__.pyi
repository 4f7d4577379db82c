from .bridge import log_evidence_of as log_evidence_of
from .comparing import compare as compare, weigh as weigh
from .result import Evidence as Evidence
