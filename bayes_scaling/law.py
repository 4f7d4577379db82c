"""What a law's file is written in: kept under this name for the law files that other people have.

The definitions live in `bayes_scaling.laws.law`.
"""

from bayes_scaling.laws.law import CheckPoint, Direct, Parameter, Published, Scale, ScalingLaw

__all__ = ["CheckPoint", "Direct", "Parameter", "Published", "Scale", "ScalingLaw"]
