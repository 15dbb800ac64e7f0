"""HAProxy before the same processes that aictl supervises: one thread, connections to them kept and
shared, nothing delayed (`option http-no-delay`). It adds no field and writes no log.

SPDX-License-Identifier: MIT
"""
import resource

from adapters.base import Base, debian_version

CONFIG = """global
    nbthread 1
    maxconn {maxconn}
    tune.bufsize {bufsize}
defaults
    mode {mode}
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    balance roundrobin
{options}
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
{servers}
"""
HTTP = ("timeout http-keep-alive 75s", "option http-no-delay", "http-reuse always")


class Adapter(Base):
    programs = ("haproxy",)
    text = ""

    def version(self):
        return debian_version("haproxy")

    def configure_before(self, ports, port, mode, bufsize, more=()):
        """What listens on `port` passes on to all `ports`. more: lines of the defaults."""
        most = (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200) // 2
        servers = "\n".join(f"    server s{i} 127.0.0.1:{p}" for i, p in enumerate(ports))
        options = [f"    {line}" for line in (*(HTTP if mode == "http" else ()), *more)]
        self.text = CONFIG.format(maxconn=min(most, 50000), bufsize=bufsize, mode=mode, port=port,
                                  options="\n".join(options), servers=servers)
        self.write("haproxy.cfg", self.text)

    def start(self):
        self.run(["haproxy", "-db", "-f", self.path("haproxy.cfg")])
