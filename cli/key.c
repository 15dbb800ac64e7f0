/* key: see key.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/key.h"

#include <stdbool.h>
#include <string.h>

#include "cli/suggest.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/manifest_write.h"
#include "lib/mem.h"
#include "lib/schema.h"

/* Examples where the default, or the first of the keys inside, would say little. */
static const struct {
	const char *path, *value;
} examples[] = {
	{".logs.to", "[file, journald]"},
	{"name", "shop"},
	{"defaults", "{ restart: { policy: on-failure } }"},
	{"services", "{ chat: { command: [python3, app.py] } }"},
	{"x-*", "{ anything: goes }"},
	{"services.*", "{ command: [python3, app.py] }"},
	{"services.*.description", "Sentiment of a sentence"},
	{"services.*.command", "[python3, app.py, --port, \"${PORT}\"]"},
	{"services.*.working_dir", "./sentiment"},
	{"services.*.user", "nobody"},
	{"services.*.group", "nogroup"},
	{"services.*.umask", "027"},
	{"services.*.nice", "5"},
	{"services.*.oom_score", "500"},
	{"services.*.ulimits", "{ nofile: 1024, core: 0 }"},
	{"services.*.ulimits.nofile", "\"1024:4096\""},
	{"services.*.resources", "{ limits: { memory: 2GiB, cpus: 1.5, pids: 512 } }"},
	{"services.*.resources.limits", "{ memory: 2GiB, cpus: 1.5, pids: 512 }"},
	{"services.*.resources.limits.memory", "2GiB"},
	{"services.*.resources.limits.memory_high", "1536MiB"},
	{"services.*.resources.limits.swap", "0"},
	{"services.*.resources.limits.cpus", "1.5"},
	{"services.*.resources.limits.cpu_weight", "50"},
	{"services.*.resources.limits.io_weight", "50"},
	{"services.*.resources.limits.pids", "512"},
	{"services.*.resources.limits.cpuset", "\"0-3\""},
	{"services.*.resources.limits.oom_group", "false"},
	{"services.*.resources.required", "true"},
	{"services.*.image", "vllm/vllm-openai:v0.11.0"},
	{"services.*.runtime", "podman"},
	{"services.*.pull_policy", "always"},
	{"services.*.entrypoint", "[python3, -m, app]"},
	{"services.*.volumes", "[\"./models:/models:ro\", \"cache:/var/cache\"]"},
	{"services.*.volumes.*",
	 "{ type: bind, source: ./models, target: /models, read_only: true }"},
	{"services.*.volumes.*.type", "bind"},
	{"services.*.volumes.*.source", "./models"},
	{"services.*.volumes.*.target", "/models"},
	{"services.*.volumes.*.read_only", "true"},
	{"services.*.volumes.*.size", "256MiB"},
	{"services.*.network", "host"},
	{"services.*.hostname", "chat-${REPLICA}"},
	{"services.*.devices", "[/dev/kvm]"},
	{"services.*.devices.*", "{ source: /dev/ttyUSB0, target: /dev/modem, permissions: rw }"},
	{"services.*.devices.*.source", "/dev/ttyUSB0"},
	{"services.*.devices.*.target", "/dev/modem"},
	{"services.*.devices.*.permissions", "rw"},
	{"services.*.gpus", "all"},
	{"services.*.gpus.count", "1"},
	{"services.*.gpus.device_ids", "[\"0\", \"1\"]"},
	{"services.*.gpus.driver", "nvidia"},
	{"services.*.gpus.capabilities", "[gpu, utility]"},
	{"services.*.gpus.cdi", "[nvidia.com/gpu=0]"},
	{"services.*.shm_size", "8GiB"},
	{"services.*.init", "true"},
	{"services.*.read_only", "true"},
	{"services.*.cap_add", "[SYS_PTRACE]"},
	{"services.*.cap_drop", "[ALL]"},
	{"services.*.security_opt", "[no-new-privileges]"},
	{"services.*.group_add", "[video]"},
	{"services.*.ports.*.container_port", "8000"},
	{"services.*.env_file", "[.env]"},
	{"services.*.environment", "{ MODEL: models/v3.joblib, OMP_NUM_THREADS: \"2\" }"},
	{"services.*.secrets", "{ hf-token: { file: ~/.secrets/hf } }"},
	{"services.*.secrets.*", "{ file: ~/.secrets/hf }"},
	{"services.*.secrets.*.file", "~/.secrets/hf"},
	{"services.*.secrets.*.env", "HF_TOKEN"},
	{"services.*.labels", "{ team: nlp }"},
	{"services.*.replicas", "2"},
	{"services.*.replicas.min", "0"},
	{"services.*.replicas.max", "4"},
	{"services.*.autoscale", "{ metric: concurrency, target: 4 }"},
	{"services.*.autoscale.metric", "concurrency"},
	{"services.*.autoscale.metrics", "[{ metric: concurrency }, { metric: cpu }]"},
	{"services.*.autoscale.metrics.*", "{ metric: cpu, target: 80 }"},
	{"services.*.autoscale.metrics.*.metric", "cpu"},
	{".target", "4"},
	{".autoscale.name", "requests_waiting"},
	{".metrics.*.name", "requests_waiting"},
	{"services.*.autoscale.schedule", "[{ cron: \"30 8 * * 1-5\", for: 10h, min: 2 }]"},
	{"services.*.autoscale.schedule.*", "{ cron: \"30 8 * * 1-5\", for: 10h, min: 2 }"},
	{"services.*.autoscale.schedule.*.cron", "\"30 8 * * 1-5\""},
	{"services.*.autoscale.schedule.*.for", "10h"},
	{"services.*.autoscale.schedule.*.min", "2"},
	{"services.*.autoscale.schedule.*.max", "4"},
	{"services.*.autoscale.schedule.*.timezone", "Europe/Vienna"},
	{"services.*.idle", "10m"},
	{"services.*.concurrency", "8"},
	{"services.*.affinity", "{ header: X-Session-Id }"},
	{"services.*.affinity.header", "X-Session-Id"},
	{"services.*.retry", "unsafe"},
	{"services.*.timeouts.total", "5m"},
	{"services.*.access_log", "0.01"},
	{"services.*.update.strategy", "canary"},
	{"services.*.update.steps", "[5%/2m, 25%/5m, 100%]"},
	{"services.*.port", "8000"},
	{"services.*.ports", "{ http: { port: 8000 }, metrics: {} }"},
	{"services.*.ports.*", "{ port: 8000 }"},
	{"services.*.ports.*.port", "8000"},
	{"services.*.ports.*.listen", "0.0.0.0"},
	{"services.*.probes", "{ readiness: { http: { path: /ready, port: 8000 } } }"},
	{"services.*.probes.startup", "{ http: { path: /healthz, port: 8000 }, stall: 5m }"},
	{"services.*.probes.readiness", "{ http: { path: /ready, port: 8000 }, period: 5s }"},
	{"services.*.probes.liveness", "{ http: { path: /healthz, port: 8000 }, period: 10s }"},
	{"services.*.warmup.*.http", "{ path: /generate, port: 8000, method: POST, body: \"{}\" }"},
	{"services.*.reload.http", "{ path: /reload, port: 8000, method: POST }"},
	{".http", "{ path: /healthz, port: 8000 }"},
	{".http.headers", "{ Accept: text/plain }"},
	{".http.body", "'{ \"input\": \"hello\" }'"},
	{".expect", "{ status: 200, json: { status: ok } }"},
	{".expect.status", "[200, 204]"},
	{".expect.json", "{ status: ok }"},
	{".http.max_latency", "500ms"},
	{".grpc", "{ service: embeddings.v1.Embeddings, port: 8000 }"},
	{".grpc.service", "embeddings.v1.Embeddings"},
	{".grpc.port", "8000"},
	{".file", "{ path: heartbeat, max_age: 1m }"},
	{".file.path", "heartbeat"},
	{".file.max_age", "1m"},
	{".log", "{ pattern: model loaded }"},
	{".log.pattern", "model loaded"},
	{"services.*.probes.startup.deadline", "30m"},
	{"services.*.probes.readiness.notify", "true"},
	{"services.*.probes.liveness.progress",
	 "{ metric: tokens_total, pending: requests_running, port: 8000 }"},
	{".progress.port", "8000"},
	{".progress.metric", "tokens_total"},
	{".progress.pending", "requests_running"},
	{".http.path", "/healthz"},
	{".tcp", "{ port: 6379 }"},
	{".http.port", "8000"},
	{".tcp.port", "6379"},
	{".exec", "{ command: [sh, -c, test -e ready] }"},
	{".exec.command", "[sh, -c, test -e ready]"},
	{"services.*.watchdog", "30s"},
	{"services.*.type", "task"},
	{"services.*.retries", "3"},
	{"services.*.timeout", "10m"},
	{"services.*.run_again", "always"},
	{"services.*.schedule", "{ cron: \"0 3 * * *\", timezone: Europe/Vienna }"},
	{"services.*.schedule.cron", "\"0 3 * * *\""},
	{"services.*.schedule.every", "6h"},
	{"services.*.schedule.timezone", "Europe/Vienna"},
	{"services.*.schedule.missed", "run"},
	{"services.*.depends_on", "{ tokenizer: { condition: ready } }"},
	{"services.*.depends_on.*", "{ condition: ready }"},
	{"services.*.depends_on.*.condition", "ready"},
	{"services.*.depends_on.*.required", "false"},
	{"services.*.depends_on.*.timeout", "5m"},
	{"services.*.on_dependency_restart", "restart"},
	{"services.*.restart.max_age", "7d"},
	{"services.*.restart.max_memory", "8GiB"},
	{"services.*.update", "{ max_surge: 25%, min_ready: 30s, on_failure: pause }"},
	{"services.*.update.order", "stop-first"},
	{"services.*.update.max_surge", "25%"},
	{"services.*.update.max_unavailable", "25%"},
	{"services.*.update.pause_after", "1"},
	{"services.*.update.on_failure", "pause"},
	{"services.*.reload", "{ signal: SIGHUP }"},
	{"services.*.reload.signal", "SIGHUP"},
	{"services.*.hooks", "{ pre_start: [{ exec: { command: [./make-index] } }] }"},
	{"services.*.hooks.pre_start.*.exec", "{ command: [./make-index] }"},
	{"services.*.hooks.pre_start.*.exec.command", "[./make-index]"},
	{"services.*.restart", "{ policy: on-failure, budget: { restarts: 5, window: 10m } }"},
	{"services.*.restart.policy", "on-failure"},
	{"services.*.restart.success_exit_codes", "[0, 143]"},
	{"services.*.restart.rules", "[{ exit: [125], then: fail }]"},
	{"services.*.restart.rules.*", "{ exit: [125], then: fail }"},
	{"services.*.restart.rules.*.exit", "[125, 126]"},
	{"services.*.restart.rules.*.then", "fail"},
};

