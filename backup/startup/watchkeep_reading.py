"""Has duplicity, which was lent the right to read every file, use it as its own and lend it to nobody.

What it starts (gpg, rclone) would inherit it as an ambient right (capabilities(7)). access(2), by which duplicity asks
what it can read, answers for a user without rights of its own, and what it says no to is left out; asked so, the kernel
answers as when the file is opened.
"""

import ctypes
import os
from functools import partial

_PR_CAP_AMBIENT, _CLEAR_ALL = 47, 4

if ctypes.CDLL(None, use_errno=True).prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0) != 0:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
os.access = partial(os.access, effective_ids=True)
