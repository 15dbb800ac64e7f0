/*
 * doctor_checks: the checks of `aictl doctor`. Each is one function of the facts in doctor_machine
 * and of files below its root; it says what it found, what a lack costs and what to do.
 *
 * SPDX-License-Identifier: MIT
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/doctor_runtimes.h"
#include "cli/js.h"
#include "cli/x.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define FILE_MAX ((size_t)1 << 20)
#define NOFILE_OURS 100u      /* what the daemon needs for itself */
#define NOFILE_PER_REPLICA 4u /* of the logger, which needs most: two pipes, a log, its index */
#define NOFILE_FEW 4096u      /* fewer: a thousand replicas do not fit */
#define NOFILE_TOO_FEW 256u
#define PIPE_PAGES 16u /* of a pipe of 64 KiB */
#define PIPES_PER_REPLICA 2u
#define PIPE_REPLICAS_FEW 50u
#define MIB ((int64_t)1 << 20)
#define DISK_LOW (500 * MIB)
#define DISK_FULL (20 * MIB)
#define YEAR_2024_MS INT64_C(1704067200000)

static void say(struct doctor_finding *f, enum doctor_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void say(struct doctor_finding *f, enum doctor_level level, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->level = level;
	mem_free(f->found);
	f->found = x_strdup(text);
}

/* Text of a file below the root, or NULL. */
static char *read_below(const struct doctor_machine *m, const char *path)
{
	_cleanup_free_ char *full = x_printf("%s%s", m->root, path);
	char *text = NULL;
	size_t len;

	return fs_read_file(full, FILE_MAX, &text, &len, NULL) < 0 ? NULL : text;
}

static bool exists(const struct doctor_machine *m, const char *path)
{
	_cleanup_free_ char *full = x_printf("%s%s", m->root, path);

	return access(full, F_OK) == 0;
}

/* The number of `base` that begins at *p, or -1; *p is moved behind it. */
static long long number(const char **p, int base)
{
	static const char digits[] = "0123456789abcdef";
	long long n = -1;
	const char *d;

	while (**p && (d = strchr(digits, tolower((unsigned char)**p))) && d - digits < base &&
	       n < INT32_MAX) {
		n = (n < 0 ? 0 : n * base) + (d - digits);
		*p += 1;
	}
	return n;
}

/* The first number of a file, or -1. */
static long long number_below(const struct doctor_machine *m, const char *path)
{
	_cleanup_free_ char *text = read_below(m, path);
	const char *p = text ? text : "";

	return number(&p, 10);
}

static bool kernel_is(const struct doctor_machine *m, long long major, long long minor)
{
	const char *p = m->release;
	long long a = number(&p, 10), b;

	p += *p == '.';
	b = number(&p, 10);
	return a > major || (a == major && b >= minor);
}

static void kernel(const struct doctor_machine *m, struct doctor_finding *f)
{
	const char *missing = m->clone3	       ? "clone3"
			      : m->pidfd_open  ? "pidfd_open"
			      : m->close_range ? "close_range"
					       : NULL;

	if (!missing && kernel_is(m, 5, 9)) {
		say(f, DOCTOR_OK, "Linux %s: clone3, pidfd_open, close_range", m->release);
		return;
	}
	say(f, DOCTOR_PROBLEM, "Linux %s: %s is not there or not allowed", m->release,
	    missing ? missing : "a call of 5.9");
	f->costs = "aictld does not start";
	f->advice = "use Linux 5.9 or newer; in a container, a seccomp profile that allows it";
}

static void exit_status(const struct doctor_machine *m, struct doctor_finding *f)
{
	if (m->pidfd_info == 0 && kernel_is(m, 6, 15)) {
		say(f, DOCTOR_OK, "PIDFD_GET_INFO: exit statuses outlive aictld");
		return;
	}
	say(f, DOCTOR_WARNING, "Linux %s lacks PIDFD_GET_INFO with exit statuses (6.15)",
	    m->release);
	f->costs = "a replica that exits while aictld itself is dead ends with status \"unknown\"";
	f->advice = "nothing to do unless this matters: exact otherwise, over upgrades too";
}

static void nofile(const struct doctor_machine *m, struct doctor_finding *f)
{
	uint64_t room = m->nofile_hard > NOFILE_OURS
				? (m->nofile_hard - NOFILE_OURS) / NOFILE_PER_REPLICA
				: 0;

	if (m->nofile_hard > (UINT64_C(1) << 40)) {
		say(f, DOCTOR_OK, "no limit of open files");
		return;
	}
	say(f,
	    m->nofile_hard < NOFILE_TOO_FEW ? DOCTOR_PROBLEM
	    : m->nofile_hard < NOFILE_FEW   ? DOCTOR_WARNING
					    : DOCTOR_OK,
	    "%" PRIu64 " open files (soft %" PRIu64 ") %s: room for about %" PRIu64 " replicas",
	    m->nofile_hard, m->nofile_soft,
	    m->nofile_of_daemon ? "for the daemon" : "from this shell", room);
	if (f->level == DOCTOR_OK)
		return;
	f->costs = "replicas beyond that cannot be started";
	f->advice =
		"LimitNOFILE= of the daemon's unit, or /etc/security/limits.conf; the hard limit counts";
}

static void pipes(const struct doctor_machine *m, struct doctor_finding *f)
{
	long long soft = number_below(m, "/proc/sys/fs/pipe-user-pages-soft"),
		  size = number_below(m, "/proc/sys/fs/pipe-max-size"), room;

	if (m->uid == 0 || soft == 0) {
		say(f, DOCTOR_OK, "no limit for %s; a pipe may grow to %lld KiB",
		    m->uid == 0 ? "root" : "anybody", size / 1024);
		return;
	}
	if (soft < 0) {
		say(f, DOCTOR_OK, "the limit of pipe buffers cannot be read");
		return;
	}
	room = soft / PIPE_PAGES / PIPES_PER_REPLICA;
	say(f, room < PIPE_REPLICAS_FEW ? DOCTOR_WARNING : DOCTOR_OK,
	    "%lld pages of pipe buffers for a user: whole pipes for %lld replicas", soft, room);
	if (f->level == DOCTOR_OK)
		return;
	f->costs = "later pipes shrink to 8 KiB: services that write much wait more often";
	f->advice = "sysctl fs.pipe-user-pages-soft=65536, or run the daemon as root";
}

/* Mount point of a cgroup2 tree in mountinfo, NULL = none. Caller frees. */
static char *cgroup2_mount(const struct doctor_machine *m)
{
	_cleanup_free_ char *text = read_below(m, "/proc/self/mountinfo");
	char *line, *save = NULL;

	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		const char *dash = strstr(line, " - cgroup2 ");
		char at[256];

		if (dash && sscanf(line, "%*s %*s %*s %*s %255s", at) == 1)
			return x_strdup(at);
	}
	return NULL;
}

