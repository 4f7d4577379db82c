from .main import entry as entry
