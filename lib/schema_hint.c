/* schema_hint: see schema_hint.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/schema_hint.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/schema.h"

#define WORD_MAX 40 /* longer words get no hint */
#define DISTANCE_MAX 2
#define LIMITS "services.*.resources.limits"

/* Keys of the design that this version cannot do yet; they move into the table one by one. */
static const struct {
	const char *parent, *keys;
} unbuilt[] = {
	{"services.*", "metrics|models"},
};

const char schema_hint_signals[] = "SIGTERM|SIGINT|SIGHUP|SIGQUIT|SIGKILL|SIGUSR1|SIGUSR2|SIGABRT|"
				   "SIGWINCH|SIGCONT|SIGSTOP|SIGALRM|TERM|INT|HUP|QUIT|KILL|USR1|"
				   "USR2|ABRT|WINCH|CONT|STOP|ALRM";

/* Other tools' words, and keys that stand in the wrong place. parent "*" = anywhere. */
static const struct {
	const char *parent, *key, *hint;
} sayings[] = {
	{"services.*", "env", "write environment"},
	{"services.*", "cmd", "write command"},
	{"services.*", "args", "put the arguments into command"},
	{"services.*", "build", "build the image first, and write image: NAME"},
	{"services.*", "container_name", "a container is named after its service and replica"},
	{"services.*", "network_mode", "write network: host"},
	{"services.*", "networks", "write network: NAME"},
	{"services.*", "tmpfs", "write volumes: [{ type: tmpfs, target: /tmp }]"},
	{"services.*", "privileged", "write what it needs: cap_add, devices, security_opt"},
	{"services.*", "ipc", "write shm_size: 8GiB for more shared memory"},
	{"services.*", "cpus", "write resources: { limits: { cpus: ... } }"},
	{"services.*", "cwd", "write working_dir"},
	{"services.*", "workdir", "write working_dir"},
	{"services.*", "directory", "write working_dir"},
	{"services.*", "scale", "write replicas"},
	{"services.*", "scaling", "write replicas: { min: 1, max: 4 }"},
	{"services.*", "min_replicas", "write replicas: { min: 1, max: 4 }"},
	{"services.*", "max_replicas", "write replicas: { min: 1, max: 4 }"},
	{"services.*", "canary", "write update: { strategy: canary, steps: [5%/2m, 100%] }"},
	{"services.*", "deploy", "write replicas, and resources: { limits: ... }"},
	{"services.*", "mem_limit", "write resources: { limits: { memory: ... } }"},
	{"services.*", "memswap_limit",
	 "write resources: { limits: { swap: ... } }; it is the swap alone"},
	{"services.*", "mem_reservation",
	 "nothing is reserved; resources.limits.memory_high is a soft limit"},
	{"services.*", "cpu_shares",
	 "write resources: { limits: { cpu_weight: ... } }, 1 to 10000, 100 as everything has"},
	{"services.*", "cpu_quota", "write resources: { limits: { cpus: ... } }"},
	{"services.*", "cpu_count", "write resources: { limits: { cpus: ... } }"},
	{"services.*", "cpuset_cpus", "write resources: { limits: { cpuset: ... } }"},
	{"services.*", "pids_limit", "write resources: { limits: { pids: ... } }"},
	{"services.*", "blkio_config", "write resources: { limits: { io_weight: ... } }"},
	{"services.*.resources", "requests", "nothing is reserved; write limits"},
	{"services.*.resources", "reservations", "nothing is reserved; write limits"},
	{"services.*.resources.limits", "cpu", "write cpus"},
	{"services.*.resources.limits", "mem", "write memory"},
	{"*", "MemoryMax", "write resources: { limits: { memory: ... } }"},
	{"*", "MemoryHigh", "write resources: { limits: { memory_high: ... } }"},
	{"*", "MemorySwapMax", "write resources: { limits: { swap: ... } }"},
	{"*", "CPUQuota", "write resources: { limits: { cpus: ... } }; 150% is 1.5"},
	{"*", "CPUWeight", "write resources: { limits: { cpu_weight: ... } }"},
	{"*", "IOWeight", "write resources: { limits: { io_weight: ... } }"},
	{"*", "TasksMax", "write resources: { limits: { pids: ... } }"},
	{"*", "AllowedCPUs", "write resources: { limits: { cpuset: ... } }"},
	{"services.*", "healthcheck", "write probes: { readiness: { http: { path: /health } } }"},
	{"services.*", "stop_signal", "write stop: { signal: ... }"},
	{"services.*", "stop_grace_period", "write stop: { grace_period: ... }"},
	{"services.*", "oom_score_adj", "write oom_score"},
	{"services.*", "expose", "write ports: { NAME: {} }"},
	{"services.*", "logging", "write logs"},
	{"services.*", "readinessProbe", "write probes: { readiness: ... }"},
	{"services.*", "livenessProbe", "write probes: { liveness: ... }"},
	{"services.*", "startupProbe", "write probes: { startup: ... }"},
	{"services.*.probes.startup", "failure_threshold",
	 "a startup probe gives up after stall (default 120s)"},
	{"services.*.probes.readiness", "stall", "only a startup probe has stall"},
	{"services.*.probes.liveness", "stall", "only a startup probe has stall"},
	{"services.*.probes.startup", "notify", "write readiness: { notify: true }"},
	{"services.*.probes.liveness", "notify", "write watchdog: 30s"},
	{"services.*", "WatchdogSec", "write watchdog"},
	{"services.*", "notification_fd", "write probes: { readiness: { notify_fd: 3 } }"},
	{"services.*.stop", "timeout", "write grace_period"},
	{"services.*.restart.backoff", "maximum", "write max"},
	{"*", "tcpSocket", "write tcp"},
	{"*", "test", "write exec: { command: [...] }"},
	{"*", "interval", "write period"},
	{"*", "retries", "write failure_threshold"},
	{"*", "httpGet", "write http"},
};

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Damerau-Levenshtein (adjacent transpositions), case ignored; SIZE_MAX for long words. */
static size_t distance(const char *a, size_t la, const char *b, size_t lb)
{
	size_t d[WORD_MAX + 1][WORD_MAX + 1];

	if (la > WORD_MAX || lb > WORD_MAX)
		return SIZE_MAX;
	for (size_t i = 0; i <= la; i++) {
		for (size_t j = 0; j <= lb; j++) {
			if (i == 0 || j == 0) {
				d[i][j] = i + j;
				continue;
			}
			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1,
				       d[i - 1][j - 1] + ((a[i - 1] | 0x20) != (b[j - 1] | 0x20)));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[la][lb];
}

const char *schema_hint_nearest(const char *names, const char *text, size_t *ret_len)
{
	size_t best = DISTANCE_MAX + 1, len = strlen(text);
	const char *found = NULL;

	for (const char *p = names; *p;) {
		size_t n = strcspn(p, "|"), d = distance(p, n, text, len);

		if (d < best && d < n) {
			best = d;
			found = p;
			*ret_len = n;
		}
		p += n + (p[n] == '|');
	}
	return found;
}

static const char *path_of(const struct schema_row *parent)
{
	return parent ? parent->path : "";
}

bool schema_hint_unbuilt(const struct schema_row *parent, const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; i < ARRAY_SIZE(unbuilt); i++) {
		if (strcmp(unbuilt[i].parent, path_of(parent)) != 0)
			continue;
		for (const char *p = unbuilt[i].keys; *p;) {
			size_t n = strcspn(p, "|");

			if (n == len && strncmp(p, key, n) == 0)
				return true;
			p += n + (p[n] == '|');
		}
	}
	return false;
}

