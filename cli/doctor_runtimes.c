/* doctor_runtimes: see doctor_runtimes.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/doctor_runtimes.h"

#include <string.h>
#include <sys/stat.h>

#include "cli/doctor.h"
#include "cli/js.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define DEFAULT_SOCKET "/var/run/docker.sock" /* Docker's own, and podman-docker's */
#define UNIX_SCHEME "unix://"

static void take(struct doctor_finding *f, enum doctor_level level, struct buf *text)
{
	f->level = level;
	mem_free(f->found);
	f->found = x_check(buf_take(text));
}

static const char *advice_for(const char *error)
{
	if (strstr(error, "ermission denied") || strstr(error, "not permitted"))
		return "give the engine's socket a group that may write, but root's: aictl-runtime "
		       "gets it by itself (podman: SocketGroup= and SocketMode=0660 in "
		       "podman.socket; for a socket of your own chgrp and chmod 0660)";
	if (strstr(error, "aictl-rt does not exist"))
		return "useradd --system --user-group aictl-rt, then restart aictld";
	if (strstr(error, "not installed"))
		return "install it beside the other programs of aictl (libexec/aictl)";
	if (strstr(error, "plugin"))
		return "see aictl plugins, and aictld --plugin-dir";
	return "start the engine (systemctl start docker), or correct aictld --runtime "
	       "NAME=unix:///PATH";
}

void doctor_runtimes_engines(const struct doctor_machine *m, struct doctor_finding *f)
{
	const cJSON *list = js_get(m->daemon, "runtimes"), *r;
	struct buf out = {0};

	f->level = DOCTOR_OK;
	cJSON_ArrayForEach (r, list) {
		const char *error = js_str(r, "error", "no answer yet");
		bool reachable = js_bool(r, "reachable");

		buf_printf(&out, "%s%s: ", out.len ? "; " : "", js_str(r, "name", "?"));
		if (reachable)
			buf_printf(&out, "%s answers", js_str(r, "engine", "the engine"));
		else
			buf_printf(&out, "%s: %s", js_str(r, "state", "unreachable"), error);
		if (reachable || f->level == DOCTOR_PROBLEM)
			continue;
		f->level = DOCTOR_PROBLEM;
		f->costs = "its containers run on, but nobody sees, starts or ends them";
		f->advice = advice_for(error);
	}
	if (out.len == 0)
		buf_str(&out, m->daemon ? "none (aictld --runtime docker): services are processes"
					: "no daemon");
	take(f, f->level, &out);
}

/* Below the root; NULL: it is no Unix socket. Caller frees. */
static char *socket_of(const struct doctor_machine *m, const cJSON *r)
{
	const char *endpoint = js_str(r, "endpoint", "");

	if (!*endpoint)
		endpoint = UNIX_SCHEME DEFAULT_SOCKET;
	if (strncmp(endpoint, UNIX_SCHEME, strlen(UNIX_SCHEME)) != 0)
		return NULL;
	return x_printf("%s%s", m->root, endpoint + strlen(UNIX_SCHEME));
}

void doctor_runtimes_rights(const struct doctor_machine *m, struct doctor_finding *f)
{
	const cJSON *r;
	struct buf out = {0}, open_to_all = {0};

	cJSON_ArrayForEach (r, js_get(m->daemon, "runtimes")) {
		_cleanup_free_ char *path = socket_of(m, r);
		struct stat st;

		buf_printf(&out, "%s%s", out.len ? ", " : "", js_str(r, "name", "?"));
		if (path && stat(path, &st) == 0 && st.st_mode & S_IWOTH)
			buf_printf(&open_to_all, "%s%s", open_to_all.len ? ", " : "",
				   path + strlen(m->root));
	}
	if (open_to_all.len) {
		buf_str(&open_to_all, " is open to every user");
		take(f, DOCTOR_PROBLEM, &open_to_all);
		f->costs = "each of them can become root by it, without us";
		f->advice = "chmod 0660, with a group of those who may be root";
	} else if (out.len) {
		buf_str(&out, " enabled: whoever may apply here can become root by it");
		take(f, DOCTOR_OK, &out);
	} else {
		buf_str(&out, m->daemon ? "no engine is spoken to" : "no daemon");
		take(f, DOCTOR_OK, &out);
	}
	buf_done(&out);
	buf_done(&open_to_all);
}
