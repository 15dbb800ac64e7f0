"""supervisord: one process, logs into files.

SPDX-License-Identifier: MIT
"""
import glob

from adapters.base import Base, debian_version

HEAD = """[supervisord]
logfile={where}/supervisord.log
pidfile={where}/supervisord.pid
childlogdir={where}
nodaemon=true
minfds={files}
[unix_http_server]
file={where}/supervisord.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{where}/supervisord.sock
"""
PROGRAM = """[program:s{slot}]
command={command}
autorestart=true
startsecs=0
redirect_stderr=true
stdout_logfile={where}/{slot}.log
stdout_logfile_maxbytes={log_size}
stdout_logfile_backups=200
"""


class Adapter(Base):
    programs = ("supervisord", "supervisorctl")
    settle = 0.3
    slow = True
    captures = True
    policy = "always, at once (startsecs=0), when its loop of a second comes round"

    def version(self):
        return debian_version("supervisor")

    def configure(self):
        where = self.directory
        text = HEAD.format(where=where, files=max(1024, 5 * self.n))
        text += "".join(PROGRAM.format(slot=slot, command=" ".join(self.command(slot)), where=where,
                                       log_size=self.log_size)
                        for slot in self.slots())
        self.write("supervisord.conf", text)

    def start(self):
        self.run(["supervisord", "-c", self.path("supervisord.conf")])

    def status_command(self):
        return ["supervisorctl", "-c", self.path("supervisord.conf"), "status"]

    def log_paths(self, slot):
        old = glob.glob(self.path(f"{slot}.log.*"))
        return [*sorted(old, key=lambda path: -int(path.rpartition(".")[2])), self.path(f"{slot}.log")]
