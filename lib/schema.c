/*
 * schema: see schema.h. To add a key: a member of struct service_spec, one ROW here, a line in the
 * tests' table of ranges. Decoder, defaults, change class and documentation follow from the row.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/schema.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "lib/err.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define KIB INT64_C(1024)
#define MIB (KIB * KIB)
#define TIB (MIB * MIB)
#define CPUSET_MAX 255 /* what fits into a packet to aictld */

bool schema_is_label(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= MANIFEST_NAME_MAX && !text[n] && text[0] != '-' && text[n - 1] != '-';
}

char *schema_make_label(const char *path, const char *fallback)
{
	const char *slash = strrchr(path, '/');
	char *name = mem_strdup(slash ? slash + 1 : path);
	size_t n = 0;

	if (!name)
		return NULL;
	for (const char *p = name; *p && n < MANIFEST_NAME_MAX; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + ('a' - 'A')) : *p;
		bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (plain || (n > 0 && name[n - 1] != '-'))
			name[n++] = plain ? c : '-';
	}
	while (n > 0 && name[n - 1] == '-')
		n--;
	name[n] = '\0';
	if (n > 0)
		return name;
	mem_free(name);
	return mem_strdup(fallback);
}

static const char *check_label(const char *text)
{
	return schema_is_label(text)
		       ? NULL
		       : "must be 1 to 63 of a-z, 0-9 and \"-\", without \"-\" at either end";
}

static const char *check_given(const char *text)
{
	return text[0] ? NULL : "must not be empty";
}

static bool is_account(const char *text)
{
	return text[0] && text[0] != '-' && strlen(text) <= 255 && !strpbrk(text, ":/ \t\n");
}

static const char *check_user(const char *text)
{
	return is_account(text) ? NULL : "must be the name or number of a user";
}

static const char *check_group(const char *text)
{
	return is_account(text) ? NULL : "must be the name or number of a group";
}

/* A variable's name. */
static const char *check_variable(const char *name)
{
	const char *p = name;

	if (strcmp(name, "PORT") == 0 || strncmp(name, "AICTL_", strlen("AICTL_")) == 0)
		return "is set by aictl itself";
	if (isdigit((unsigned char)*p))
		return "is not a variable's name: it starts with a digit";
	while (*p == '_' || isalnum((unsigned char)*p))
		p++;
	return *p ? "is not a variable's name: letters, digits and \"_\" make one" : NULL;
}

/* A name in ports: a label that cannot be taken for a number. */
static const char *check_port_name(const char *text)
{
	if (schema_is_label(text) && text[strspn(text, "0123456789-")])
		return NULL;
	return "is not a port's name: 1 to 63 of a-z, 0-9 and \"-\" with a letter among them, "
	       "without \"-\" at either end, make one";
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* A secret's name is that of its file. */
static const char *check_secret_name(const char *text)
{
	size_t n = strspn(text, LETTERS "._-");

	if (n > 0 && n <= 63 && !text[n] && text[0] != '.' && text[0] != '-')
		return NULL;
	return "is not a secret's name: it becomes a file's, of 1 to 63 letters, digits, \".\", "
	       "\"_\" and \"-\", and starts with a letter or digit";
}

/* "team", "example.org/team": as Kubernetes has them. */
static const char *check_label_key(const char *text)
{
	const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : text;
	size_t prefix = slash ? (size_t)(slash - text) : 0, n = strspn(name, LETTERS "._-");

	if (n > 0 && n <= 63 && !name[n] && !strchr("._-", name[0]) &&
	    !strchr("._-", name[n - 1]) &&
	    (!slash || (prefix > 0 && prefix <= 253 && strspn(text, LETTERS ".-") == prefix)))
		return NULL;
	return "is not a label's key: up to 63 letters, digits, \".\", \"_\" and \"-\" make one, "
	       "after a domain and \"/\" if you like";
}

static const char *check_url_path(const char *text)
{
	if (text[0] != '/')
		return "must start with \"/\"";
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p >= 0x7f || *p == '#')
			return "must not hold spaces, control characters, \"#\" or letters beyond ASCII";
	return strlen(text) > 2048 ? "must not be longer than 2048 characters" : NULL;
}

static const char *check_address(const char *text)
{
	unsigned char addr[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, text, addr) == 1 || inet_pton(AF_INET6, text, addr) == 1)
		return NULL;
	return "must be a numeric address such as 127.0.0.1 or ::1";
}

/* Whether the machine has them is looked at by manifest_host. */
static const char *check_cpuset(const char *text)
{
	int64_t last;

	if (parse_cpuset(text, &last, NULL) < 0)
		return "is not a list of processors such as 0-3,8";
	return strlen(text) > CPUSET_MAX ? "is longer than 255 characters" : NULL;
}