static const char *saying(const struct schema_row *parent, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(sayings); i++)
		if (strcmp(sayings[i].key, key) == 0 &&
		    (strcmp(sayings[i].parent, "*") == 0 ||
		     strcmp(sayings[i].parent, path_of(parent)) == 0))
			return sayings[i].hint;
	return NULL;
}

const struct schema_row *schema_hint_row(const struct schema_row *parent, const char *key)
{
	const struct schema_row *r = NULL, *found = NULL;
	size_t best = DISTANCE_MAX + 1;

	while ((r = schema_next(parent, r)) != NULL) {
		const char *name = schema_key(r);
		size_t d = distance(name, strlen(name), key, strlen(key));

		if (d < best && d < strlen(name)) {
			best = d;
			found = r;
		}
	}
	return found;
}

/* The row of that very key deeper inside parent; for the top and a service, anywhere. */
static const struct schema_row *misplaced(const struct schema_row *parent, const char *key)
{
	bool anywhere = !parent || strcmp(parent->path, "services.*") == 0;
	const struct schema_row *all, *elsewhere = NULL;
	size_t n;

	all = schema_rows(&n);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(schema_key(&all[i]), key) != 0 || strcmp(key, "*") == 0)
			continue;
		if (parent && schema_below(&all[i], parent))
			return &all[i];
		if (anywhere && !elsewhere)
			elsewhere = &all[i];
	}
	return elsewhere;
}

