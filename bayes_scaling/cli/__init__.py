"""The command line: it parses, calls one function of the library, and prints.

`main` holds what every command shares: errors to messages and exit codes. Each command is one file in
`commands/`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
