"""The peers by name. Adding one: a module with a class Adapter(Base), and a line here.

SPDX-License-Identifier: MIT
"""
from adapters import aictl, haproxy, limit, pm2, runit, s6, supervisord

FLOOR = "limit-clone3"     # of a restart
FLOOR_LOG = "limit-log"    # of many starts at once, standard output captured
PEERS = {
    "limit-vfork": limit.Vfork,
    FLOOR: limit.Clone3,
    FLOOR_LOG: limit.Log,
    "limit-splice": limit.Splice,
    "limit-coalesce": limit.Coalesce,
    "aictl": aictl.Adapter,
    "aictl-services": aictl.Services,
    "s6-ready": s6.Ready,
    "s6-log": s6.Log,
    "runit": runit.Adapter,
    "runit-log": runit.Log,
    "supervisord": supervisord.Adapter,
    "pm2": pm2.Adapter,
    "haproxy": haproxy.Adapter,
}
OTHERS = ("limit-splice", "limit-coalesce", "haproxy")  # pumps of logs, a proxy: they start nothing
FLOORS = tuple(name for name in PEERS if name.startswith("limit-"))
# For metrics in which all peers run at once: of each kind one.
SIDE_BY_SIDE = (FLOOR, "aictl", "s6-ready", "runit", "supervisord", "pm2")
