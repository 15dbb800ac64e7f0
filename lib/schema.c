/*
 * schema: see schema.h. To add a key: a member of struct service_spec, one ROW here, a line in the
 * tests' table of ranges. Decoder, defaults, change class and documentation follow from the row.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/schema.h"

#include <arpa/inet.h>
#include <string.h>

#include "lib/err.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define KIB INT64_C(1024)
#define TIB (KIB * KIB * KIB * KIB)

bool schema_is_label(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= MANIFEST_NAME_MAX && !text[n] && text[0] != '-' && text[n - 1] != '-';
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

static const char *check_user(const char *text)
{
	if (!text[0] || strlen(text) > 255 || strpbrk(text, ":/ \t\n") || text[0] == '-')
		return "must be the name or number of a user";
	return NULL;
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

#define NONE SCHEMA_NO_FIELD
#define HEAD(field) offsetof(struct schema_head, field)
#define AT(field) offsetof(struct service_spec, field)
#define ROW(p, t, off, ...)                                                                        \
	{                                                                                          \
		.path = (p), .type = SCHEMA_##t, .offset = (off), __VA_ARGS__                      \
	}
#define SVC "services.*"
#define LIVE .change = CHANGE_LIVE
#define REPLACE .change = CHANGE_REPLACE
#define RANGE(lo, hi) .min = (lo), .max = (hi)

/* The keys that every probe has. */
#define PROBE(name, i, every, max_successes, text)                                                 \
	ROW(SVC ".probes." name, OBJECT, AT(probes[i].enabled), LIVE, .def_note = "no probe",      \
	    .doc = text),                                                                          \
		ROW(SVC ".probes." name ".http", OBJECT, NONE, LIVE, .flags = SCHEMA_REQUIRED,     \
		    .doc = "GET this; 200 to 399 is success"),                                     \
		ROW(SVC ".probes." name ".http.path", STRING, AT(probes[i].path), LIVE,            \
		    .def = "/", .check = check_url_path, .doc = "Path and query to ask for"),      \
		ROW(SVC ".probes." name ".http.host", STRING, AT(probes[i].host), LIVE,            \
		    .def = "127.0.0.1", .check = check_address, .doc = "Numeric address to ask"),  \
		ROW(SVC ".probes." name ".http.port", INT, AT(probes[i].port), LIVE,               \
		    RANGE(1, 65535), .def_note = "the replica's own ${PORT}",                      \
		    .doc = "Port to ask"),                                                         \
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
	ROW(SVC ".environment", MAP, AT(environment), REPLACE, RANGE(0, 4096),
	    .flags = SCHEMA_EXPANDED, .def_note = "empty", .doc = "Environment variables"),
	ROW(SVC ".replicas", INT, AT(replicas), LIVE, RANGE(0, MANIFEST_REPLICAS_MAX), .def = "1",
	    .doc = "How many processes run the command"),
	ROW(SVC ".port", INT, AT(port), REPLACE, RANGE(1, 65535), .def_note = "none",
	    .doc = "The service's stable port; each replica gets its own ${PORT}"),
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
	size_t len = parent ? strlen(parent->path) : 0;

	return parent_len(row->path) == len &&
	       strncmp(row->path, parent ? parent->path : "", len) == 0;
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
		if (strcmp(schema_key(r), key) == 0)
			return r;
	return NULL;
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

static int parse_number(const struct schema_row *row, const char *text, int64_t *ret,
			struct err **reterr)
{
	int sig = 0, r;

	switch (row->type) {
	case SCHEMA_INT:
		return parse_i64(text, row->min, row->max, ret, reterr);
	case SCHEMA_DURATION:
		return parse_duration_ms(text, row->min, row->max, ret, reterr);
	case SCHEMA_SIZE:
		return parse_size(text, row->min, row->max, ret, reterr);
	case SCHEMA_ENUM:
		return parse_names(row, text, ret, reterr);
	case SCHEMA_SIGNAL:
		r = parse_signal(text, &sig, reterr);
		*ret = sig;
		return r;
	case SCHEMA_OBJECT:
	case SCHEMA_SERVICES:
	case SCHEMA_STRING:
	case SCHEMA_NUMBER:
	case SCHEMA_LIST:
	case SCHEMA_MAP:
	case SCHEMA_TYPE_MAX_:
	default:
		return err_set(reterr, ERR_INVALID, "not a single value");
	}
}

int schema_store(const struct schema_row *row, void *base, const char *text, struct err **reterr)
{
	void *to = (char *)base + row->offset;
	int64_t value = 0;
	int r;

	if (row->type == SCHEMA_STRING)
		return store_string(row, to, text, reterr);
	if (row->type == SCHEMA_NUMBER)
		return parse_double(text, (double)row->min / 1000, (double)row->max / 1000, to,
				    reterr);
	r = parse_number(row, text, &value, reterr);
	if (r == 0)
		*(int64_t *)to = value;
	return r;
}

int schema_defaults(struct service_spec *s)
{
	const struct schema_row *service = schema_find(SVC);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].def || !schema_below(&rows[i], service))
			continue;
		if (schema_store(&rows[i], s, rows[i].def, NULL) < 0)
			return -ERR_NOMEM; /* the tests prove that every default is valid */
	}
	s->probes[PROBE_STARTUP].failure_threshold = 1; /* no key: stall is what counts */
	return 0;
}