static bool ends_in(const char *path, const char *end)
{
	size_t n = strlen(path), len = strlen(end);

	return n > len && strcmp(path + n - len, end) == 0;
}

/* --- finding ---------------------------------------------------------------------------- */

static bool is_index(const char *part)
{
	return part[0] && part[strspn(part, "0123456789")] == '\0';
}

/* The row of one part below row (NULL = the top). */
static const struct schema_row *step(const struct schema_row *row, const char *part)
{
	const struct schema_row *r;

	if (!row)
		return schema_child(NULL, part);
	if (row->type == SCHEMA_MAP || row->type == SCHEMA_ANY || row->type == SCHEMA_TREE)
		return row; /* the user's own names */
	if ((row->type == SCHEMA_LIST || row->type == SCHEMA_INTS) && is_index(part))
		return row;
	r = schema_child(row, part);
	if (!r && (row->type == SCHEMA_SERVICES || row->type == SCHEMA_TABLE))
		r = schema_next(row, NULL);
	return r;
}

/* Follows the parts of text from row; NULL with the row where it ended and the part it lacks. */
static const struct schema_row *follow(const struct schema_row *row, const char *text,
				       const struct schema_row **ret_at, char **ret_part)
{
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, ".");
		_cleanup_free_ char *part = x_strndup(p, n);
		const struct schema_row *next = step(row, part);

		if (!next) {
			*ret_at = row;
			*ret_part = TAKE_PTR(part);
			return NULL;
		}
		row = next;
		p += n + (p[n] == '.');
	}
	return row;
}

