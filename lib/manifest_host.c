/* manifest_host: see manifest_host.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_host.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define ACCOUNT_SIZE 65536 /* of an entry of passwd or group */

struct host {
	enum manifest_host what;
	struct manifest_errors *errors;
	bool root; /* whoever starts the services may raise hard limits */
};

static const struct {
	const char *name;
	int resource;
} limits[SPEC_RLIMIT_MAX_] = {
	[SPEC_RLIMIT_AS] = {"as", RLIMIT_AS},
	[SPEC_RLIMIT_CORE] = {"core", RLIMIT_CORE},
	[SPEC_RLIMIT_CPU] = {"cpu", RLIMIT_CPU},
	[SPEC_RLIMIT_DATA] = {"data", RLIMIT_DATA},
	[SPEC_RLIMIT_FSIZE] = {"fsize", RLIMIT_FSIZE},
	[SPEC_RLIMIT_LOCKS] = {"locks", RLIMIT_LOCKS},
	[SPEC_RLIMIT_MEMLOCK] = {"memlock", RLIMIT_MEMLOCK},
	[SPEC_RLIMIT_MSGQUEUE] = {"msgqueue", RLIMIT_MSGQUEUE},
	[SPEC_RLIMIT_NICE] = {"nice", RLIMIT_NICE},
	[SPEC_RLIMIT_NOFILE] = {"nofile", RLIMIT_NOFILE},
	[SPEC_RLIMIT_NPROC] = {"nproc", RLIMIT_NPROC},
	[SPEC_RLIMIT_RSS] = {"rss", RLIMIT_RSS},
	[SPEC_RLIMIT_RTPRIO] = {"rtprio", RLIMIT_RTPRIO},
	[SPEC_RLIMIT_RTTIME] = {"rttime", RLIMIT_RTTIME},
	[SPEC_RLIMIT_SIGPENDING] = {"sigpending", RLIMIT_SIGPENDING},
	[SPEC_RLIMIT_STACK] = {"stack", RLIMIT_STACK},
};

/* Adds it at the key's place. */
__attribute__((format(printf, 5, 6))) static void complain(const struct host *h,
							   const struct service_spec *s,
							   const char *key, const char *hint,
							   const char *fmt, ...)
{
	struct manifest_place at = {s->file, s->line, 1};
	va_list ap;

	service_spec_place(s, key, &at);
	va_start(ap, fmt);
	manifest_errors_vadd(h->errors, &at, hint, fmt, ap);
	va_end(ap);
}

static bool is_number(const char *name)
{
	int64_t id;

	return parse_i64(name, 0, UINT32_MAX - 1, &id, NULL) == 0;
}

/* What cannot be found out counts as known. */
static bool is_user(const char *name, char *buf)
{
	struct passwd pw, *found = NULL;

	return is_number(name) || getpwnam_r(name, &pw, buf, ACCOUNT_SIZE, &found) != 0 || found;
}

static bool is_group(const char *name, char *buf)
{
	struct group gr, *found = NULL;

	return is_number(name) || getgrnam_r(name, &gr, buf, ACCOUNT_SIZE, &found) != 0 || found;
}

static void check_accounts(const struct host *h, const struct service_spec *s)
{
	_cleanup_free_ char *buf = s->user || s->group ? mem_alloc(ACCOUNT_SIZE) : NULL;

	if (!buf) {
		h->errors->nomem |= s->user || s->group;
		return;
	}
	if (s->user && !is_user(s->user, buf))
		complain(h, s, "user", NULL, "user: this machine has no user \"%s\"", s->user);
	if (s->group && !is_group(s->group, buf))
		complain(h, s, "group", NULL, "group: this machine has no group \"%s\"", s->group);
}

/* Why path cannot be run, or NULL; also when this process may not look. */
static const char *unusable(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? "there is no such file" : NULL;
	if (S_ISDIR(st.st_mode))
		return "it is a directory";
	return st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH) ? NULL : "it is not executable";
}

