"""The peers by name. Adding one: a module with a class Adapter(Base), and a line here.

SPDX-License-Identifier: MIT
"""
from adapters import aictl, limit, runit, s6

FLOOR = "limit-clone3"
PEERS = {
    FLOOR: limit.Adapter,
    "aictl": aictl.Adapter,
    "s6-ready": s6.Adapter,
    "runit": runit.Adapter,
}