#define NONE SCHEMA_NO_FIELD
#define HEAD(field) offsetof(struct schema_head, field)
#define AT(field) offsetof(struct service_spec, field)
#define IN_PORT(field) offsetof(struct port_spec, field)
#define IN_SECRET(field) offsetof(struct secret_spec, field)
#define IN_RULE(field) offsetof(struct restart_rule, field)
#define ROW(p, t, off, ...)                                                                        \
	{                                                                                          \
		.path = (p), .type = SCHEMA_##t, .offset = (off), __VA_ARGS__                      \
	}
#define SVC "services.*"
#define LIVE .change = CHANGE_LIVE
#define REPLACE .change = CHANGE_REPLACE
#define RANGE(lo, hi) .min = (lo), .max = (hi)

#define ULIMIT(name, which, most, text)                                                            \
	ROW(SVC ".ulimits." name, LIMIT, AT(ulimits[which]), REPLACE, RANGE(0, most),              \
	    .def_note = "inherited", .doc = text)
#define ANY_LIMIT (INT64_MAX - 1)

/* The keys that every probe has. */
#define PROBE(name, i, every, max_successes, text)                                                 \
	ROW(SVC ".probes." name, OBJECT, AT(probes[i].enabled), LIVE, .flags = SCHEMA_ONE_OF,      \
	    .def_note = "no probe", .doc = text),                                                  \
		ROW(SVC ".probes." name ".http", OBJECT, AT(probes[i].http), LIVE,                 \
		    .flags = SCHEMA_CHOICE, .doc = "GET this; 200 to 399 is success"),             \
		ROW(SVC ".probes." name ".http.path", STRING, AT(probes[i].path), LIVE,            \
		    .def = "/", .check = check_url_path, .doc = "Path and query to ask for"),      \
		ROW(SVC ".probes." name ".http.host", STRING, AT(probes[i].host), LIVE,            \
		    .def = "127.0.0.1", .check = check_address, .doc = "Numeric address to ask"),  \
		ROW(SVC ".probes." name ".http.port", PORTREF, AT(probes[i].port), LIVE,           \
		    RANGE(1, 65535), .def_note = "the replica's own ${PORT}",                      \
		    .doc = "Port to ask: a number, or a name in ports"),                           \
		ROW(SVC ".probes." name ".tcp", OBJECT, AT(probes[i].tcp), LIVE,                   \
		    .flags = SCHEMA_CHOICE, .doc = "Connect to this; being accepted is success"),  \
		ROW(SVC ".probes." name ".tcp.host", STRING, AT(probes[i].tcp_host), LIVE,         \
		    .def = "127.0.0.1", .check = check_address,                                    \
		    .doc = "Numeric address to connect to"),                                       \
		ROW(SVC ".probes." name ".tcp.port", PORTREF, AT(probes[i].tcp_port), LIVE,        \
		    RANGE(1, 65535), .def_note = "the replica's own ${PORT}",                      \
		    .doc = "Port to connect to: a number, or a name in ports"),                    \
		ROW(SVC ".probes." name ".exec", OBJECT, AT(probes[i].exec), LIVE,                 \
		    .flags = SCHEMA_CHOICE, .doc = "Run this as the service; 0 is success"),       \
		ROW(SVC ".probes." name ".exec.command", LIST, AT(probes[i].exec_command), LIVE,   \
		    RANGE(1, 4096), .flags = SCHEMA_REQUIRED | SCHEMA_EXPANDED,                    \
		    .doc = "Program and arguments"),                                               \
		ROW(SVC ".probes." name ".initial_delay", DURATION,                                \
		    AT(probes[i].initial_delay_ms), LIVE, RANGE(0, DAY), .def = "0s",              \
		    .doc = "Wait before the first attempt"),                                       \
		ROW(SVC ".probes." name ".period", DURATION, AT(probes[i].period_ms), LIVE,        \
		    RANGE(100, DAY), .def = every, .doc = "Time from one attempt to the next"),    \
		ROW(SVC ".probes." name ".timeout", DURATION, AT(probes[i].timeout_ms), LIVE,      \
		    RANGE(10, HOUR), .def = "2s", .doc = "An attempt that takes longer failed"),   \
		ROW(SVC ".probes." name ".success_threshold", INT,                                 \
		    AT(probes[i].success_threshold), LIVE, RANGE(1, max_successes), .def = "1",    \
		    .doc = "Successes in a row that count as passed")
