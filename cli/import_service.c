/* import_service: see import_service.h. Keys without a counterpart stand in one table, with what to say
 * of each; what is in no table is a key that Compose got later. */
/* SPDX-License-Identifier: MIT */
#include "cli/import_service.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "cli/compose.h"
#include "cli/compose_merge.h"
#include "cli/compose_value.h"
#include "cli/import.h"
#include "cli/import_deploy.h"
#include "cli/import_gpus.h"
#include "cli/import_health.h"
#include "cli/import_mounts.h"
#include "cli/import_network.h"
#include "cli/import_out.h"
#include "cli/import_ports.h"
#include "cli/suggest.h"
#include "cli/x.h"
#include "cli/yaml_out.h"
#include "lib/buf.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/schema_check.h"
#include "lib/yamltree.h"

/* note NULL: a part reads it, or nothing is lost. */
static const struct {
	const char *key, *note;
} known[] = {
	{"annotations", "no counterpart; `labels` are given to the engine, too"},
	{"attach", NULL},
	{"blkio_config", "no counterpart"},
	{"build", NULL},
	{"cap_add", NULL},
	{"cap_drop", NULL},
	{"cgroup", "no counterpart"},
	{"cgroup_parent", "aictl has control groups of its own"},
	{"command", NULL},
	{"configs", NULL},
	{"container_name", NULL},
	{"cpu_period", NULL},
	{"cpu_quota", NULL},
	{"cpu_shares", NULL},
	{"cpus", NULL},
	{"cpuset", NULL},
	{"depends_on", NULL},
	{"deploy", NULL},
	{"develop", "building and watching is `docker compose`'s"},
	{"devices", NULL},
	{"dns", "the engine's own DNS is used"},
	{"dns_opt", "the engine's own DNS is used"},
	{"dns_search", "the engine's own DNS is used"},
	{"domainname", "write it into `hostname`"},
	{"entrypoint", NULL},
	{"env_file", NULL},
	{"environment", NULL},
	{"expose", NULL}, /* says what an image does; nothing follows from it */
	{"external_links", "use a network that both are in"},
	{"extra_hosts", "no counterpart; use names that DNS knows"},
	{"gpus", NULL},
	{"group_add", NULL},
	{"healthcheck", NULL},
	{"hostname", NULL},
	{"image", NULL},
	{"init", NULL},
	{"ipc", "no counterpart; `shm_size` gives more shared memory"},
	{"isolation", "only Windows has it"},
	{"label_file", "write them into `labels`"},
	{"labels", NULL},
	{"links", "the services' names are known in their network; aliases are not"},
	{"logging", NULL},
	{"mac_address", "no counterpart"},
	{"mem_limit", NULL},
	{"mem_reservation", "nothing is reserved; `memory_high` slows who uses more"},
	{"mem_swappiness", "no counterpart"},
	{"memswap_limit", NULL},
	{"network_mode", NULL},
	{"networks", NULL},
	{"oom_kill_disable", "no counterpart"},
	{"oom_score_adj", "no counterpart for containers"},
	{"pid", "no counterpart"},
	{"pids_limit", NULL},
	{"platform", "the engine's own platform is used"},
	{"ports", NULL},
	{"post_start", NULL},
	{"pre_stop", NULL},
	{"privileged", "no counterpart; name what it needs in `cap_add` and `devices`"},
	{"profiles", NULL},
	{"pull_policy", NULL},
	{"read_only", NULL},
	{"restart", NULL},
	{"runtime", NULL},
	{"scale", NULL},
	{"secrets", NULL},
	{"security_opt", NULL},
	{"shm_size", NULL},
	{"stdin_open", "services have no terminal; `aictl exec` opens one beside them"},
	{"stop_grace_period", NULL},
	{"stop_signal", NULL},
	{"storage_opt", "no counterpart"},
	{"sysctls", "no counterpart"},
	{"tmpfs", NULL},
	{"tty", "services have no terminal; `aictl exec` opens one beside them"},
	{"ulimits", NULL},
	{"user", NULL},
	{"userns_mode", "no counterpart"},
	{"uts", "no counterpart"},
	{"volumes", NULL},
	{"volumes_from", "name the same volumes in both"},
	{"working_dir", NULL},
};

/* false and off are as if it were not there. */
static bool says_nothing(const struct ynode *node)
{
	bool on = true;

	return yamltree_is_null(node) || (node->kind != YNODE_SCALAR && node->n == 0) ||
	       (node->kind == YNODE_SCALAR && compose_value_bool(node->text, &on) && !on);
}

