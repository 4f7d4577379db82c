"""The laws, wherever they lie: here in a wheel, in the top-level `models/` folder of a checkout."""

from bayes_scaling.base.locate import folder

__path__ = [str(folder("models"))]