#define FAILURES(name, i)                                                                          \
	ROW(SVC ".probes." name ".failure_threshold", INT, AT(probes[i].failure_threshold), LIVE,  \
	    RANGE(1, 1000), .def = "3", .doc = "Failures in a row that count as failed")

static const struct schema_row rows[] = {
	ROW("version", INT, HEAD(version), RANGE(1, 1), .flags = SCHEMA_REQUIRED,
	    .doc = "Version of the format: 1"),
	ROW("name", STRING, HEAD(name), .check = check_label, .def_note = "the directory's name",
	    .doc = "The apply set: applying a manifest touches nothing of other sets"),
	ROW("defaults", DEFAULTS, NONE,
	    .doc = "Keys of a service: what a service of this file does not say itself"),
	ROW("x-*", ANY, NONE, .doc = "Ignored: a place for anchors and for other tools"),
	ROW("services", SERVICES, NONE, .flags = SCHEMA_REQUIRED,
	    .doc = "The services by name; a name is a DNS label"),
	ROW(SVC, OBJECT, NONE, .doc = "One service"),
	ROW(SVC ".description", STRING, AT(description), LIVE, .def = "", .flags = SCHEMA_VERBATIM,
	    .doc = "One line for people"),
	ROW(SVC ".command", LIST, AT(command), REPLACE, RANGE(1, 4096),
	    .flags = SCHEMA_REQUIRED | SCHEMA_EXPANDED,
	    .doc = "Program and arguments; no shell is run unless it names one"),
	ROW(SVC ".working_dir", STRING, AT(working_dir), REPLACE, .check = check_given,
	    .def_note = "the manifest's directory",
	    .doc = "Where the command runs; relative to the manifest's directory"),
	ROW(SVC ".user", STRING, AT(user), REPLACE, .check = check_user,
	    .def_note = "under root: --default-user, else the caller",
	    .doc = "System user that the command runs as"),
	ROW(SVC ".group", STRING, AT(group), REPLACE, .check = check_group,
	    .def_note = "the user's own", .doc = "System group that the command runs as"),
	ROW(SVC ".umask", UMASK, AT(umask), REPLACE, RANGE(0, 0777), .def = "022",
	    .doc = "Permissions that new files of the command do not get, in octal"),
	ROW(SVC ".nice", INT, AT(nice), REPLACE, RANGE(-20, 19), .def = "0",
	    .doc = "CPU priority; 19 is the lowest, below 0 needs a root daemon"),
	ROW(SVC ".oom_score", INT, AT(oom_score), REPLACE, RANGE(-1000, 1000),
	    .flags = SCHEMA_UNSET, .def_note = "inherited",
	    .doc = "Who is killed first when memory is short: 1000 first, -1000 never"),
	ROW(SVC ".ulimits", OBJECT, NONE, REPLACE, .doc = "Limits of each process"),
	ULIMIT("as", SPEC_RLIMIT_AS, ANY_LIMIT, "Address space in bytes"),
	ULIMIT("core", SPEC_RLIMIT_CORE, ANY_LIMIT, "Size of a core file in bytes"),
	ULIMIT("cpu", SPEC_RLIMIT_CPU, ANY_LIMIT, "CPU time in seconds"),
	ULIMIT("data", SPEC_RLIMIT_DATA, ANY_LIMIT, "Data segment in bytes"),
	ULIMIT("fsize", SPEC_RLIMIT_FSIZE, ANY_LIMIT, "Size of a written file in bytes"),
	ULIMIT("locks", SPEC_RLIMIT_LOCKS, ANY_LIMIT, "File locks; Linux ignores it"),
	ULIMIT("memlock", SPEC_RLIMIT_MEMLOCK, ANY_LIMIT, "Locked memory in bytes"),
	ULIMIT("msgqueue", SPEC_RLIMIT_MSGQUEUE, ANY_LIMIT, "POSIX message queues in bytes"),
	ULIMIT("nice", SPEC_RLIMIT_NICE, 40, "Nice values it may take: 20 minus the lowest"),
	ULIMIT("nofile", SPEC_RLIMIT_NOFILE, ANY_LIMIT, "Open files"),
	ULIMIT("nproc", SPEC_RLIMIT_NPROC, ANY_LIMIT, "Processes and threads of the user"),
	ULIMIT("rss", SPEC_RLIMIT_RSS, ANY_LIMIT, "Resident memory; Linux ignores it"),
	ULIMIT("rtprio", SPEC_RLIMIT_RTPRIO, 99, "Highest real-time priority"),
	ULIMIT("rttime", SPEC_RLIMIT_RTTIME, ANY_LIMIT,
	       "Real-time CPU microseconds without a blocking call"),
	ULIMIT("sigpending", SPEC_RLIMIT_SIGPENDING, ANY_LIMIT, "Queued signals of the user"),
	ULIMIT("stack", SPEC_RLIMIT_STACK, ANY_LIMIT, "Stack in bytes"),
	ROW(SVC ".resources", OBJECT, NONE, LIVE, .doc = "What each replica may use"),
	ROW(SVC ".resources.limits", OBJECT, NONE, LIVE,
	    .doc = "Limits of each replica with all its descendants, kept by the kernel's cgroups"),
	ROW(SVC ".resources.limits.memory", SIZE, AT(resources.memory), LIVE,
	    RANGE(MIB, 1024 * TIB), .def_note = "no limit",
	    .doc = "Memory; a replica that needs more is killed"),
	ROW(SVC ".resources.limits.memory_high", SIZE, AT(resources.memory_high), LIVE,
	    RANGE(MIB, 1024 * TIB), .def_note = "no limit",
	    .doc = "Memory above which a replica is slowed and its pages are reclaimed"),
	ROW(SVC ".resources.limits.swap", SIZE, AT(resources.swap), LIVE, RANGE(0, 1024 * TIB),
	    .flags = SCHEMA_UNSET, .def_note = "no limit",
	    .doc = "Swap, which does not count as memory; 0 allows none"),
	ROW(SVC ".resources.limits.cpus", NUMBER, AT(resources.cpus), LIVE, RANGE(10, 1024000),
	    .def_note = "no limit",
	    .doc = "Processor time as a number of processors; 0.5 is half of one"),
	ROW(SVC ".resources.limits.cpu_weight", INT, AT(resources.cpu_weight), LIVE,
	    RANGE(1, 10000), .def_note = "100, as everything has",
	    .doc = "Share of processor time when there is not enough for all"),
	ROW(SVC ".resources.limits.io_weight", INT, AT(resources.io_weight), LIVE, RANGE(1, 10000),
	    .def_note = "100, as everything has",
	    .doc = "Share of the disks' time when there is not enough for all"),
	ROW(SVC ".resources.limits.pids", INT, AT(resources.pids), LIVE, RANGE(1, 4194304),
	    .def_note = "no limit", .doc = "Processes and threads together"),
	ROW(SVC ".resources.limits.cpuset", STRING, AT(resources.cpuset), LIVE,
	    .check = check_cpuset, .def_note = "all", .doc = "Processors it may run on, as 0-3,8"),
	ROW(SVC ".resources.limits.oom_group", BOOL, AT(resources.oom_group), LIVE, .def = "true",
	    .doc = "When memory runs out, is all of the replica killed or only one process?"),
	ROW(SVC ".resources.required", BOOL, AT(resources.required), LIVE, .def = "false",
	    .doc = "Is a limit that this machine cannot enforce an error? Else it is a warning"),
	ROW(SVC ".env_file", LIST, AT(env_file), LIVE, RANGE(0, 64), .flags = SCHEMA_ONE_OR_MANY,
	    .check = check_given, .def_note = "none",
	    .doc = "Files of NAME=value lines, read by the client; environment wins"),
	ROW(SVC ".environment", MAP, AT(environment), REPLACE, RANGE(0, 4096),
	    .flags = SCHEMA_EXPANDED | SCHEMA_SECRET, .check = check_variable, .def_note = "empty",
	    .doc = "Environment variables"),
	ROW(SVC ".secrets", TABLE, AT(secrets), REPLACE, RANGE(0, 64),
	    .size = sizeof(struct secret_spec), .check = check_secret_name, .def_note = "none",
	    .doc = "Files for this service only; ${secret:NAME} is the path of one"),
	ROW(SVC ".secrets.*", OBJECT, NONE, REPLACE, .flags = SCHEMA_ONE_OF,
	    .doc = "One secret, read by the client"),
	ROW(SVC ".secrets.*.file", STRING, IN_SECRET(file), LIVE, .flags = SCHEMA_CHOICE,
	    .check = check_given, .def_note = "none", .doc = "File that holds it"),
	ROW(SVC ".secrets.*.env", STRING, IN_SECRET(env), LIVE, .flags = SCHEMA_CHOICE,
	    .check = check_given, .def_note = "none",
	    .doc = "Variable of the client's environment that holds it"),
	ROW(SVC ".secrets.*.digest", INT, IN_SECRET(digest), REPLACE, .flags = SCHEMA_HIDDEN,
	    .def_note = "none", .doc = "What was read"),
	ROW(SVC ".labels", MAP, AT(labels), LIVE, RANGE(0, 1024), .flags = SCHEMA_VERBATIM,
	    .check = check_label_key, .def_note = "none",
	    .doc = "Texts for people and tools, as team: nlp"),
	ROW(SVC ".replicas", INT, AT(replicas), LIVE, RANGE(0, MANIFEST_REPLICAS_MAX), .def = "1",
	    .doc = "How many processes run the command"),
	ROW(SVC ".port", INT, AT(port), LIVE, RANGE(1, 65535), .def_note = "none",
	    .doc = "The service's stable port: short for ports.http.port"),
	ROW(SVC ".ports", TABLE, AT(ports), REPLACE, RANGE(0, MANIFEST_PORTS_MAX),
	    .size = sizeof(struct port_spec), .check = check_port_name, .def_note = "none",
	    .doc = "Ports by name; each replica has its own ${PORT_NAME} for every one"),
	ROW(SVC ".ports.*", OBJECT, NONE, REPLACE, .doc = "One port; {} when no key is needed"),
	ROW(SVC ".ports.*.port", INT, IN_PORT(port), LIVE, RANGE(1, 65535),
	    .def_note = "none: only the replicas have one", .doc = "The service's stable port"),
	ROW(SVC ".ports.*.listen", STRING, IN_PORT(listen), LIVE, .def = "127.0.0.1",
	    .check = check_address, .doc = "Numeric address of the stable port"),
	ROW(SVC ".ports.*.mode", ENUM, IN_PORT(mode), REPLACE, .def = "proxy", .names = "proxy",
	    .doc = "How the stable port leads to the replicas"),
	ROW(SVC ".ports.*.protocol", ENUM, IN_PORT(protocol), LIVE, .def = "http",
	    .names = "http|tcp", .doc = "What is spoken there"),
	ROW(SVC ".probes", OBJECT, NONE, LIVE, .doc = "How health is found out"),
	PROBE("startup", PROBE_STARTUP, "2s", 1,
	      "Has the service come up? The other probes wait until it has passed once"),
	ROW(SVC ".probes.startup.stall", DURATION, AT(probes[PROBE_STARTUP].stall_ms), LIVE,
	    RANGE(SECOND, 7 * DAY), .def = "120s",
	    .doc = "A replica that has not passed for that long is restarted"),
	PROBE("readiness", PROBE_READINESS, "10s", 1000,
	      "Can the replica take requests? Never restarts it"),
	FAILURES("readiness", PROBE_READINESS),
	PROBE("liveness", PROBE_LIVENESS, "10s", 1, "Does the replica work? Failing restarts it"),
	FAILURES("liveness", PROBE_LIVENESS),
	ROW(SVC ".restart", OBJECT, NONE, LIVE, .flags = SCHEMA_SHORTHAND,
	    .doc = "What happens after an exit; a bare word is the policy"),
	ROW(SVC ".restart.policy", ENUM, AT(restart.policy), LIVE, .def = "always",
	    .names = "always|on-failure|never", .flags = SCHEMA_BARE_NO,
	    .doc = "After which exits the command is started again"),
	ROW(SVC ".restart.success_exit_codes", INTS, AT(restart.success_exit_codes), LIVE,
	    RANGE(0, 255), .flags = SCHEMA_ONE_OR_MANY, .def = "0",
	    .doc = "Exit codes that are no failure"),
	ROW(SVC ".restart.rules", TABLE, AT(restart.rules), LIVE, RANGE(0, 64),
	    .flags = SCHEMA_LISTED, .size = sizeof(struct restart_rule), .def_note = "none",
	    .doc = "What certain exit codes mean; the first rule that names one decides"),
	ROW(SVC ".restart.rules.*", OBJECT, NONE, LIVE, .doc = "One rule"),
	ROW(SVC ".restart.rules.*.exit", INTS, IN_RULE(exit), LIVE, RANGE(0, 255),
	    .flags = SCHEMA_REQUIRED | SCHEMA_ONE_OR_MANY, .doc = "Exit codes"),
	ROW(SVC ".restart.rules.*.then", ENUM, IN_RULE(then), LIVE, .names = "restart|fail|succeed",
	    .flags = SCHEMA_REQUIRED, .doc = "Start again, give up, or be done"),
	ROW(SVC ".restart.backoff", OBJECT, NONE, LIVE, .doc = "The wait between attempts"),
	ROW(SVC ".restart.backoff.initial", DURATION, AT(restart.backoff_initial_ms), LIVE,
	    RANGE(0, DAY), .def = "1s", .doc = "First wait; 0 restarts always at once"),
	ROW(SVC ".restart.backoff.factor", NUMBER, AT(restart.backoff_factor), LIVE,
	    RANGE(1000, 100000), .def = "2", .doc = "Each wait is that much longer than the last"),
	ROW(SVC ".restart.backoff.max", DURATION, AT(restart.backoff_max_ms), LIVE, RANGE(0, DAY),
	    .def = "60s", .doc = "Longest wait"),
	ROW(SVC ".restart.backoff.jitter", NUMBER, AT(restart.backoff_jitter), LIVE, RANGE(0, 1000),
	    .def = "0.2", .doc = "Random share of the wait, up and down"),
	ROW(SVC ".restart.budget", OBJECT, NONE, LIVE, .doc = "When restarting is hopeless"),
	ROW(SVC ".restart.budget.restarts", INT, AT(restart.budget_restarts), LIVE,
	    RANGE(0, 100000), .def = "10", .doc = "Restarts allowed in the window; 0 = any number"),
	ROW(SVC ".restart.budget.window", DURATION, AT(restart.budget_window_ms), LIVE,
	    RANGE(SECOND, 7 * DAY), .def = "10m", .doc = "Window in which restarts are counted"),
	ROW(SVC ".restart.budget.then", ENUM, AT(restart.budget_then), LIVE, .def = "slow",
	    .names = "slow|fail", .doc = "Then: try every 5 minutes, or give up"),
	ROW(SVC ".stop", OBJECT, NONE, LIVE, .doc = "How a replica is stopped"),
	ROW(SVC ".stop.signal", SIGNAL, AT(stop_signal), LIVE, .def = "SIGTERM",
	    .doc = "Signal that asks the command to end"),
	ROW(SVC ".stop.grace_period", DURATION, AT(grace_period_ms), LIVE, RANGE(0, DAY),
	    .def = "30s", .doc = "What still runs after that is killed"),
	ROW(SVC ".stop.drain", DURATION, AT(drain_ms), LIVE, RANGE(0, DAY), .def = "30s",
	    .doc = "How long requests under way may take before the signal"),
	ROW(SVC ".logs", OBJECT, NONE, LIVE, .doc = "What is kept of the output"),
	ROW(SVC ".logs.max_size", SIZE, AT(log_max_size), LIVE, RANGE(64 * KIB, TIB),
	    .def = "20MiB", .doc = "Size at which a log file is closed and the next begun"),
	ROW(SVC ".logs.max_files", INT, AT(log_max_files), LIVE, RANGE(1, 1000), .def = "5",
	    .doc = "Log files kept of each replica"),
};