static void note_stranger(const struct import_part *p, const char *key)
{
	struct suggest s = {.wanted = key};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		suggest_offer(&s, known[i].key);
	if (s.best)
		import_note(p, IMPORT_DROPPED, key, "no key of Compose's; is it %s?", s.best);
	else
		import_note(p, IMPORT_DROPPED, key, "no counterpart");
}

static void note_keys(const struct import_part *p)
{
	for (size_t i = 0; i < p->s->node->n; i++) {
		const char *key = p->s->node->items[i].key->text;
		size_t k = 0;

		while (k < ARRAY_SIZE(known) && strcmp(known[k].key, key) != 0)
			k++;
		if (strncmp(key, "x-", 2) == 0 || says_nothing(p->s->node->items[i].value))
			continue;
		if (k == ARRAY_SIZE(known))
			note_stranger(p, key);
		else if (known[k].note)
			import_note(p, IMPORT_DROPPED, key, "%s", known[k].note);
	}
}

static void put_text(const struct import_part *p, const char *key)
{
	const struct ynode *node = import_key(p, key);

	if (node && node->kind != YNODE_SCALAR)
		import_bad(p, node, key, "a text");
	else if (node && node->text[0])
		import_out_text(p->out, IMPORT_DEPTH, key, node->text);
}

static void put_true(const struct import_part *p, const char *key)
{
	const struct ynode *node = import_key(p, key);
	bool on = false;

	if (node && (node->kind != YNODE_SCALAR || !compose_value_bool(node->text, &on)))
		import_bad(p, node, key, "true or false");
	else if (on)
		import_out_word(p->out, IMPORT_DEPTH, key, "true");
}

static void put_list(const struct import_part *p, const char *key)
{
	_cleanup_texts_ struct compose_texts t = {0};
	const struct ynode *node = import_key(p, key);

	if (node && !compose_value_texts(node, &t))
		import_bad(p, node, key, "a list of texts");
	else if (t.n > 0)
		import_out_list(p->out, IMPORT_DEPTH, key, &t);
}

/* In capitals. */
static void capabilities(const struct import_part *p, const char *key)
{
	_cleanup_texts_ struct compose_texts t = {0};
	const struct ynode *node = import_key(p, key);

	if (node && !compose_value_texts(node, &t))
		import_bad(p, node, key, "a list of texts");
	for (size_t i = 0; i < t.n; i++)
		for (char *c = t.v[i]; *c; c++)
			*c = (char)toupper((unsigned char)*c);
	if (t.n > 0)
		import_out_list(p->out, IMPORT_DEPTH, key, &t);
}

/* The others know it by the name that it has here, and by its hostname: that is the name that they had
 * for it, where there is another one. */
static void hostname(const struct import_part *p)
{
	const char *container = compose_value_text(import_key(p, "container_name"));
	const char *text = compose_value_text(import_key(p, "hostname"));
	bool others = p->im->n_services > 1;

	if (!text && others && strcmp(p->s->from, p->s->name) != 0 &&
	    !schema_check_hostname(p->s->from))
		text = p->s->from;
	if (!text && others && container && strcmp(container, p->s->name) != 0) {
		import_note(p, IMPORT_CHANGED, "container_name",
			    "aictl names containers itself; %s is its hostname", container);
		text = container;
	} else if (container) {
		import_note(p, IMPORT_DROPPED, "container_name",
			    "aictl names containers itself; the service's name finds them");
	}
	if (text && text[0])
		import_out_text(p->out, IMPORT_DEPTH, "hostname", text);
}

/* "USER[:GROUP]" */
static void user(const struct import_part *p)
{
	const struct ynode *node = import_key(p, "user");
	_cleanup_free_ char *text = NULL;
	char *group;

	if (!node || node->kind != YNODE_SCALAR) {
		put_text(p, "user");
		return;
	}
	text = x_strdup(node->text);
	group = strchr(text, ':');
	if (group)
		*group++ = '\0';
	if (text[0])
		import_out_text(p->out, IMPORT_DEPTH, "user", text);
	if (group && group[0])
		import_out_text(p->out, IMPORT_DEPTH, "group", group);
}

/* ---- image and command ---- */

/* One word of a command to be copied. */
static void put_argument(struct buf *out, const char *text)
{
	bool plain = text[0] && !text[strcspn(text, " \t\n'\"\\$&|;<>()*?[]#~`!{}")];

	buf_char(out, ' ');
	if (plain || strchr(text, '\'')) {
		buf_str(out, text);
		return;
	}
	buf_printf(out, "'%s'", text);
}

