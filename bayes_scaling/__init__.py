"""bayes_scaling: neural scaling laws as probabilistic models.

The public names stand in `__init__.pyi` and are imported when first used, so that `import bayes_scaling` costs nothing
and the quick commands stay quick. No wing has the name of a public function: importing it would put the wing in the
function's place.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