const struct schema_row *schema_rows(size_t *n)
{
	*n = ARRAY_SIZE(rows);
	return rows;
}

/* The length of the part of path before its last key, without the dot; 0 at the top. */
static size_t parent_len(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? (size_t)(dot - path) : 0;
}

static bool is_child(const struct schema_row *row, const struct schema_row *parent)
{
	const char *path = !parent ? "" : parent->type == SCHEMA_DEFAULTS ? SVC : parent->path;
	size_t len = strlen(path);

	return parent_len(row->path) == len && strncmp(row->path, path, len) == 0 &&
	       !(row->flags & SCHEMA_HIDDEN);
}

const struct schema_row *schema_find(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].path, path) == 0)
			return &rows[i];
	return NULL;
}

const struct schema_row *schema_next(const struct schema_row *parent, const struct schema_row *last)
{
	for (const struct schema_row *r = last ? last + 1 : rows; r < rows + ARRAY_SIZE(rows); r++)
		if (is_child(r, parent))
			return r;
	return NULL;
}

const struct schema_row *schema_child(const struct schema_row *parent, const char *key)
{
	const struct schema_row *r = NULL;

	while ((r = schema_next(parent, r)) != NULL)
		if (strcmp(schema_key(r), key) == 0 ||
		    (r->type == SCHEMA_ANY && strncmp(key, "x-", strlen("x-")) == 0))
			return r;
	return NULL;
}