/* Our own cgroup in the unified tree, "/" when it cannot be read. Caller frees. */
static char *own_cgroup(const struct doctor_machine *m)
{
	_cleanup_free_ char *text = read_below(m, "/proc/self/cgroup");
	const char *line = text ? strstr(text, "0::") : NULL;

	while (line && line != text && line[-1] != '\n')
		line = strstr(line + 1, "0::");
	return line ? x_strndup(line + 3, strcspn(line + 3, "\n")) : x_strdup("/");
}

static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = text ? strstr(text, word) : NULL; p; p = strstr(p + n, word))
		if ((p == text || p[-1] == ' ') && strchr(" \n", p[n]))
			return true;
	return false;
}

/* What a controller of cgroups is for. */
static const struct {
	const char *controller, *limits;
	bool common; /* missing, it is worth a warning */
} cgroup_controllers[] = {
	{"memory", "memory, memory_high, swap", true},
	{"cpu", "cpus, cpu_weight", true},
	{"pids", "pids", true},
	{"io", "io_weight", false},
	{"cpuset", "cpuset", false},
};

/* What the cgroups of replicas can do, as a running daemon found it, or as a new one would. */
struct cgroup_facts {
	char *dir;   /* NULL: none */
	char *words; /* "memory cpu" */
	bool writable;
};

