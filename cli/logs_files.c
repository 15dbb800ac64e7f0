/* logs_files: see logs_files.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/logs_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define KEEP_MAX 1000000

static bool is_prune(const struct args *args)
{
	return strcmp(args->operands[0], "prune") == 0;
}

static bool is_among(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static void check_option(const struct args *args, const char *name, bool meant)
{
	static const char *const prunes[] = {"older-than", "keep", "all", "dry-run"};
	bool prune = is_among(name, prunes, ARRAY_SIZE(prunes));

	if (prune && !(meant && is_prune(args)))
		report_usage(args->command, "--%s is for \"logs prune\" only", name);
	for (const struct option_spec *g = args_global_options; g->name; g++)
		if (strcmp(g->name, name) == 0)
			return;
	if (meant && !prune && strcmp(name, "output") != 0)
		report_usage(args->command, "--%s is not for \"logs %s\"", name, args->operands[0]);
}

bool logs_files_is_meant(const struct args *args)
{
	bool meant = args->n_operands > 0 && (strcmp(args->operands[0], "rotate") == 0 ||
					      strcmp(args->operands[0], "prune") == 0);

	for (size_t i = 0; i < args->n_options; i++)
		check_option(args, args->options[i].spec->name, meant);
	return meant;
}

/* ---- which services ---- */

struct names {
	char **v;
	size_t n, cap;
};

static void add_name(struct names *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i], name) == 0)
			return;
	x_grow(&s->v, &s->cap, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = x_strdup(name);
}

/* lost+found is none. */
static bool is_service_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && s[n] == '\0' && n <= MANIFEST_NAME_MAX && s[0] != '-';
}

/* Services of which there are files; false: we may not look. */
static bool add_directories(struct names *s, const char *log_dir)
{
	DIR *d = opendir(log_dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		struct stat st;

		if (is_service_name(e->d_name) &&
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(st.st_mode))
			add_name(s, e->d_name);
	}
	if (d)
		closedir(d);
	return d != NULL;
}

static void add_all(struct names *s, struct client *client, bool prune)
{
	_cleanup_reply_ struct reply services = {0}, d = {0};
	const cJSON *v;

	client_get(client, "/v1/services", &services);
	cJSON_ArrayForEach (v, js_get(services.json, "services"))
		add_name(s, js_str(v, "name", "?"));
	if (!prune)
		return;
	client_get(client, "/v1/daemon", &d);
	if (!add_directories(s, js_str(d.json, "log_dir", "")))
		report_warning(
			"the log directory cannot be read, so of deleted services only those "
			"that are named are looked at");
}

/* ---- asking ---- */

static char *body_of(const struct args *args, const char *operand)
{
	char service[MANIFEST_NAME_MAX + 1];
	_cleanup_err_ struct err *e = NULL;
	_cleanup_buf_ struct buf b = {0};
	int replica;

	if (parse_replica_id(operand, service, &replica, &e) < 0)
		report_usage(args->command, "%s", err_msg(e));
	buf_printf(&b, "{\"service\":\"%s\"", service);
	if (replica >= 0)
		buf_printf(&b, ",\"replica\":%d", replica);
	if (is_prune(args)) {
		int64_t older = args_duration(args, "older-than", 0);
		int64_t keep = args_number(args, "keep", 0, KEEP_MAX, 0);
		bool chosen = older > 0 || args_value(args, "keep", NULL) || args_flag(args, "all");

		buf_printf(&b, ",\"older_than_ms\":%lld,\"keep\":%lld,\"gone\":%s,\"dry_run\":%s",
			   (long long)older, (long long)keep, chosen ? "false" : "true",
			   args_flag(args, "dry-run") ? "true" : "false");
	}
	buf_char(&b, '}');
	return x_check(buf_take(&b));
}

/* Ends with 2 before any daemon is looked for. */
static void check(const struct args *args)
{
	mem_free(body_of(args, "any"));
	for (size_t i = 1; i < args->n_operands; i++)
		mem_free(body_of(args, args->operands[i]));
}

static void add_sum(cJSON *o, const cJSON *services, const char *name)
{
	const cJSON *s;
	double sum = 0;

	cJSON_ArrayForEach (s, services)
		sum += (double)js_int(s, name, 0);
	x_check(cJSON_AddNumberToObject(o, name, sum));
}

