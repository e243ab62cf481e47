"""Python loads this module by its name at its start; it loads what the environment asks for, which does its work so.

It also keeps duplicity from loading the libraries of backends that are no target of ours: it tries all it has, goes on
without those it cannot load, and these five were a seventh of what a small incremental took of the processor.
"""

import gc
import importlib
import os
import sys

_LOADED_BY = {
    "WATCHKEEP_UPLOAD_LIMIT": "watchkeep_pacing",
    "WATCHKEEP_APPLICATION_CREDENTIAL": "watchkeep_credential",
    "WATCHKEEP_RCLONE": "watchkeep_rclone",
    "WATCHKEEP_READS_ALL": "watchkeep_reading",
}
_NO_TARGETS = ("dpbxbackend", "idrivedbackend", "imapbackend", "slatebackend", "webdavbackend")

gc.set_threshold(20_000)  # as in `bkp`: of what it loads nothing is garbage

for _backend in _NO_TARGETS:  # None: importing it fails (The import system, 5.3.1)
    sys.modules[f"duplicity.backends.{_backend}"] = None  # type: ignore[assignment]  # modules only, says typeshed

for _variable, _module in _LOADED_BY.items():
    if _variable in os.environ:
        importlib.import_module(_module)
