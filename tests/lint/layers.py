#!/usr/bin/python3
"""layers: who may include what. lib knows nobody; the CLI never sees the daemon; what decides is
pure (no event loop); aictld links libc only, the logger zstd besides, through
lib/logzst alone.

SPDX-License-Identifier: MIT
"""
import re

import lintlib

LIBS = r"(uv\.h|yaml\.h|curl/|sqlite3\.h|cjson/|llhttp)"
PURE = ("plan", "policy", "rollout", "canary", "judge", "stranger", "scaler", "deps", "task", "sm", "replica_sm", "health", "probe_expect", "probe_history", "probe_grpc", "probe_progress", "autoscale", "demand")
# (who, which includes are forbidden, why)
RULES = [
    (r"^lib/", r"^(daemon|cli|plugins|supervisor|controller|logger|wire)/", "lib includes nothing above it"),
    (r"^cli/", r"^(\.\./)?(daemon|supervisor|controller|logger|wire)/", "the CLI never includes daemon/"),
    (r"^cli/", r"^(uv\.h|curl/|sqlite3\.h)", "the CLI links neither libuv nor libcurl nor SQLite"),
    (r"^daemon/", r"^cli/", "the daemon never includes cli/"),
    (r"^(?!lib/logzst\.c$)", r"^zstd\.h", "zstd is behind lib/logzst"),
    (r"^(?!lib/loggrep\.c$)", r"^pcre2\.h", "PCRE2 is behind lib/loggrep, which aictld and the logger do not link"),
    (r"^daemon/(supervisor|logger|wire)/", r"^lib/loggrep\.h", "aictld and the logger link no PCRE2"),
    (r"^plugins/", r"^(daemon|cli|lib)/", "a plugin includes <aictl/plugin.h> only"),
    (r"(^|/)(%s)\.[ch]$" % "|".join(PURE), r"^uv\.h", "what decides is pure: no event loop"),
    (r"^daemon/(supervisor|logger|wire)/", "^" + LIBS, "aictld, the logger and the wire link libc only"),
    (r"^daemon/supervisor/", r"^(\.\./)?(daemon/)?(controller|logger|gateway)/", "aictld includes no helper"),
    (r"^daemon/logger/", r"^(\.\./)?(daemon/)?(controller|supervisor|gateway)/", "the logger includes no other process"),
    (r"^daemon/gateway/", r"^(\.\./)?(daemon/)?(controller|supervisor|logger)/", "the gateway includes no other process"),
    (r"^daemon/gateway/", r"^(yaml\.h|curl/|sqlite3\.h|cjson/)", "the gateway links libuv and llhttp only"),
    (r"^daemon/gateway/(head|body|rewrite)\.[ch]$", r"^uv\.h", "what understands HTTP is pure: no event loop"),
    (r"^daemon/controller/", r"^(\.\./)?(daemon/)?(supervisor|logger|gateway)/", "the controller includes no other process"),
]
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.M)


def check(tree):
    found = []
    for path in tree.files("*.c", "*.h", "*.def"):
        if path.startswith("tests/"):
            continue
        text = lintlib.strip_c(tree.text(path), keep_strings=True)
        for m in INCLUDE.finditer(text):
            for who, what, why in RULES:
                if re.search(who, path) and re.search(what, m.group(1)):
                    line = lintlib.line_of(text, m.start())
                    found.append(lintlib.Finding(path, line, m.group(1), "includes %s: %s" % (m.group(1), why)))
    return found


PLANTED = {
    "lib/a.c": '#include "daemon/wire/wire.h"\n#include <zstd.h>\n#include <pcre2.h>\n',
    "cli/a.c": '#include "lib/err.h"\n#include "daemon/wire/wire.h"\n#include <uv.h>\n',
    "daemon/controller/plan.c": "#include <uv.h>\n",
    "daemon/controller/health.h": "# include <uv.h>\n",
    "daemon/supervisor/a.c": "#include <sqlite3.h>\n#include <cjson/cJSON.h>\n",
    "daemon/gateway/head.c": '#include <uv.h>\n#include <cjson/cJSON.h>\n#include "daemon/controller/plan.h"\n',
    "daemon/logger/a.h": '#include <curl/curl.h>\n#include "daemon/supervisor/table.h"\n#include "lib/loggrep.h"\n',
}
EXPECTED = [r"lib/a.c:1", r"lib/a.c:2", r"lib/a.c:3", r"cli/a.c:2", r"cli/a.c:3", r"plan.c:1", r"health.h:1", r"supervisor/a.c:1", r"supervisor/a.c:2",
            r"logger/a.h:1", r"logger/a.h:2", r"logger/a.h:3"]
CLEAN = {
    "lib/logzst.c": "#include <zstd.h>\n",
    "lib/loggrep.c": "#include <pcre2.h>\n",
    "lib/http_server.c": '#include <uv.h>\n#include "lib/buf.h"\n',
    "cli/a.c": '#include "lib/err.h"\n/* #include <uv.h> */\n',
    "daemon/controller/loop.c": '#include <uv.h>\n#include "daemon/wire/wire.h"\n',
    "daemon/controller/plan.c": '#include "lib/manifest.h"\n',
}

if __name__ == "__main__":
    lintlib.main("layers", check, PLANTED, EXPECTED, CLEAN)
