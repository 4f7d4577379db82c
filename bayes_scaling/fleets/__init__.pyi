from .clusters import cluster as cluster
from .fitting import fleet as fleet
from .result import Fleet as Fleet
from .storage import load_fleet as load_fleet, save_fleet as save_fleet