/* Rows whose path ends in ".text"; the last of them. */
static size_t count_ending(const char *text, const struct schema_row **ret)
{
	_cleanup_free_ char *end = x_printf(".%s", text);
	const struct schema_row *rows;
	size_t n, found = 0;

	rows = schema_rows(&n);
	for (size_t i = 0; i < n; i++) {
		if ((rows[i].flags & SCHEMA_HIDDEN) || !ends_in(rows[i].path, end))
			continue;
		*ret = &rows[i];
		found++;
	}
	return found;
}

/* "meant: a.period, b.period, ..." */
static char *list_ending(const char *text)
{
	_cleanup_free_ char *end = x_printf(".%s", text);
	const struct schema_row *rows;
	struct buf b = {0};
	size_t n;

	rows = schema_rows(&n);
	for (size_t i = 0; i < n; i++)
		if (!(rows[i].flags & SCHEMA_HIDDEN) && ends_in(rows[i].path, end))
			buf_printf(&b, "%s%s", b.len ? ", " : "one of ", schema_shown(&rows[i]));
	return x_check(buf_take(&b));
}

static void offer_children(struct suggest *s, const struct schema_row *at)
{
	const struct schema_row *r = NULL;

	while ((r = schema_next(at, r)) != NULL)
		suggest_offer(s, schema_key(r));
}