const struct schema_row *schema_end(const struct schema_row *row)
{
	const struct schema_row *r = row + 1;

	while (r < rows + ARRAY_SIZE(rows) && schema_below(r, row))
		r++;
	return r;
}

bool schema_below(const struct schema_row *row, const struct schema_row *parent)
{
	size_t len = strlen(parent->path);

	return strncmp(row->path, parent->path, len) == 0 &&
	       (row->path[len] == '.' || row->path[len] == '\0');
}

const char *schema_shown(const struct schema_row *row)
{
	return strncmp(row->path, SVC ".", strlen(SVC ".")) == 0 ? row->path + strlen(SVC ".")
								 : row->path;
}

const char *schema_key(const struct schema_row *row)
{
	size_t len = parent_len(row->path);

	return row->path + len + (len > 0);
}

const char *schema_words(const struct schema_row *row, char *buf, size_t n)
{
	size_t len = 0;

	for (const char *p = row->names; *p && len + 3 < n; p++) {
		buf[len++] = *p == '|' ? ',' : *p;
		if (*p == '|')
			buf[len++] = ' ';
	}
	buf[len] = '\0';
	return buf;
}

static int parse_names(const struct schema_row *row, const char *text, int64_t *ret,
		       struct err **reterr)
{
	char words[SCHEMA_WORDS_SIZE];
	const char *p = row->names;