static char *misplaced_hint(const struct schema_row *parent, const struct schema_row *row)
{
	const char *shown = schema_shown(row);

	if (parent && schema_below(row, parent))
		return mem_printf("did you mean %s?", shown);
	if (shown == row->path)
		return mem_printf("\"%s\" belongs to the top of the file", shown);
	if (strcmp(shown, schema_key(row)) == 0)
		return mem_printf("\"%s\" belongs to a service", shown);
	return mem_printf("\"%s\" belongs to a service, as %s", schema_key(row), shown);
}

#define KEYS_SHOWN 16 /* more are no help to anybody */

/* No idea: "known keys are a, b, c". */
static char *known_keys(const struct schema_row *parent)
{
	const struct schema_row *r = NULL;
	struct buf b = {0};
	size_t n = 0;

	while ((r = schema_next(parent, r)) != NULL) {
		n++;
		buf_printf(&b, "%s%s", b.len ? ", " : "known keys are ", schema_key(r));
	}
	if (n > KEYS_SHOWN) {
		buf_done(&b);
		return mem_strdup("aictl explain shows the known keys");
	}
	return buf_take(&b);
}

char *schema_hint_key(const struct schema_row *parent, const char *key)
{
	const char *said = saying(parent, key);
	const struct schema_row *row;

	if (said)
		return mem_strdup(said);
	if (parent && strcmp(parent->path, LIMITS) == 0 && !key[strspn(key, "0123456789-")])
		return mem_strdup("put a list of processors in quotes: cpuset: \"0-3,8\"");
	if (strncmp(key, "x-", strlen("x-")) == 0)
		return mem_strdup("x-... stands at the top of the file");
	row = schema_hint_row(parent, key);
	if (row)
		return mem_printf("did you mean \"%s\"?", schema_key(row));
	row = misplaced(parent, key);
	return row ? misplaced_hint(parent, row) : known_keys(parent);
}

const char *schema_hint_table(const struct schema_row *row)
{
	const char *key = schema_key(row);

	if (strcmp(key, "ports") == 0)
		return "write ports: { http: { port: 8000 }, metrics: {} }";
	if (strcmp(key, "secrets") == 0)
		return "write secrets: { NAME: { file: PATH } }";
	if (strcmp(key, "depends_on") == 0)
		return "write depends_on: { NAME: { condition: ready } }";
	if (strncmp(key, "pre_", 4) == 0 || strncmp(key, "post_", 5) == 0)
		return "write it as a list: [{ exec: { command: [PROGRAM] } }]";
	if (strcmp(key, "rules") == 0)
		return "write rules: [{ exit: [125], then: fail }]";
	return NULL;
}