static void facts_done(struct cgroup_facts *c)
{
	mem_free(c->dir);
	mem_free(c->words);
}

static void facts_of_daemon(const cJSON *cgroup, struct cgroup_facts *c)
{
	const char *dir = js_str(cgroup, "dir", NULL);
	const cJSON *word;

	c->dir = dir ? x_strdup(dir) : NULL;
	c->words = x_strdup("");
	cJSON_ArrayForEach (word, js_get(cgroup, "can")) {
		char *more =
			x_printf("%s%s ", c->words, cJSON_IsString(word) ? word->valuestring : "");

		mem_free(c->words);
		c->words = more;
	}
	c->writable = has_word(c->words, "track");
}

static void facts_of_machine(const struct doctor_machine *m, struct cgroup_facts *c)
{
	_cleanup_free_ char *mount = cgroup2_mount(m), *own = own_cgroup(m), *list = NULL,
			    *full = NULL;

	if (!mount)
		return;
	c->dir = x_printf("%s%s", mount, strcmp(own, "/") == 0 ? "" : own);
	list = x_printf("%s/cgroup.controllers", c->dir);
	full = x_printf("%s%s", m->root, c->dir);
	c->words = read_below(m, list);
	c->writable = access(full, W_OK) == 0;
}

/* "memory, cpu", those that are there or those that are not; of `limits` their keys instead. */
static char *list_controllers(const struct cgroup_facts *c, bool there, bool limits)
{
	char *out = x_strdup("");

	for (size_t i = 0; i < ARRAY_SIZE(cgroup_controllers); i++) {
		const char *name = cgroup_controllers[i].controller;
		char *more;

		if (has_word(c->words, name) != there)
			continue;
		more = x_printf("%s%s%s", out, *out ? ", " : "",
				limits ? cgroup_controllers[i].limits : name);
		mem_free(out);
		out = more;
	}
	return out;
}

static bool lacks_a_common_one(const struct cgroup_facts *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(cgroup_controllers); i++)
		if (cgroup_controllers[i].common &&
		    !has_word(c->words, cgroup_controllers[i].controller))
			return true;
	return false;
}

static void cgroups(const struct doctor_machine *m, struct doctor_finding *f)
{
	const cJSON *cgroup = js_get(m->daemon, "cgroup");
	_cleanup_free_ char *have = NULL, *lack = NULL;
	struct cgroup_facts c = {0};

	if (cgroup)
		facts_of_daemon(cgroup, &c);
	else
		facts_of_machine(m, &c);
	have = list_controllers(&c, true, false);
	lack = list_controllers(&c, false, true);
	if (!c.dir || !c.writable) {
		say(f, DOCTOR_WARNING, c.dir ? "%s: not writable" : "no cgroup2 tree %s",
		    c.dir    ? c.dir
		    : cgroup ? "that the daemon may use"
			     : "is mounted");
		f->costs =
			"nothing of resources.limits is enforced, nothing can be frozen, and a descendant "
			"that clears its environment escapes a stop";
		f->advice = "start the daemon by its unit, or by one with Delegate=yes";
	} else if (lacks_a_common_one(&c)) {
		say(f, DOCTOR_WARNING,
		    "%s: tracking and freezing; not enforced of resources.limits: %s", c.dir, lack);
		f->costs =
			"apply warns of these limits, and refuses them where resources.required is true";
		f->advice =
			"start the daemon by its unit, or by one with Delegate=yes; a hybrid tree "
			"(/sys/fs/cgroup/unified) has no controllers: boot with "
			"systemd.unified_cgroup_hierarchy=1";
	} else {
		say(f, DOCTOR_OK, "%s: tracking, freezing, limits (%s)", c.dir, have);
	}
	facts_done(&c);
}

static void linger(const struct doctor_machine *m, struct doctor_finding *f)
{
	_cleanup_free_ char *file = x_printf("/var/lib/systemd/linger/%s", m->user);

	if (m->uid == 0 || !exists(m, "/run/systemd/system")) {
		say(f, DOCTOR_OK, "%s",
		    m->uid == 0 ? "root's daemon needs none"
				: "no systemd here: a logout ends nothing");
	} else if (exists(m, file)) {
		say(f, DOCTOR_OK, "on for %s: the daemon outlives a logout", m->user);
	} else {
		say(f, DOCTOR_WARNING, "off for %s", m->user);
		f->costs =
			"your daemon and its services may end with your last session, and do not "
			"start at boot";
		f->advice = "loginctl enable-linger";
	}
}