/* How it is built by hand; what `docker build` has no simple option for is left to Compose. */
static void note_build(const struct import_part *p, const struct ynode *build, const char *name)
{
	static const char *const options[][2] = {{"dockerfile", "-f"}, {"target", "--target"}};
	bool brief = build->kind == YNODE_SCALAR;
	const struct ynode *context = brief ? build : yamltree_get(build, "context");
	const char *text = compose_value_text(context);
	_cleanup_free_ char *path = NULL;
	_cleanup_buf_ struct buf out = {0};
	bool simple = true, remote;

	for (size_t i = 0; !brief && i < build->n; i++) {
		const char *key = build->items[i].key->text;

		simple &= strcmp(key, "context") == 0 || strcmp(key, "dockerfile") == 0 ||
			  strcmp(key, "target") == 0 || strncmp(key, "x-", 2) == 0;
	}
	remote = text && (strstr(text, "://") || strncmp(text, "git@", 4) == 0);
	path = remote ? x_strdup(text) : import_path(p->im, build, text ? text : ".");
	buf_str(&out, "docker build -t");
	put_argument(&out, name);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const char *value = compose_value_get(build, options[i][0]);
		_cleanup_free_ char *file =
			value && i == 0 && !remote ? x_check(fs_join(path, value)) : NULL;

		if (!value)
			continue;
		buf_printf(&out, " %s", options[i][1]);
		put_argument(&out, file ? file : value);
	}
	put_argument(&out, path);
	if (!simple) {
		buf_clear(&out);
		buf_printf(&out, "docker compose build %s", p->s->from);
	}
	import_note(p, IMPORT_TODO, "build", "nothing is built here; build it before: %s",
		    buf_cstr(&out));
}

