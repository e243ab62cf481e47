"""Python loads this module by its name at its start; it loads what the environment asks for, which does its work so."""

import importlib
import os

_LOADED_BY = {
    "WATCHKEEP_UPLOAD_LIMIT": "watchkeep_pacing",
    "WATCHKEEP_APPLICATION_CREDENTIAL": "watchkeep_credential",
}

for _variable, _module in _LOADED_BY.items():
    if _variable in os.environ:
        importlib.import_module(_module)