	for (int64_t i = 0;; i++) {
		size_t len = strcspn(p, "|");

		if (strlen(text) == len && strncmp(p, text, len) == 0) {
			*ret = i;
			return 0;
		}
		if (!p[len])
			break;
		p += len + 1;
	}
	return err_set(reterr, ERR_INVALID, "\"%s\" is not one of %s", text,
		       schema_words(row, words, sizeof(words)));
}

static int store_string(const struct schema_row *row, char **to, const char *text,
			struct err **reterr)
{
	const char *wrong = row->check ? row->check(text) : NULL;
	char *copy;

	if (wrong)
		return err_set(reterr, ERR_INVALID, "\"%s\" %s", text, wrong);
	copy = mem_strdup(text);
	if (!copy)
		return err_nomem(reterr);
	mem_free(*to);
	*to = copy;
	return 0;
}

static int store_port(const struct schema_row *row, char **to, const char *text,
		      struct err **reterr)
{
	int64_t number;
	int r = 0;

	if (text[0] && !text[strspn(text, "0123456789")])
		r = parse_i64(text, row->min, row->max, &number, reterr);
	else if (check_port_name(text))
		r = err_set(reterr, ERR_INVALID, "\"%s\" is neither a port's number nor a name",
			    text);
	return r < 0 ? r : store_string(row, to, text, reterr);
}