static void image(const struct import_part *p)
{
	const struct ynode *node = import_key(p, "image"), *build = import_key(p, "build");
	_cleanup_free_ char *name = NULL;

	if (node && node->kind != YNODE_SCALAR) {
		import_bad(p, node, "image", "a text");
		return;
	}
	if (!node && !build) {
		compose_fail(p->im->c, p->s->node, NULL,
			     "services.%s: it has neither an image nor a build", p->s->from);
		return;
	}
	name = node ? x_strdup(node->text) : x_printf("%s-%s", p->im->project, p->s->from);
	for (char *c = name; !node && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	import_out_text(p->out, IMPORT_DEPTH, "image", name);
	if (build)
		note_build(p, build, name);
}

static void pull_policy(const struct import_part *p)
{
	const struct ynode *node = import_key(p, "pull_policy");
	const char *text = compose_value_text(node);
	static const char *const same[] = {"always", "never", "missing"};

	if (!text) {
		if (import_key(p, "build") && !import_key(p, "image"))
			import_out_text(p->out, IMPORT_DEPTH, "pull_policy", "never");
		return;
	}
	if (strcmp(text, "if_not_present") == 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		if (strcmp(text, same[i]) != 0)
			continue;
		if (i < 2)
			import_out_text(p->out, IMPORT_DEPTH, "pull_policy", text);
		return;
	}
	if (strcmp(text, "build") == 0)
		import_out_text(p->out, IMPORT_DEPTH, "pull_policy", "never");
	else
		import_note(p, IMPORT_CHANGED, "pull_policy",
			    "%s: an image is fetched when it is missing", text);
}

static void command(const struct import_part *p, const char *key)
{
	_cleanup_texts_ struct compose_texts t = {0};
	const struct ynode *node = import_key(p, key);

	if (!node || !import_command(p, node, key, &t))
		return;
	if (t.n > 0)
		import_out_list(p->out, IMPORT_DEPTH, key, &t);
	else
		import_note(p, IMPORT_DROPPED, key, "empty: the image's own is used");
}

/* ---- environment ---- */

/* PORT is aictl's; the image gets the number inside. */
static void note_reserved(const struct import_part *p, const char *name, const char *value,
			  int64_t port)
{
	int64_t wanted = 0;

	if (strcmp(name, "PORT") != 0)
		import_note(p, IMPORT_DROPPED, "environment", "%s %s", name,
			    schema_check_variable(name));
	else if (port == 0)
		import_note(p, IMPORT_DROPPED, "environment", "PORT is set by aictl itself");
	else if (!value || !compose_value_int(value, 1, 65535, &wanted) || wanted != port)
		import_note(p, IMPORT_CHANGED, "environment",
			    "PORT is set by aictl itself: to %" PRId64, port);
}

static void put_variable(const struct import_part *p, const struct yitem *item, int64_t port,
			 bool *begun)
{
	const char *name = item->key->text, *value;
	_cleanup_free_ char *text = NULL;

	if (item->value->kind != YNODE_SCALAR || !name[0]) {
		import_bad(p, item->value, "environment", "the text of a variable");
		return;
	}
	value = yamltree_is_null(item->value) ? compose_env_get(&p->im->c->env, name)
					      : item->value->text;
	if (schema_check_variable(name)) {
		note_reserved(p, name, value, port);
		return;
	}
	if (!value) {
		import_note(p, IMPORT_DROPPED, "environment", "%s: the shell has no such variable",
			    name);
		return;
	}
	if (!*begun)
		import_out_open(p->out, IMPORT_DEPTH, "environment");
	*begun = true;
	text = import_out_escape(value);
	import_out_text(p->out, 3, name, text);
}

static void environment(const struct import_part *p, int64_t port)
{
	const struct ynode *node = import_key(p, "environment");
	bool begun = false;

	if (!node)
		return;
	node = compose_merge_to_map(p->im->c->tree, node, "=");
	if (node->kind != YNODE_MAP)
		import_bad(p, node, "environment", "a list or a map");
	for (size_t i = 0; node->kind == YNODE_MAP && i < node->n; i++)
		put_variable(p, &node->items[i], port, &begun);
}

static void add_env_file(const struct import_part *p, const struct ynode *item,
			 struct compose_texts *t)
{
	static const char *const keys[] = {"path", "required", NULL};
	const struct ynode *node = item->kind == YNODE_MAP ? yamltree_get(item, "path") : item;
	const char *required = compose_value_get(item, "required");
	_cleanup_free_ char *path = NULL;
	bool needed = true;

	if (!compose_value_text(node)) {
		import_bad(p, item, "env_file", "a path");
		return;
	}
	import_unknown(p, item, "env_file.", keys);
	if (required)
		compose_value_bool(required, &needed);
	path = import_path(p->im, node, node->text);
	if (!import_exists(p->im, path) && !needed) {
		import_note(p, IMPORT_DROPPED, "env_file", "%s is not there", path);
		return;
	}
	if (!import_exists(p->im, path))
		import_note(p, IMPORT_TODO, "env_file", "%s is not there yet", path);
	compose_value_add(t, path, strlen(path));
}

static void env_file(const struct import_part *p)
{
	const struct ynode *node = import_key(p, "env_file");
	_cleanup_texts_ struct compose_texts t = {0};

	if (node && node->kind != YNODE_LIST)
		add_env_file(p, node, &t);
	for (size_t i = 0; node && node->kind == YNODE_LIST && i < node->n; i++)
		add_env_file(p, node->items[i].value, &t);
	if (t.n > 0)
		import_out_list(p->out, IMPORT_DEPTH, "env_file", &t);
}

/* ---- what is left ---- */

static void labels(const struct import_part *p)
{
	const struct ynode *node = import_key(p, "labels");
	bool begun = false;

	if (!node)
		return;
	node = compose_merge_to_map(p->im->c->tree, node, "=");
	if (node->kind != YNODE_MAP)
		import_bad(p, node, "labels", "a list or a map");
	for (size_t i = 0; node->kind == YNODE_MAP && i < node->n; i++) {
		const char *key = node->items[i].key->text;
		const char *value = compose_value_text(node->items[i].value);

		if (schema_check_label_key(key)) {
			import_note(p, IMPORT_DROPPED, "labels", "%s %s", key,
				    schema_check_label_key(key));
			continue;
		}
		if (!begun)
			import_out_open(p->out, IMPORT_DEPTH, "labels");
		begun = true;
		import_out_text(p->out, 3, key, value ? value : "");
	}
}

/* "unlimited" is -1 there. */
static const char *limit_text(const char *text)
{
	return strcmp(text, "-1") == 0 ? "unlimited" : text;
}

static bool is_limit(const char *text)
{
	int64_t n;

	return text && compose_value_int(text, -1, INT64_MAX, &n);
}

static void ulimits(const struct import_part *p)
{
	const struct ynode *node = import_key(p, "ulimits");

	if (!node)
		return;
	if (node->kind != YNODE_MAP) {
		import_bad(p, node, "ulimits", "a map");
		return;
	}
	import_out_open(p->out, IMPORT_DEPTH, "ulimits");
	for (size_t i = 0; i < node->n; i++) {
		const struct ynode *value = node->items[i].value;
		const char *soft = compose_value_get(value, "soft");
		const char *hard = compose_value_get(value, "hard");
		_cleanup_free_ char *both = NULL;

		if (value->kind == YNODE_SCALAR)
			soft = hard = value->text;
		if (!is_limit(soft ? soft : hard) || !is_limit(hard ? hard : soft)) {
			import_bad(p, value, "ulimits", "a number, or soft and hard");
			continue;
		}
		both = x_printf("%s:%s", limit_text(soft ? soft : hard),
				limit_text(hard ? hard : soft));
		import_out_key(p->out, 3, node->items[i].key->text);
		if (soft == hard && strspn(soft, "0123456789") == strlen(soft))
			buf_printf(p->out, " %s", soft);
		else if (soft == hard)
			buf_printf(p->out, " %s", "unlimited");
		else
			buf_printf(p->out, " \"%s\"", both);
		buf_char(p->out, '\n');
	}
}

static void shm_size(const struct import_part *p)
{
	const struct ynode *node = import_key(p, "shm_size");
	int64_t n = 0;

	if (!node)
		return;
	if (node->kind != YNODE_SCALAR || !compose_value_size(node->text, &n)) {
		import_bad(p, node, "shm_size", "a size such as 1gb");
		return;
	}
	import_out_key(p->out, IMPORT_DEPTH, "shm_size");
	buf_char(p->out, ' ');
	import_out_size(p->out, n);
	buf_char(p->out, '\n');
}

static void put_log_option(const struct import_part *p, const struct yitem *item, struct buf *out)
{
	_cleanup_free_ char *field = x_printf("logging.options.%s", item->key->text);
	const char *text = compose_value_text(item->value);
	int64_t n = 0;
	bool on;

	if (strcmp(item->key->text, "max-size") == 0 && text && compose_value_size(text, &n)) {
		import_out_key(out, 3, "max_size");
		buf_char(out, ' ');
		import_out_size(out, n < 65536 ? 65536 : n);
		buf_char(out, '\n');
	} else if (strcmp(item->key->text, "max-file") == 0 && text &&
		   compose_value_int(text, 1, 1000, &n)) {
		import_out_word(out, 3, "max_files", "%" PRId64, n);
	} else if (strcmp(item->key->text, "compress") == 0 && text &&
		   compose_value_bool(text, &on)) {
		import_out_word(out, 3, "compress", on ? "zstd" : "none");
	} else {
		import_note(p, IMPORT_DROPPED, field, "no counterpart");
	}
}

static void logging(const struct import_part *p)
{
	const struct ynode *node = import_key(p, "logging"), *options;
	const char *driver = compose_value_get(node, "driver");
	_cleanup_buf_ struct buf out = {0};

	if (!node)
		return;
	options = yamltree_get(node, "options");
	if (driver && strcmp(driver, "journald") == 0) {
		import_out_open(p->out, IMPORT_DEPTH, "logs");
		import_out_word(p->out, 3, "to", "[file, journald]");
		return;
	}
	if (driver && strcmp(driver, "json-file") != 0 && strcmp(driver, "local") != 0) {
		import_note(p, IMPORT_DROPPED, "logging",
			    "%s: aictl keeps the output in its own files", driver);
		return;
	}
	for (size_t i = 0; options && options->kind == YNODE_MAP && i < options->n; i++)
		put_log_option(p, &options->items[i], &out);
	if (out.len > 0)
		import_out_open(p->out, IMPORT_DEPTH, "logs");
	buf_str(p->out, buf_cstr(&out));
}

void import_service_emit(const struct import_part *p)
{
	_cleanup_buf_ struct buf ports = {0};
	int64_t port = import_ports_emit(&(struct import_part){p->im, p->s, &ports});

	image(p);
	pull_policy(p);
	command(p, "entrypoint");
	command(p, "command");
	put_text(p, "working_dir");
	user(p);
	put_list(p, "group_add");
	environment(p, port);
	env_file(p);
	buf_str(p->out, buf_cstr(&ports));
	import_network_emit(p);
	hostname(p);
	import_mounts_emit(p);
	import_gpus_emit(p);
	shm_size(p);
	import_health_emit(p);
	import_deploy_emit(p);
	put_true(p, "init");
	put_true(p, "read_only");
	capabilities(p, "cap_add");
	capabilities(p, "cap_drop");
	put_list(p, "security_opt");
	ulimits(p);
	logging(p);
	labels(p);
	note_keys(p);
}