/* The nearest key where text leaves the table; the whole path of it. */
static char *nearest(const struct schema_row *at, const char *part)
{
	const struct schema_row *service = schema_find("services.*"), *rows;
	struct suggest s = {.wanted = part};
	size_t n;

	offer_children(&s, at);
	if (!at || at == service) {
		offer_children(&s, NULL);
		offer_children(&s, service);
	}
	if (s.best) {
		const struct schema_row *r = at ? schema_child(at, s.best) : NULL;

		r = r ? r : schema_child(NULL, s.best);
		r = r ? r : schema_child(service, s.best);
		return x_printf("did you mean %s?", schema_shown(r));
	}
	rows = schema_rows(&n);
	for (size_t i = 0; i < n; i++)
		suggest_offer(&s, schema_key(&rows[i]));
	return s.best ? x_printf("did you mean %s?", s.best) : NULL;
}

/* "restart.rules[0].exit", as errors name it, with points alone. */
static char *without_brackets(const char *key)
{
	char *text = x_strdup(key), *to = text;

	for (; *key; key++)
		if (*key != ']')
			*to++ = *key == '[' ? '.' : *key;
	*to = '\0';
	return text;
}

const struct schema_row *key_find(const char *key, char **ret_hint)
{
	const struct schema_row *at = NULL, *top_at = NULL, *row;
	_cleanup_free_ char *part = NULL, *top_part = NULL, *text = without_brackets(key);

	*ret_hint = NULL;
	row = follow(NULL, text, &top_at, &top_part);
	if (!row && *text)
		row = follow(schema_find("services.*"), text, &at, &part);
	if (row || !*text)
		return row;
	switch (count_ending(text, &row)) {
	case 0:
		/* What went further is what was meant. */
		*ret_hint = top_at ? nearest(top_at, top_part) : nearest(at, part);
		return NULL;
	case 1:
		return row;
	default:
		*ret_hint = list_ending(text);
		return NULL;
	}
}

/* --- words ------------------------------------------------------------------------------ */

const char *key_type(const struct schema_row *row)
{
	static const char *const names[SCHEMA_TYPE_MAX_] = {
		[SCHEMA_OBJECT] = "map",
		[SCHEMA_SERVICES] = "map of services",
		[SCHEMA_STRING] = "text",
		[SCHEMA_INT] = "whole number",
		[SCHEMA_NUMBER] = "number",
		[SCHEMA_DURATION] = "duration",
		[SCHEMA_SIZE] = "size",
		[SCHEMA_ENUM] = "word",
		[SCHEMA_SIGNAL] = "signal",
		[SCHEMA_LIST] = "list of texts",
		[SCHEMA_MAP] = "map of texts",
		[SCHEMA_UMASK] = "octal number",
		[SCHEMA_LIMIT] = "limit",
		[SCHEMA_INTS] = "list of whole numbers",
		[SCHEMA_PORTREF] = "port or its name",
		[SCHEMA_TABLE] = "map of maps",
		[SCHEMA_DEFAULTS] = "map",
		[SCHEMA_BOOL] = "true or false",
		[SCHEMA_SHARE] = "number or share",
		[SCHEMA_TREE] = "map of anything",
		[SCHEMA_ANY] = "anything",
	};

	if (row->type == SCHEMA_TABLE && (row->flags & SCHEMA_LISTED))
		return row[1].brief ? "list of texts or maps" : "list of maps";
	return names[row->type];
}