static int parse_bool(const char *text, int64_t *ret, struct err **reterr)
{
	*ret = strcasecmp(text, "true") == 0;
	if (*ret || strcasecmp(text, "false") == 0)
		return 0;
	return err_set(reterr, ERR_INVALID, "\"%s\" is neither true nor false", text);
}

/* The leading 0 is asked for: tools that write YAML turn 022 into 18. */
static int parse_umask(const struct schema_row *row, const char *text, int64_t *ret,
		       struct err **reterr)
{
	int64_t value = 0;

	if (text[0] != '0' || text[strspn(text, "01234567")] || strlen(text) > 5)
		return err_set(reterr, ERR_INVALID, "\"%s\" is not octal with a leading 0, as 022",
			       text);
	for (const char *p = text; *p; p++)
		value = value * 8 + (*p - '0');
	if (value < row->min || value > row->max)
		return err_set(reterr, ERR_INVALID, "%s is not in 0..0%llo", text,
			       (unsigned long long)row->max);
	*ret = value;
	return 0;
}

int schema_parse_limit(const struct schema_row *row, const char *text, int64_t *ret,
		       struct err **reterr)
{
	if (strcmp(text, "unlimited") == 0) {
		*ret = SPEC_UNLIMITED;
		return 0;
	}
	if (strcmp(text, "-1") == 0) {
		err_set(reterr, ERR_INVALID, "-1 is not a limit");
		return err_hint(reterr, "write unlimited");
	}
	return parse_i64(text, row->min, row->max, ret, reterr);
}

/* "soft:hard", or one for both. */
static int store_limit(const struct schema_row *row, struct spec_limit *to, const char *text,
		       struct err **reterr)
{
	const char *colon = strchr(text, ':');
	_cleanup_free_ char *soft = colon ? mem_strndup(text, (size_t)(colon - text)) : NULL;
	struct spec_limit v = {0};
	int r;

	if (colon && !soft)
		return err_nomem(reterr);
	r = schema_parse_limit(row, colon ? soft : text, &v.soft, reterr);
	if (r == 0)
		r = schema_parse_limit(row, colon ? colon + 1 : text, &v.hard, reterr);
	if (r < 0)
		return r;
	if (v.soft > v.hard)
		return err_set(reterr, ERR_INVALID, "\"%s\": the soft limit is above the hard one",
			       text);
	*to = v;
	return 0;
}

/* One more number. */
static int store_ints(const struct schema_row *row, struct spec_ints *to, const char *text,
		      struct err **reterr)
{
	int64_t value, *v;
	int r = parse_i64(text, row->min, row->max, &value, reterr);

