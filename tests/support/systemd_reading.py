"""Read the probe of systemd's units once, as a user without privileges, as the agent is one; prints JSON."""

import json
import os
import sys

from probes.systemd_units import Parameters, read_units
from tests.unit.probes.visiting import Reader

NOBODY = 65534

os.setgroups([])
os.setresgid(NOBODY, NOBODY, NOBODY)
os.setresuid(NOBODY, NOBODY, NOBODY)
reader = Reader(read_units, parameters=Parameters(**json.loads(sys.argv[1])))
sys.stdout.write(json.dumps({"values": reader.read(), "failures": reader.failures}))