/* The PATH that the service will have, as far as known here. Borrowed. */
static const char *path_of(const struct service_spec *s)
{
	for (size_t i = 0; s->environment && s->environment[i]; i++)
		if (strncmp(s->environment[i], "PATH=", strlen("PATH=")) == 0)
			return s->environment[i] + strlen("PATH=");
	return getenv("PATH");
}

static bool is_in_path(const char *program, const char *path)
{
	while (path && *path) {
		size_t n = strcspn(path, ":");
		_cleanup_free_ char *full = mem_printf("%.*s/%s", (int)n, path, program);

		if (!full || !unusable(full))
			return true;
		path += n + (path[n] == ':');
	}
	return false;
}

/* The program of the command at key ("command"). */
static void check_program(const struct host *h, const struct service_spec *s, const char *key,
			  char *const *command, bool is_error)
{
	_cleanup_free_ char *at = mem_printf("%s[0]", key), *full = NULL;
	const char *program = command[0], *wrong, *path = path_of(s);

	if (!at) {
		h->errors->nomem = true;
		return;
	}
	if (strchr(program, '$')) /* known when a replica starts */
		return;
	if (!strchr(program, '/')) {
		if (h->what == HOST_WARN && path && !strchr(path, '$') &&
		    !is_in_path(program, path))
			complain(h, s, at, "PATH may be another under the daemon",
				 "%s: \"%s\" is not found in PATH", at, program);
		return;
	}
	if (h->what != HOST_WARN && (!is_error || program[0] != '/'))
		return; /* no look at what is not judged: its file system may hang */
	full = fs_join(s->working_dir, program);
	wrong = full ? unusable(full) : NULL;
	if (wrong)
		complain(h, s, at, NULL, "%s: %s: %s", at, full, wrong);
}

static void check_working_dir(const struct host *h, const struct service_spec *s)
{
	const char *wrong = NULL;
	struct stat st;

	if (h->what != HOST_WARN)
		return;
	if (stat(s->working_dir, &st) < 0)
		wrong = errno == ENOENT || errno == ENOTDIR ? "there is no such directory" : NULL;
	else if (!S_ISDIR(st.st_mode))
		wrong = "it is not a directory";
	if (wrong)
		complain(h, s, "working_dir", NULL, "working_dir: %s: %s", s->working_dir, wrong);
}

/* The kernel's own maximum of open files, which binds root, too. */
static int64_t nofile_max(void)
{
	_cleanup_free_ char *text = NULL;
	int64_t value = SPEC_UNLIMITED;
	size_t len;

	if (fs_read_file("/proc/sys/fs/nr_open", 64, &text, &len, NULL) < 0)
		return SPEC_UNLIMITED;
	text[strcspn(text, "\n")] = '\0';
	return parse_i64(text, 1, INT64_MAX, &value, NULL) < 0 ? SPEC_UNLIMITED : value;
}

/* The highest hard limit that can be set. */
static int64_t most(const struct host *h, int which)
{
	struct rlimit r;

	if (h->root)
		return which == SPEC_RLIMIT_NOFILE ? nofile_max() : SPEC_UNLIMITED;
	if (getrlimit(limits[which].resource, &r) < 0 || r.rlim_max == RLIM_INFINITY ||
	    r.rlim_max > INT64_MAX)
		return SPEC_UNLIMITED;
	return (int64_t)r.rlim_max;
}

static const char *limit_text(int64_t value, char *buf, size_t n)
{
	if (value == SPEC_UNLIMITED)
		snprintf(buf, n, "unlimited");
	else
		snprintf(buf, n, "%lld", (long long)value);
	return buf;
}