	if (r < 0)
		return r;
	v = mem_realloc(to->v, to->n + 1, sizeof(*v));
	if (!v)
		return err_nomem(reterr);
	to->v = v;
	to->v[to->n++] = value;
	return 0;
}

static int parse_number(const struct schema_row *row, const char *text, int64_t *ret,
			struct err **reterr)
{
	int sig = 0, r;

	if (row->type == SCHEMA_INT)
		return parse_i64(text, row->min, row->max, ret, reterr);
	if (row->type == SCHEMA_DURATION)
		return parse_duration_ms(text, row->min, row->max, ret, reterr);
	if (row->type == SCHEMA_SIZE)
		return parse_size(text, row->min, row->max, ret, reterr);
	if (row->type == SCHEMA_ENUM)
		return parse_names(row, text, ret, reterr);
	if (row->type == SCHEMA_UMASK)
		return parse_umask(row, text, ret, reterr);
	if (row->type == SCHEMA_BOOL)
		return parse_bool(text, ret, reterr);
	if (row->type != SCHEMA_SIGNAL)
		return err_set(reterr, ERR_INVALID, "not a single value");
	r = parse_signal(text, &sig, reterr);
	*ret = sig;
	return r;
}

int schema_store(const struct schema_row *row, void *base, const char *text, struct err **reterr)
{
	void *to = (char *)base + row->offset;
	int64_t value = 0;
	int r;

	if (row->type == SCHEMA_STRING)
		return store_string(row, to, text, reterr);
	if (row->type == SCHEMA_PORTREF)
		return store_port(row, to, text, reterr);
	if (row->type == SCHEMA_LIMIT)
		return store_limit(row, to, text, reterr);
	if (row->type == SCHEMA_INTS)
		return store_ints(row, to, text, reterr);
	if (row->type == SCHEMA_NUMBER)
		return parse_double(text, (double)row->min / 1000, (double)row->max / 1000, to,
				    reterr);
	r = parse_number(row, text, &value, reterr);
	if (r == 0)
		*(int64_t *)to = value;
	return r;
}

/* What a field without a default holds that zero would not say. */
static int store_nothing(const struct schema_row *row, void *base)
{
	void *to = row->offset == NONE ? base : (char *)base + row->offset;

	if (row->type == SCHEMA_LIMIT)
		*(struct spec_limit *)to = (struct spec_limit){SPEC_UNSET, SPEC_UNSET};
	else if (row->flags & SCHEMA_UNSET)
		*(int64_t *)to = SPEC_UNSET;
	else if (row->type == SCHEMA_PORTREF)
		return (*(char **)to = mem_strdup("")) ? 0 : -ERR_NOMEM;
	return 0;
}

static int store_defaults(const struct schema_row *parent, void *base)
{
	const struct schema_row *end = schema_end(parent);

	for (const struct schema_row *row = parent + 1; row < end; row++) {
		/* the tests prove that every default is valid */
		if ((row->def ? schema_store(row, base, row->def, NULL)
			      : store_nothing(row, base)) < 0)
			return -ERR_NOMEM;
		if (row->type == SCHEMA_TABLE)
			row = schema_end(row) - 1; /* its elements come later */
	}
	return 0;
}

int schema_defaults(struct service_spec *s)
{
	int r = store_defaults(schema_find(SVC), s);

	s->probes[PROBE_STARTUP].failure_threshold = 1; /* no key: stall is what counts */
	return r;
}

int schema_element_defaults(const struct schema_row *table, void *element)
{
	return store_defaults(table + 1, element);
}

static void free_table(const struct schema_row *row, struct spec_table *table)
{
	for (size_t i = 0; i < table->n; i++) {
		void *element = (char *)table->v + i * row->size;

		if (!(row->flags & SCHEMA_LISTED))
			mem_free(*(char **)element);
		schema_free_fields(row + 1, element);
	}
	mem_free(table->v);
	*table = (struct spec_table){0};
}

void schema_free_fields(const struct schema_row *parent, void *base)
{
	const struct schema_row *end = schema_end(parent);

	for (const struct schema_row *row = parent + 1; row < end; row++) {
		void *field = row->offset == NONE ? base : (char *)base + row->offset;

		if (row->type == SCHEMA_STRING || row->type == SCHEMA_PORTREF)
			mem_free(*(char **)field);
		else if (row->type == SCHEMA_LIST || row->type == SCHEMA_MAP)
			mem_strv_free(*(char ***)field);
		else if (row->type == SCHEMA_INTS)
			mem_free(((struct spec_ints *)field)->v);
		if (row->type == SCHEMA_TABLE) {
			free_table(row, field);
			row = schema_end(row) - 1;
		}
	}
}
