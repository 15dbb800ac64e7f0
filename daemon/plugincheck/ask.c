/* ask: see ask.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/plugincheck/ask.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "daemon/plugincheck/check.h"
#include "daemon/plugincheck/job.h"
#include "daemon/plugincheck/report.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define SPEC_MAX (4 << 20)
#define WORDS_MAX 1024

static const char no_memory[] = "out of memory";

/* Before it is handed over: it may end at once, and its number is the next one. */
static struct job *begin(struct check *c, enum host_kind kind, const char *unit)
{
	struct job *j = job_new(c, kind, unit);
	struct report r;

	if (!j)
		return NULL;
	r = report_begin(c, "begin");
	jsonw_int(&r.w, "op", (int64_t)c->host.last_op + 1);
	jsonw_string(&r.w, "command", host_kind_name(kind));
	if (*unit)
		jsonw_string(&r.w, "unit", unit);
	report_end(&r);
	return j;
}

static size_t gather_labels(const struct check *c, const char *unit, struct aictl_pair *out)
{
	const struct aictl_pair fixed[] = {{AICTL_LABEL_INSTANCE, c->instance},
					   {AICTL_LABEL_SERVICE, "check"},
					   {AICTL_LABEL_INDEX, "0"},
					   {AICTL_LABEL_INCARNATION, unit},
					   {AICTL_LABEL_REVISION, "1"}};
	size_t n = 0;

	memcpy(out, c->labels, c->n_labels * sizeof(*out));
	n = c->n_labels;
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		bool given = false;

		for (size_t k = 0; k < c->n_labels; k++)
			given = given || strcmp(c->labels[k].key, fixed[i].key) == 0;
		if (!given)
			out[n++] = fixed[i];
	}
	return n;
}

const char *ask_start(struct check *c, const char *unit, const char *spec)
{
	_cleanup_free_ char *from_file = NULL;
	struct aictl_pair labels[CHECK_LABELS_MAX + 8];
	struct aictl_start what = {
		.struct_size = sizeof(what), .unit = unit, .stdout_fd = -1, .stderr_fd = -1};
	struct job *j;

	if (*spec == '@' && fs_read_file(spec + 1, SPEC_MAX, &from_file, NULL, NULL) < 0)
		return "that file cannot be read";
	what.spec = from_file ? from_file : spec;
	what.spec_len = strlen(what.spec);
	what.n_labels = gather_labels(c, unit, labels);
	what.labels = labels;
	j = begin(c, HOST_START, unit);
	if (!j)
		return no_memory;
	if (!host_can(&c->host, HOST_LOGS) &&
	    !job_pipes(j, true, &what.stdout_fd, &what.stderr_fd)) {
		job_drop(j);
		return NULL;
	}
	return job_begun(j, host_start(&c->host, &what, job_reply(j))) ? NULL : no_memory;
}

/* What exec is to be told, as the host hands it over. */
struct words {
	const char *argv[WORDS_MAX + 1];
	const char *env[WORDS_MAX + 1];
	char *owned[WORDS_MAX + 1];
};

static const char *read_words(const cJSON *tree, struct words *w)
{
	const cJSON *argv = cJSON_GetObjectItemCaseSensitive(tree, "argv");
	const cJSON *env = cJSON_GetObjectItemCaseSensitive(tree, "env");
	const cJSON *item;
	size_t n = 0;

	cJSON_ArrayForEach (item, argv) {
		if (!cJSON_IsString(item) || n == WORDS_MAX)
			return "argv is an array of strings";
		w->argv[n++] = item->valuestring;
	}
	if (n == 0)
		return "argv is missing";
	n = 0;
	cJSON_ArrayForEach (item, env) {
		if (!cJSON_IsString(item) || n == WORDS_MAX)
			return "env is an object of strings";
		w->owned[n] = mem_printf("%s=%s", item->string, item->valuestring);
		if (!w->owned[n])
			return no_memory;
		w->env[n] = w->owned[n];
		n++;
	}
	return NULL;
}