static char *words(const struct schema_row *row)
{
	struct buf b = {0};

	for (const char *p = row->names; *p;) {
		size_t n = strcspn(p, "|");
		bool last = !p[n];

		buf_printf(&b, "%s%.*s", p == row->names ? "" : last ? " or " : ", ", (int)n, p);
		p += n + !last;
	}
	return x_check(buf_take(&b));
}

/* "unlimited", or 9223372036854775806 would stand there. */
static bool is_endless(const struct schema_row *row)
{
	return row->max >= INT64_MAX - 1;
}

char *key_range(const struct schema_row *row)
{
	char lo[MANIFEST_WRITE_NUMBER_SIZE], hi[MANIFEST_WRITE_NUMBER_SIZE];

	switch (row->type) {
	case SCHEMA_ENUM:
		return words(row);
	case SCHEMA_LIMIT:
		if (is_endless(row))
			return x_strdup("a number, unlimited, \"SOFT:HARD\" or { soft, hard }");
		return x_printf("0 to %s, unlimited, \"SOFT:HARD\" or { soft, hard }",
				manifest_write_number(row, row->max, hi));
	case SCHEMA_LIST:
	case SCHEMA_MAP:
	case SCHEMA_TABLE:
		if (row->max == 0)
			return x_strdup("");
		return x_printf("%s to %lld entries", row->min ? "1" : "0", (long long)row->max);
	default:
		if (row->min == row->max && row->max == 0)
			return x_strdup("");
		if (row->min == row->max)
			return x_strdup(manifest_write_number(row, row->min, lo));
		return x_printf("%s to %s", manifest_write_number(row, row->min, lo),
				manifest_write_number(row, row->max, hi));
	}
}

const char *key_default(const struct schema_row *row)
{
	if (row->flags & SCHEMA_REQUIRED)
		return "must be given";
	if (row->def && row->def[0])
		return row->def;
	return row->def_note ? row->def_note : "";
}

const char *key_change(const struct schema_row *row)
{
	return row->change == CHANGE_REPLACE ? "replace" : row->change == CHANGE_LIVE ? "live" : "";
}

const char *key_change_text(const struct schema_row *row)
{
	if (row->change == CHANGE_REPLACE)
		return "a change replaces the replicas";
	return row->change == CHANGE_LIVE ? "a change takes effect without touching a process" : "";
}

/* --- examples --------------------------------------------------------------------------- */

static const char *example_of(const struct schema_row *row)
{
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		const char *path = examples[i].path;

		if (path[0] == '.' ? ends_in(row->path, path) : strcmp(row->path, path) == 0)
			return examples[i].value;
	}
	return row->def && row->def[0] ? row->def : NULL;
}

static const struct schema_row *parent_of(const struct schema_row *row)
{
	const char *dot = strrchr(row->path, '.');
	_cleanup_free_ char *path = dot ? x_strndup(row->path, (size_t)(dot - row->path)) : NULL;

	return path ? schema_find(path) : NULL;
}

static char *value_of(const struct schema_row *row)
{
	const char *given = example_of(row);
	const struct schema_row *first;
	_cleanup_free_ char *inside = NULL;
	char lo[MANIFEST_WRITE_NUMBER_SIZE];

	if (given)
		return x_strdup(given);
	first = schema_next(row, NULL);
	if (!first)
		return x_strdup(manifest_write_number(row, row->min, lo));
	inside = value_of(first);
	if (row->flags & SCHEMA_LISTED)
		return x_printf("[%s]", inside);
	return x_printf("{ %s: %s }", schema_key(first), inside);
}

