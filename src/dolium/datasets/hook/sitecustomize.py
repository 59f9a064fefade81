"""Runs at the start of every Python below `dolium galaxy run`, and of its jobs; see `dolium.datasets.startup`.

Among them are the Pythons of tools, in which there is no dolium, and which may be very old: there nothing happens. The
`sitecustomize` that this one stands in front of, if there is one, runs as well.
"""

import os
import sys

try:
    from dolium.datasets import startup
except ImportError as error:
    if not (getattr(error, "name", None) or "dolium").startswith("dolium"):
        raise
else:
    startup.install()

try:
    import importlib.machinery
    import importlib.util
except ImportError:  # Python 2
    pass
else:
    here = os.path.realpath(os.path.dirname(__file__))
    rest = [one for one in sys.path if os.path.realpath(one or ".") != here]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if found is not None and found.loader is not None:
        module = importlib.util.module_from_spec(found)
        sys.modules["sitecustomize"] = module
        found.loader.exec_module(module)