/* What others call our units, in lower case; a bare number of a duration is seconds. */
static const struct {
	enum schema_type type;
	const char *unit, *names;
} units[] = {
	{SCHEMA_DURATION, "s", "||s|sec|secs|second|seconds|"},
	{SCHEMA_DURATION, "m", "|m|min|mins|minute|minutes|"},
	{SCHEMA_DURATION, "h", "|h|hr|hrs|hour|hours|"},
	{SCHEMA_DURATION, "d", "|d|day|days|"},
	{SCHEMA_DURATION, "ms", "|ms|msec|msecs|milliseconds|"},
	{SCHEMA_SIZE, "KiB", "|k|ki|kib|"},
	{SCHEMA_SIZE, "MiB", "||m|mi|mib|"}, /* few bytes: rather that many of these */
	{SCHEMA_SIZE, "GiB", "|g|gi|gib|"},
	{SCHEMA_SIZE, "TiB", "|t|ti|tib|"},
	{SCHEMA_SIZE, "kB", "|kb|kilobytes|"},
	{SCHEMA_SIZE, "MB", "|mb|megabytes|"},
	{SCHEMA_SIZE, "GB", "|gb|gigabytes|"},
	{SCHEMA_SIZE, "TB", "|tb|terabytes|"},
	{SCHEMA_SIZE, "B", "|b|byte|bytes|"},
};

/* "did you mean 10s?" when the row takes that. value is taken. */
static char *mean_value(const struct schema_row *row, char *value)
{
	int64_t parsed;
	bool good = value &&
		    (row->type == SCHEMA_SIZE
			     ? parse_size(value, row->min, row->max, &parsed, NULL)
			     : parse_duration_ms(value, row->min, row->max, &parsed, NULL)) == 0;
	char *hint = good ? mem_printf("did you mean %s?", value) : NULL;

	mem_free(value);
	return hint;
}

/* What elsewhere stands for no limit at all. */
static bool is_endless(const struct schema_row *row, const char *text)
{
	return strncmp(row->path, LIMITS ".", strlen(LIMITS ".")) == 0 &&
	       (strcmp(text, "-1") == 0 || strcasecmp(text, "unlimited") == 0 ||
		strcasecmp(text, "infinity") == 0 || strcasecmp(text, "max") == 0);
}

static char *mean_bool(const char *text)
{
	static const char *const words[][2] = {{"yes", "true"}, {"on", "true"},	  {"1", "true"},
					       {"no", "false"}, {"off", "false"}, {"0", "false"}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(words[i][0], text) == 0)
			return mem_printf("write %s", words[i][1]);
	return NULL;
}

/* "500m" of Kubernetes, "50%" of systemd. */
static char *mean_number(const struct schema_row *row, const char *text)
{
	size_t n = strlen(text);
	_cleanup_free_ char *number = n > 1 ? mem_strndup(text, n - 1) : NULL;
	double value, part = n > 1 && text[n - 1] == 'm'   ? 1000
			     : n > 1 && text[n - 1] == '%' ? 100
							   : 0;

	if (!number || part == 0 || parse_double(number, 0, 1e9, &value, NULL) < 0 ||
	    value / part < (double)row->min / 1000 || value / part > (double)row->max / 1000)
		return NULL;
	return mem_printf("did you mean %.10g?", value / part);
}

/* Compose's words. */
static char *mean_condition(const char *text)
{
	static const char *const words[][2] = {{"service_started", "started"},
					       {"service_healthy", "ready"},
					       {"healthy", "ready"},
					       {"service_completed_successfully", "completed"}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i][0], text) == 0)
			return mem_printf("write %s", words[i][1]);
	return NULL;
}

char *schema_hint_units(const struct schema_row *row, const char *text)
{
	size_t number = strspn(text, "0123456789."), n = 1;
	const char *word = text + number + strspn(text + number, " ");
	char name[16] = "|";

	if (is_endless(row, text))
		return mem_strdup("leave it out for no limit");
	if (row->type == SCHEMA_NUMBER)
		return mean_number(row, text);
	if (row->type == SCHEMA_BOOL)
		return mean_bool(text);
	if (row->type == SCHEMA_ENUM)
		return mean_condition(text);
	if (number == 0 || text[0] == '.' || strlen(word) + 3 > sizeof(name))
		return NULL;
	for (; *word; word++)
		name[n++] = (char)(*word >= 'A' && *word <= 'Z' ? *word | 0x20 : *word);
	name[n] = '|';
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (units[i].type == row->type && strstr(units[i].names, name))
			return mean_value(row,
					  mem_printf("%.*s%s", (int)number, text, units[i].unit));
	return NULL;
}