static void hanging(const struct doctor_dir *d, const char *costs, struct doctor_finding *f)
{
	say(f, DOCTOR_PROBLEM, "%s does not answer: its disk or network mount hangs", d->path);
	f->costs = costs;
	f->advice = "mend the disk or the mount; what runs goes on meanwhile";
}

static void tmpfs(const struct doctor_machine *m, struct doctor_finding *f)
{
	if (m->runtime.hangs) {
		hanging(&m->runtime, "the daemon cannot be reached, and none starts", f);
	} else if (m->runtime.tmpfs) {
		say(f, DOCTOR_OK, "%s is on tmpfs", m->runtime.path);
	} else if (m->shm_tmpfs) {
		say(f, DOCTOR_OK, "%s is on a disk; the table goes to /dev/shm", m->runtime.path);
	} else {
		say(f, DOCTOR_PROBLEM, "neither %s nor /dev/shm is on tmpfs", m->runtime.path);
		f->costs =
			"aictld does not start: its table of processes must never wait for a disk";
		f->advice = "mount -t tmpfs tmpfs /dev/shm, or --runtime-dir on a tmpfs";
	}
}

static void service_manager(const struct doctor_machine *m, struct doctor_finding *f)
{
	if (exists(m, "/run/systemd/system")) {
		say(f, DOCTOR_OK, "systemd");
		return;
	}
	say(f, DOCTOR_WARNING, "no systemd");
	f->costs = "something else must start aictld at boot, and again should it die";
	f->advice = "let your init or container runtime run `aictld` in the foreground";
}

static void users(const struct doctor_machine *m, struct doctor_finding *f)
{
	if (m->uid != 0) {
		say(f, DOCTOR_OK, "%s's daemon runs everything as %s", m->user, m->user);
	} else if (m->system_users) {
		say(f, DOCTOR_OK, "aictl, aictl-log and aictl-gw exist");
	} else if (m->helper_users) {
		say(f, DOCTOR_WARNING, "the user aictl-gw does not exist");
		f->costs = "the stable addresses of services (port:) are not served";
		f->advice = "useradd --system --user-group aictl-gw, then restart aictld";
	} else {
		say(f, DOCTOR_PROBLEM, "the users aictl and aictl-log do not both exist");
		f->costs = "aictld does not start as root";
		f->advice = "groupadd --system aictl; useradd --system -g aictl aictl; "
			    "useradd --system -g aictl aictl-log";
	}
}

/* Is it a line of /proc/net/tcp: "  0: 0100007F:4E20 00000000:0000 0A ..." of a listener there? */
static bool listens_in_range(const struct doctor_machine *m, const char *line)
{
	const char *p = strchr(line, ':');
	long long port;

	p = p ? strchr(p + 1, ':') : NULL;
	if (!p)
		return false;
	p++;
	port = number(&p, 16);
	p = *p == ' ' ? strchr(p + 1, ' ') : NULL;
	return p && strncmp(p, " 0A", 3) == 0 && port >= m->port_first && port <= m->port_last;
}

/* Listening TCP ports in the range, of /proc/net/tcp or tcp6. */
static unsigned listening(const struct doctor_machine *m, const char *path)
{
	_cleanup_free_ char *text = read_below(m, path);
	char *line, *save = NULL;
	unsigned n = 0;

	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save))
		n += listens_in_range(m, line);
	return n;
}