/* What must stand beside certain keys. */
static const struct {
	const char *path, *beside;
} companies[] = {
	{"services.*.restart.rules.*.exit", "then: fail, "},
	{"services.*.restart.rules.*.then", "exit: [125], "},
	{"services.*.replicas.min", "max: 4, "},
	{"services.*.autoscale.name", "metric: prometheus, target: 4, "},
	{"services.*.autoscale.target", "metric: concurrency, "},
	{"services.*.autoscale.metrics.*.target", "metric: concurrency, "},
	{".metrics.*.name", "metric: prometheus, target: 4, "},
	{".metrics.*.path", "metric: prometheus, name: requests_waiting, target: 4, "},
	{".metrics.*.port", "metric: prometheus, name: requests_waiting, target: 4, "},
	{"services.*.autoscale.schedule.*.cron", "for: 10h, "},
	{"services.*.autoscale.schedule.*.for", "cron: \"30 8 * * 1-5\", "},
	{".schedule.*.min", "cron: \"30 8 * * 1-5\", for: 10h, "},
	{".schedule.*.max", "cron: \"30 8 * * 1-5\", for: 10h, "},
	{".schedule.*.timezone", "cron: \"30 8 * * 1-5\", for: 10h, "},
	{".volumes.*.type", "source: ./models, target: /models, "},
	{".volumes.*.source", "type: bind, target: /models, "},
	{".volumes.*.target", "type: bind, source: ./models, "},
	{".volumes.*.read_only", "type: bind, source: ./models, target: /models, "},
	{".volumes.*.size", "type: tmpfs, target: /tmp, "},
	{".devices.*.target", "source: /dev/ttyUSB0, "},
	{".devices.*.permissions", "source: /dev/ttyUSB0, "},
	{"services.*.warmup.*.timeout", "http: { path: /generate, port: 8000 }, "},
	{".http.port", ""},
	{".http.body", "port: 8000, method: POST, "},
	{".tcp.host", "port: 8000, "},
	{".file.max_age", "path: heartbeat, "},
	{".progress.metric", "pending: requests_running, "},
	{".progress.pending", "metric: tokens_total, "},
	{".progress.path", "metric: tokens_total, pending: requests_running, "},
	{".progress.host", "metric: tokens_total, pending: requests_running, "},
	{".progress.port", "metric: tokens_total, pending: requests_running, "},
	{".progress.stall", "metric: tokens_total, pending: requests_running, "},
};

/* One of the choices that parent must have. */
static const char *choice(const struct schema_row *parent)
{
	if (strcmp(parent->path, "services.*.schedule") == 0)
		return "cron: \"0 3 * * *\", ";
	if (strcmp(parent->path, "services.*.autoscale") == 0)
		return "metric: prometheus, name: requests_waiting, target: 4, ";
	if (strcmp(parent->path, "services.*.reload") == 0)
		return "http: { path: /reload, port: 8000 }, ";
	if (strstr(parent->path, ".hooks."))
		return "exec: { command: [./make-index] }, ";
	return "tcp: { port: 8000 }, ";
}

/* What else must stand beside row in its parent for the example to be whole: "http: {}, ". */
static const char *company(const struct schema_row *row, const struct schema_row *parent)
{
	for (size_t i = 0; i < ARRAY_SIZE(companies); i++) {
		const char *path = companies[i].path;

		if (path[0] == '.' ? ends_in(row->path, path) : strcmp(row->path, path) == 0)
			return companies[i].beside;
	}
	if ((parent->flags & SCHEMA_ONE_OF) && !(row->flags & SCHEMA_CHOICE))
		return choice(parent);
	return ends_in(parent->path, ".http") ? "port: 8000, " : "";
}

/* The name of a "*" in an example. */
static const char *shown_key(const struct schema_row *row, const struct schema_row *parent)
{
	if (strcmp(schema_key(row), "*") != 0)
		return strcmp(row->path, "x-*") == 0 ? "x-notes" : schema_key(row);
	if (parent->type == SCHEMA_SERVICES)
		return "chat";
	if (strcmp(schema_key(parent), "depends_on") == 0)
		return "tokenizer";
	return strcmp(schema_key(parent), "secrets") == 0 ? "hf-token" : "http";
}

char *key_example(const struct schema_row *row)
{
	const struct schema_row *service = schema_find("services.*"), *parent = parent_of(row);
	char *text = value_of(row), *next;

	for (;; row = parent, parent = parent_of(row)) {
		if (parent && (parent->flags & SCHEMA_LISTED)) {
			next = x_printf("[%s]", text);
			mem_free(text);
			text = next;
			continue;
		}
		next = x_printf("%s: %s", shown_key(row, parent), text);
		mem_free(text);
		text = next;
		if (!parent || parent == service || row == service)
			return text;
		next = x_printf("{ %s%s }", company(row, parent), text);
		mem_free(text);
		text = next;
	}
}