static const char *text_of(const cJSON *tree, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(tree, key);

	return cJSON_IsString(item) ? item->valuestring : NULL;
}

static uint32_t number_of(const cJSON *tree, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(tree, key);

	return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 10000
		       ? (uint32_t)item->valuedouble
		       : 0;
}

static const char *exec_with(struct check *c, const char *unit, const cJSON *tree, struct words *w)
{
	struct aictl_exec what = {
		.struct_size = sizeof(what),
		.tty = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "tty")),
		.unit = unit,
		.argv = w->argv,
		.environment = w->env,
		.user = text_of(tree, "user"),
		.working_dir = text_of(tree, "working_dir"),
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = -1,
		.rows = number_of(tree, "rows"),
		.columns = number_of(tree, "columns")};
	const char *input = text_of(tree, "stdin");
	struct job *j = begin(c, HOST_EXEC, unit);
	bool ok;

	if (!j)
		return no_memory;
	if (what.tty) {
		ok = job_terminal(j, &what.stdout_fd);
		what.stdin_fd = what.stdout_fd;
	} else {
		ok = job_pipes(j, true, &what.stdout_fd, &what.stderr_fd) &&
		     (!input || job_input(j, input, &what.stdin_fd));
	}
	if (!ok) {
		job_drop(j);
		return NULL;
	}
	return job_begun(j, host_exec(&c->host, &what, job_reply(j))) ? NULL : no_memory;
}

const char *ask_exec(struct check *c, const char *unit, const char *json)
{
	cJSON *tree = cJSON_ParseWithOpts(json, NULL, 1);
	struct words *w = mem_alloc(sizeof(*w));
	const char *why;

	if (!w)
		why = no_memory;
	else if (!cJSON_IsObject(tree))
		why = "that is no JSON object";
	else
		why = read_words(tree, w);
	if (!why)
		why = exec_with(c, unit, tree, w);
	for (size_t i = 0; w && w->owned[i]; i++)
		mem_free(w->owned[i]);
	mem_free(w);
	cJSON_Delete(tree);
	return why;
}

void ask_signal(struct check *c, const char *unit, int signal_number)
{
	struct job *j = begin(c, HOST_SIGNAL, unit);

	if (j)
		job_begun(j, host_signal(&c->host, unit, signal_number, job_reply(j)));
}

void ask_remove(struct check *c, const char *unit)
{
	struct job *j = begin(c, HOST_REMOVE, unit);

	if (j)
		job_begun(j, host_remove(&c->host, unit, job_reply(j)));
}

void ask_list(struct check *c)
{
	struct job *j = begin(c, HOST_LIST, "");

	if (j)
		job_begun(j, host_list(&c->host, job_reply(j)));
}

void ask_stats(struct check *c, const char *unit)
{
	struct job *j = begin(c, HOST_STATS, unit);

	if (j)
		job_begun(j, host_stats(&c->host, unit, job_reply(j)));
}

void ask_logs(struct check *c, const char *unit, struct aictl_log_position from)
{
	struct aictl_logs what = {.struct_size = sizeof(what), .unit = unit, .from = from};
	struct job *j = begin(c, HOST_LOGS, unit);

	if (j && !job_pipes(j, false, &what.stdout_fd, &what.stderr_fd))
		job_drop(j);
	else if (j)
		job_begun(j, host_logs(&c->host, &what, job_reply(j)));
}

static void on_closed(void *user, uint64_t op, const struct aictl_result *result)
{
	struct check *c = user;
	struct report r = report_begin(c, "closed");

	(void)op;
	jsonw_string(&r.w, "code", host_code_name(result->code));
	report_end(&r);
	loop_stop(&c->loop, 0);
}

void ask_close(struct check *c)
{
	const struct host_reply reply = {.user = c, .ended = on_closed};

	if (c->closing)
		return;
	c->closing = true;
	if (host_close(&c->host, &reply) == 0)
		loop_stop(&c->loop, 0);
}