static void ports(const struct doctor_machine *m, struct doctor_finding *f)
{
	_cleanup_free_ char *text = read_below(m, "/proc/sys/net/ipv4/ip_local_port_range");
	const char *p = text ? text : "";
	long long first = number(&p, 10), last;
	unsigned taken = listening(m, "/proc/net/tcp") + listening(m, "/proc/net/tcp6");
	const char *unchecked = m->daemon ? js_str(m->daemon, "ports_unchecked", NULL) : NULL;

	p += strspn(p, " \t");
	last = number(&p, 10);
	if (unchecked) {
		say(f, DOCTOR_WARNING, "%u-%u for replicas, who listens there is not checked: %s",
		    m->port_first, m->port_last, unchecked);
		f->costs = "a replica whose port another process has taken gets requests all the "
			   "same: they reach that process";
		f->advice = "a kernel with CONFIG_INET_DIAG that may be asked (modprobe tcp_diag), "
			    "or ${SOCKET} instead of ${PORT}";
		return;
	}
	if (first > m->port_last || last < m->port_first) {
		say(f, DOCTOR_OK, "%u-%u for replicas, %u of them taken", m->port_first,
		    m->port_last, taken);
		return;
	}
	say(f, DOCTOR_WARNING, "%u-%u for replicas overlaps %lld-%lld of outgoing connections",
	    m->port_first, m->port_last, first, last);
	f->costs =
		"an outgoing connection may hold a replica's port when it starts; it is skipped, "
		"or the start fails once";
	f->advice = "aictld --port-range, or sysctl net.ipv4.ip_local_reserved_ports";
}

static void space(const struct doctor_dir *d, const char *costs, struct doctor_finding *f)
{
	if (d->hangs) {
		hanging(d, costs, f);
		return;
	}
	if (d->access) {
		say(f, DOCTOR_PROBLEM, "%s: %s", d->looked_at, strerror(d->access));
		f->costs = costs;
		f->advice = "give it to the user of the daemon, or choose another directory";
		return;
	}
	say(f,
	    d->free_bytes >= 0 && d->free_bytes < DISK_FULL  ? DOCTOR_PROBLEM
	    : d->free_bytes >= 0 && d->free_bytes < DISK_LOW ? DOCTOR_WARNING
							     : DOCTOR_OK,
	    "%s: %lld of %lld MiB free", d->path, (long long)(d->free_bytes / MIB),
	    (long long)(d->total_bytes / MIB));
	if (f->level == DOCTOR_OK)
		return;
	f->costs = costs;
	f->advice = "make room";
}

static void state(const struct doctor_machine *m, struct doctor_finding *f)
{
	space(&m->state, "changes are refused, and what ought to run is forgotten with the daemon",
	      f);
}

static void logs(const struct doctor_machine *m, struct doctor_finding *f)
{
	long long max = m->daemon ? (long long)js_int(m->daemon, "log_max_total", 0) : 0;
	long long copied = m->daemon ? (long long)js_int(m->daemon, "logs_copied", 0) : 0;

	space(&m->logs,
	      "services that write wait until there is room (logs.on_full: drop loses lines)", f);
	if (f->level == DOCTOR_OK && copied > 0) {
		say(f, DOCTOR_WARNING,
		    "the logs of %lld replica%s are copied: their file system cannot splice",
		    copied, copied == 1 ? "" : "s");
		f->costs = "if the logger is killed, the bytes of that moment may be stored twice";
		f->advice = "let logs go to another file system (ext4, xfs, tmpfs)";
	} else if (f->level == DOCTOR_OK && max > 0) {
		say(f, DOCTOR_OK, "%s: %lld of %lld MiB free, logs keep at most %lld MiB",
		    m->logs.path, (long long)(m->logs.free_bytes / MIB),
		    (long long)(m->logs.total_bytes / MIB), max / MIB);
	}
}

static void clocks(const struct doctor_machine *m, struct doctor_finding *f)
{
	if (m->wall_ms > YEAR_2024_MS && m->clock_synced) {
		say(f, DOCTOR_OK, "synchronized");
		return;
	}
	say(f, DOCTOR_WARNING, "%s",
	    m->wall_ms > YEAR_2024_MS ? "not synchronized" : "far in the past");
	f->costs = "times in logs and events may be wrong or jump; probes and back-off do not care";
	f->advice = "run systemd-timesyncd or chrony";
}

