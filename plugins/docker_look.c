/*
 * docker_look: see docker_look.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_look.h"

#include <stdio.h>
#include <string.h>

#include "docker_json.h"

static uint32_t phase_of(const char *status, uint32_t *flags)
{
	static const struct {
		const char *text;
		uint32_t phase;
	} all[] = {{"created", AICTL_UNIT_CREATED},	{"configured", AICTL_UNIT_CREATED},
		   {"initialized", AICTL_UNIT_CREATED}, {"running", AICTL_UNIT_RUNNING},
		   {"paused", AICTL_UNIT_RUNNING},	{"restarting", AICTL_UNIT_RUNNING},
		   {"stopping", AICTL_UNIT_RUNNING},	{"exited", AICTL_UNIT_EXITED},
		   {"stopped", AICTL_UNIT_EXITED},	{"dead", AICTL_UNIT_EXITED},
		   {"removing", AICTL_UNIT_EXITED}};

	for (size_t i = 0; status && i < sizeof(all) / sizeof(all[0]); i++) {
		if (strcmp(status, all[i].text) == 0) {
			*flags |= strcmp(status, "paused") == 0 ? AICTL_UNIT_PAUSED : 0;
			return all[i].phase;
		}
	}
	return AICTL_UNIT_UNKNOWN;
}

static const char *address(const cJSON *root)
{
	const cJSON *net = docker_json_get(root, "NetworkSettings"), *n;
	const char *ip = docker_json_text(net, "IPAddress");

	if (ip)
		return ip;
	cJSON_ArrayForEach (n, docker_json_get(net, "Networks")) {
		ip = docker_json_text(n, "IPAddress");
		if (ip)
			return ip;
	}
	return NULL;
}

static int64_t wall_ms(const cJSON *o, const char *key)
{
	const char *text = docker_json_text(o, key);
	int64_t ns;

	return text && docker_json_stamp(text, strlen(text), &ns, NULL) ? ns / 1000000 : 0;
}

static void labels(const cJSON *from, struct docker_look *ret)
{
	const cJSON *v;

	cJSON_ArrayForEach (v, from) {
		size_t i = ret->state.n_labels;

		if (!cJSON_IsString(v) || !v->string || strncmp(v->string, "io.aictl.", 9) != 0 ||
		    i == DOCKER_LOOK_LABELS)
			continue;
		ret->labels[i] = (struct aictl_pair){v->string, v->valuestring};
		ret->state.n_labels++;
		if (strcmp(v->string, AICTL_LABEL_INSTANCE) == 0)
			ret->instance = v->valuestring;
	}
	ret->state.labels = ret->labels;
}

static void exited(const cJSON *state, struct aictl_unit_state *ret)
{
	int64_t code = -1;

	ret->pid = 0;
	ret->address = NULL;
	ret->finished_wall_ms = wall_ms(state, "FinishedAt");
	if (docker_json_number(state, "ExitCode", &code) && code >= 0 && code <= 255)
		ret->exit_status = (int32_t)code;
	else
		ret->flags |= AICTL_UNIT_EXIT_UNKNOWN;
	if (docker_json_true(state, "OOMKilled"))
		ret->flags |= AICTL_UNIT_OOM;
}

bool docker_look_inspect(const char *text, size_t len, struct docker_look *ret)
{
	cJSON *root = docker_json_parse(text, len);
	const cJSON *state = docker_json_get(root, "State"),
		    *config = docker_json_get(root, "Config");
	const char *name = docker_json_text(root, "Name"), *id = docker_json_text(root, "Id");
	struct aictl_unit_state *s = &ret->state;

	if (!state || !config || !name || !id) {
		cJSON_Delete(root);
		return false;
	}
	*ret = (struct docker_look){.root = root, .tty = docker_json_true(config, "Tty")};
	s->struct_size = sizeof(*s);
	s->unit = name[0] == '/' ? name + 1 : name;
	s->engine_id = id;
	s->image = docker_json_text(root, "Image");
	s->error = docker_json_text(state, "Error");
	s->address = address(root);
	s->started_wall_ms = wall_ms(state, "StartedAt");
	if (!docker_json_number(state, "Pid", &s->pid) || s->pid < 0 || s->pid > INT32_MAX)
		s->pid = 0;
	s->phase = phase_of(docker_json_text(state, "Status"), &s->flags);
	if (s->phase == AICTL_UNIT_EXITED)
		exited(state, s);
	labels(docker_json_get(config, "Labels"), ret);
	return true;
}

void docker_look_done(struct docker_look *l)
{
	cJSON_Delete(l->root);
	*l = (struct docker_look){0};
}

bool docker_look_row(const cJSON *row, const char *instance, struct docker_look_row *ret)
{
	const cJSON *name = cJSON_GetArrayItem(docker_json_get(row, "Names"), 0);
	const char *of = docker_json_text(docker_json_get(row, "Labels"), AICTL_LABEL_INSTANCE);

	ret->id = docker_json_text(row, "Id");
	if (!ret->id || !cJSON_IsString(name) || !of || strcmp(of, instance) != 0)
		return false;
	ret->name = name->valuestring + (name->valuestring[0] == '/');
	return true;
}

void docker_look_unknown(const cJSON *row, struct docker_look *ret)
{
	const cJSON *name = cJSON_GetArrayItem(docker_json_get(row, "Names"), 0);

	*ret = (struct docker_look){0};
	ret->state.struct_size = sizeof(ret->state);
	ret->state.phase = AICTL_UNIT_UNKNOWN;
	ret->state.unit = name->valuestring + (name->valuestring[0] == '/');
	ret->state.engine_id = docker_json_text(row, "Id");
	labels(docker_json_get(row, "Labels"), ret);
}

bool docker_look_event(const char *line, size_t len, struct docker_look_event *ret)
{
	cJSON *root = docker_json_parse(line, len);
	const cJSON *actor = docker_json_get(root, "Actor");

	*ret = (struct docker_look_event){.root = root};
	ret->action = docker_json_text(root, "Action");
	ret->id = docker_json_text(actor, "ID");
	ret->name = docker_json_text(docker_json_get(actor, "Attributes"), "name");
	if (ret->action && ret->id && ret->name)
		return true;
	cJSON_Delete(root);
	return false;
}

/* ---- stats ---- */