static void check_limits(const struct host *h, const struct service_spec *s)
{
	for (int i = 0; i < SPEC_RLIMIT_MAX_; i++) {
		int64_t hard = s->ulimits[i].hard, max;
		char key[32], a[32], b[32];

		if (hard == SPEC_UNSET)
			continue;
		max = most(h, i);
		if (hard <= max)
			continue;
		snprintf(key, sizeof(key), "ulimits.%s", limits[i].name);
		complain(h, s, key,
			 h->root ? "raise the sysctl fs.nr_open"
				 : "only a root daemon can raise it",
			 "%s: %s is above the hard limit of this machine, %s", key,
			 limit_text(hard, a, sizeof(a)), limit_text(max, b, sizeof(b)));
	}
}

/* "0-3" and the highest of them, or NULL. Caller frees. */
static char *processors(int64_t *ret_last)
{
	char *text = NULL;
	size_t len;

	if (fs_read_file("/sys/devices/system/cpu/present", 4096, &text, &len, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	if (parse_cpuset(text, ret_last, NULL) == 0)
		return text;
	mem_free(text);
	return NULL;
}

static void check_processors(const struct host *h, const struct service_spec *s)
{
	bool many = h->what == HOST_WARN && s->resources.cpus > 0;
	_cleanup_free_ char *have = NULL;
	int64_t last, want;

	if (many || s->resources.cpuset)
		have = processors(&last);
	if (!have)
		return;
	if (s->resources.cpuset && parse_cpuset(s->resources.cpuset, &want, NULL) == 0 &&
	    want > last)
		complain(h, s, "resources.limits.cpuset", NULL,
			 "resources.limits.cpuset: this machine has no processor %lld, but %s",
			 (long long)want, have);
	if (many && s->resources.cpus > (double)(last + 1))
		complain(h, s, "resources.limits.cpus", NULL,
			 "resources.limits.cpus: %g, and this machine has %lld", s->resources.cpus,
			 (long long)last + 1);
}

/* What cannot be told before a start is passed over. */
static bool is_missing(const char *path)
{
	struct stat st;

	return path && path[0] == '/' && !strstr(path, "${") && stat(path, &st) < 0 &&
	       (errno == ENOENT || errno == ENOTDIR);
}

/* The engine makes no directory for a bind, and no device; it may see other files than we do. */
static void check_mounts(const struct host *h, const struct service_spec *s)
{
	const struct volume_spec *v = s->container.volumes.v;
	const struct device_spec *d = s->container.devices.v;
	char key[40];

	for (size_t i = 0; h->what == HOST_WARN && i < s->container.volumes.n; i++) {
		snprintf(key, sizeof(key), "volumes[%zu].source", i);
		if (v[i].type == VOLUME_BIND && is_missing(v[i].source))
			complain(h, s, key, "make it before the start: no engine does",
				 "%s: %s: there is no such file or directory", key, v[i].source);
	}
	for (size_t i = 0; h->what == HOST_WARN && i < s->container.devices.n; i++) {
		snprintf(key, sizeof(key), "devices[%zu].source", i);
		if (is_missing(d[i].source))
			complain(h, s, key, NULL, "%s: %s: there is no such device", key,
				 d[i].source);
	}
}

static void check_service(const struct host *h, const struct service_spec *s)
{
	static const char *const probes[PROBE_KEYS] = {"probes.startup.exec.command",
						       "probes.readiness.exec.command",
						       "probes.liveness.exec.command"};

	check_processors(h, s);
	check_mounts(h, s);
	if (service_spec_is_container(s)) /* the rest is in its image */
		return;
	check_accounts(h, s);
	check_program(h, s, "command", s->command, true);
	check_working_dir(h, s);
	check_limits(h, s);
	for (int k = 0; k < PROBE_KEYS; k++)
		if (s->probes[k].exec)
			check_program(h, s, probes[k], s->probes[k].exec_command, false);
}

void manifest_host_check(const struct manifest *m, enum manifest_host what,
			 struct manifest_errors *errors)
{
	struct host h = {
		.what = what, .errors = errors, .root = what == HOST_APPLY_ROOT || geteuid() == 0};

	for (size_t i = 0; i < m->n_services; i++)
		check_service(&h, m->services[i]);
}