static void daemon_itself(const struct doctor_machine *m, struct doctor_finding *f)
{
	const char *mode = js_str(m->daemon, "mode", "?"),
		   *version = js_str(m->daemon, "version", "?");

	if (!m->daemon && m->daemon_socket) {
		say(f, DOCTOR_PROBLEM, "one listens at %s and does not answer", m->daemon_socket);
		f->costs = "nothing is started, stopped or restarted; what runs goes on";
		f->advice = "look at the daemon's log: its controller hangs, or is being replaced";
	} else if (m->daemon_why) {
		say(f, DOCTOR_PROBLEM, "not ready: %s", m->daemon_why);
		f->costs = "nothing is started, stopped or restarted; what runs goes on";
		f->advice = m->state.hangs ? "see state-dir" : "look at the daemon's log";
	} else if (!m->daemon) {
		say(f, DOCTOR_OK, "none answers; what a new one would find is checked");
	} else if (strcmp(mode, "safe") == 0) {
		say(f, DOCTOR_PROBLEM, "safe mode: its controller has died again and again");
		f->costs = "nothing is started, stopped or restarted";
		f->advice = "look at the daemon's log, then: aictl daemon reload";
	} else if (strcmp(version, m->our_version) != 0) {
		say(f, DOCTOR_WARNING, "version %s, this program has %s", version, m->our_version);
		f->costs = "one of them may not know what the other one says";
		f->advice = "restart the daemon after an upgrade";
	} else {
		say(f, DOCTOR_OK, "version %s, mode %s, at %s", version, mode, m->daemon_socket);
	}
}

static void daemon_log(const struct doctor_machine *m, struct doctor_finding *f)
{
	const char *level = js_str(m->daemon, "log_level", "info");

	say(f, DOCTOR_OK, "%s", m->daemon ? level : "no daemon");
	if (strcmp(level, "debug") != 0)
		return;
	f->level = DOCTOR_WARNING;
	f->costs = "the daemon's own log grows quickly";
	f->advice = "aictl daemon log-level info";
}

static void helpers(const struct doctor_machine *m, struct doctor_finding *f)
{
	long long controller = js_int(m->daemon, "controller_restarts", 0),
		  logger = js_int(m->daemon, "logger_restarts", 0),
		  gateway = js_int(m->daemon, "gateway_restarts", 0);

	say(f, controller + logger + gateway ? DOCTOR_WARNING : DOCTOR_OK,
	    m->daemon ? "controller restarted %lld times, logger %lld, gateway %lld" : "no daemon",
	    controller, logger, gateway);
	if (f->level == DOCTOR_OK)
		return;
	f->costs = gateway ? "requests that were under way when the gateway died"
			   : "nothing by itself: services run on meanwhile";
	f->advice = "the daemon's log says of what it died; please report it";
}

static void store(const struct doctor_machine *m, struct doctor_finding *f)
{
	const cJSON *s = js_get(m->daemon, "store");

	if (s && !js_bool(s, "ok")) {
		say(f, DOCTOR_PROBLEM, "the database cannot be used");
		f->costs = "changes are refused";
		f->advice = "see the state directory and the daemon's log";
	} else if (js_int(s, "dropped", 0) > 0) {
		say(f, DOCTOR_WARNING, "%lld writes were dropped",
		    (long long)js_int(s, "dropped", 0));
		f->costs = "events and exits are missing from the history";
		f->advice = "the disk of the state directory is too slow or hangs";
	} else {
		say(f, DOCTOR_OK, s ? "ok, %lld writes queued" : "no daemon",
		    (long long)js_int(s, "queued", 0));
	}
}

const struct doctor_check doctor_checks[] = {
	{"kernel", kernel},
	{"exit-status", exit_status},
	{"open-files", nofile},
	{"pipes", pipes},
	{"cgroups", cgroups},
	{"users", users},
	{"service-manager", service_manager},
	{"linger", linger},
	{"runtime-dir", tmpfs},
	{"state-dir", state},
	{"log-dir", logs},
	{"ports", ports},
	{"runtimes", doctor_runtimes_engines},
	{"runtime-rights", doctor_runtimes_rights},
	{"clock", clocks},
	{"daemon", daemon_itself},
	{"daemon-helpers", helpers},
	{"daemon-store", store},
	{"daemon-log", daemon_log},
	{NULL, NULL},
};