static int64_t number_or(const cJSON *o, const char *key, int64_t otherwise)
{
	int64_t v;

	return docker_json_number(o, key, &v) && v >= 0 ? v : otherwise;
}

static void memory(const cJSON *m, struct aictl_stats *ret)
{
	const cJSON *s = docker_json_get(m, "stats");
	int64_t used = number_or(m, "usage", -1), limit = number_or(m, "limit", 0);
	/* total_: of the groups below, too; cgroup v2 has only the one, which is just that. */
	int64_t cache = number_or(s, "total_inactive_file", number_or(s, "inactive_file", 0));

	ret->memory_bytes = used >= 0 && cache < used ? used - cache : used;
	/* "No limit" is told as the machine's memory, or nearly 2^63. */
	ret->memory_limit = limit < INT64_C(1) << 60 ? limit : 0;
}

static void add_to(int64_t *sum, int64_t v)
{
	if (v >= 0 && (*sum < 0 || !__builtin_add_overflow(*sum, v, sum)))
		*sum = *sum < 0 ? v : *sum;
}

static void traffic(const cJSON *root, struct aictl_stats *ret)
{
	const cJSON *v, *io = docker_json_get(docker_json_get(root, "blkio_stats"),
					      "io_service_bytes_recursive");

	cJSON_ArrayForEach (v, docker_json_get(root, "networks")) {
		add_to(&ret->received_bytes, number_or(v, "rx_bytes", -1));
		add_to(&ret->sent_bytes, number_or(v, "tx_bytes", -1));
	}
	cJSON_ArrayForEach (v, io) {
		const char *op = docker_json_text(v, "op");

		if (op && (op[0] == 'r' || op[0] == 'R'))
			add_to(&ret->read_bytes, number_or(v, "value", -1));
		else if (op && (op[0] == 'w' || op[0] == 'W'))
			add_to(&ret->written_bytes, number_or(v, "value", -1));
	}
}

bool docker_look_stats(const char *text, size_t len, struct aictl_stats *ret)
{
	cJSON *root = docker_json_parse(text, len);
	const cJSON *cpu = docker_json_get(docker_json_get(root, "cpu_stats"), "cpu_usage");
	int64_t ns = number_or(cpu, "total_usage", -1);

	if (!cJSON_IsObject(root)) {
		cJSON_Delete(root);
		return false;
	}
	*ret = (struct aictl_stats){.struct_size = sizeof(*ret),
				    .cpu_us = ns < 0 ? -1 : ns / 1000,
				    .read_bytes = -1,
				    .written_bytes = -1,
				    .received_bytes = -1,
				    .sent_bytes = -1};
	memory(docker_json_get(root, "memory_stats"), ret);
	ret->pids = number_or(docker_json_get(root, "pids_stats"), "current", -1);
	traffic(root, ret);
	cJSON_Delete(root);
	return true;
}

void docker_look_error(const char *text, size_t len, char *ret, size_t size)
{
	cJSON *root = text ? docker_json_parse(text, len) : NULL;
	const char *message = docker_json_text(root, "message");
	size_t n;

	if (!message)
		message = docker_json_text(root, "cause");
	snprintf(ret, size, "%s", message ? message : text ? text : "");
	for (n = 0; ret[n]; n++) {
		if ((unsigned char)ret[n] < ' ')
			ret[n] = ' ';
	}
	while (n && (ret[n - 1] == ' ' || ret[n - 1] == '.'))
		ret[--n] = '\0';
	cJSON_Delete(root);
}