static cJSON *ask(struct client *client, const struct args *args, const struct names *names)
{
	static const char *const sums[] = {"files", "bytes", "kept_files", "kept_bytes",
					   "failed_files"};
	cJSON *o = x_check(cJSON_CreateObject());
	cJSON *services = x_check(cJSON_AddArrayToObject(o, "services"));
	const char *path = is_prune(args) ? "/v1/logs/prune" : "/v1/logs/rotate";

	for (size_t i = 0; i < names->n; i++) {
		_cleanup_free_ char *body = body_of(args, names->v[i]);
		struct reply r = {0};

		bool gone = client_send(client, "POST", path, body, &r) == 404;

		/* of all: deleted in the meantime, or a directory in which nothing is */
		if (!gone || args->n_operands > 1) {
			client_check(&r);
			cJSON_AddItemToArray(services, TAKE_PTR(r.json));
		}
		client_reply_done(&r);
	}
	for (size_t i = 0; i < (is_prune(args) ? ARRAY_SIZE(sums) : 1); i++)
		add_sum(o, services, sums[i]);
	return o;
}

/* ---- showing ---- */

static void print_sum(const cJSON *o, bool dry_run)
{
	long long failed = js_int(o, "failed_files", 0);
	_cleanup_free_ char *files = text_count(js_int(o, "files", 0), "file");
	_cleanup_free_ char *bytes = text_bytes(js_int(o, "bytes", 0));
	_cleanup_free_ char *kept = text_count(js_int(o, "kept_files", 0), "file");
	_cleanup_free_ char *kept_bytes = text_bytes(js_int(o, "kept_bytes", 0));

	printf("%s %s, %s; %s, %s stay\n", dry_run ? "would delete" : "deleted", files, bytes, kept,
	       kept_bytes);
	if (failed)
		report_warning("%lld files could not be deleted: see the daemon's log", failed);
}

static void prune_table(const struct output *out, const cJSON *o)
{
	struct table t = {.term = &out->cli->term};
	const cJSON *s, *services = js_get(o, "services");
	bool dry_run = js_bool(cJSON_GetArrayItem(services, 0), "dry_run");

	table_header(&t, "SERVICE", dry_run ? "WOULD GO" : "DELETED", "SIZE", "STAY", "SIZE", NULL);
	cJSON_ArrayForEach (s, services) {
		_cleanup_free_ char *size = text_bytes(js_int(s, "bytes", 0));
		_cleanup_free_ char *kept = text_bytes(js_int(s, "kept_bytes", 0));

		table_row(&t);
		table_cell(&t, "", "%s", js_str(s, "service", "?"));
		table_cell(&t, "", "%lld", (long long)js_int(s, "files", 0));
		table_cell(&t, "", "%s", size);
		table_cell(&t, "", "%lld", (long long)js_int(s, "kept_files", 0));
		table_cell(&t, "", "%s", kept);
	}
	if (cJSON_GetArraySize(services) > 0)
		table_print(&t);
	table_done(&t);
	print_sum(o, dry_run);
}

static void rotate_table(const struct output *out, const cJSON *o)
{
	_cleanup_free_ char *files = text_count(js_int(o, "files", 0), "file");

	(void)out;
	printf("%s closed; the next line begins a new one\n", files);
}

int logs_files_run(struct cli *cli, const struct args *args)
{
	const struct output_view view = {.table = is_prune(args) ? prune_table : rotate_table,
					 .list = "services",
					 .id = "service"};
	_cleanup_client_ struct client *client = NULL;
	_cleanup_js_ cJSON *o = NULL;
	struct names names = {0};
	struct output out;

	check(args);
	client = client_open(cli);
	output_begin(&out, cli, args);
	for (size_t i = 1; i < args->n_operands; i++)
		add_name(&names, args->operands[i]);
	if (names.n == 0)
		add_all(&names, client, is_prune(args));
	o = ask(client, args, &names);
	output_json(&out, &view, o);
	for (size_t i = 0; i < names.n; i++)
		mem_free(names.v[i]);
	mem_free(names.v);
	return js_int(o, "failed_files", 0) ? CODE_FAILED : CODE_OK;
}
