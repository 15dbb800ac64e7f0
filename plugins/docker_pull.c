/*
 * docker_pull: see docker_pull.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_pull.h"

#include <stdio.h>
#include <string.h>

#include "docker_json.h"

enum step { NOT_A_LAYER, WAITING, LOADING, LOADED, UNPACKING, DONE };

static enum step step_of(const char *status)
{
	static const struct {
		const char *text;
		enum step step;
	} all[] = {{"Pulling fs layer", WAITING},  {"Waiting", WAITING},
		   {"Downloading", LOADING},	   {"Retrying", LOADING},
		   {"Verifying Checksum", LOADED}, {"Download complete", LOADED},
		   {"Extracting", UNPACKING},	   {"Pull complete", DONE},
		   {"Already exists", DONE}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (strncmp(status, all[i].text, strlen(all[i].text)) == 0)
			return all[i].step;
	}
	return NOT_A_LAYER;
}

static struct docker_pull_layer *layer(struct docker_pull *p, const char *id)
{
	struct docker_pull_layer *l;

	for (size_t i = 0; i < p->n_layers; i++) {
		if (strncmp(p->layers[i].id, id, sizeof(p->layers[i].id) - 1) == 0)
			return &p->layers[i];
	}
	if (p->n_layers == DOCKER_PULL_LAYERS)
		return NULL;
	l = &p->layers[p->n_layers++];
	snprintf(l->id, sizeof(l->id), "%.15s", id);
	return l;
}

static bool advance(struct docker_pull_layer *l, enum step step, const cJSON *detail)
{
	struct docker_pull_layer was = *l;

	if (step == LOADING) {
		docker_json_number(detail, "current", &l->current);
		docker_json_number(detail, "total", &l->total);
		if (l->current < 0 || l->total < 0)
			l->current = l->total = 0;
	}
	if (step == LOADED || step == DONE)
		l->current = l->total;
	l->done = l->done || step == DONE;
	return memcmp(&was, l, sizeof(was)) != 0;
}

static bool look(struct docker_pull *p, const cJSON *o)
{
	const char *status = docker_json_text(o, "status"), *id = docker_json_text(o, "id");
	const char *error = docker_json_text(docker_json_get(o, "errorDetail"), "message");
	struct docker_pull_layer *l;
	enum step step;

	if (!error)
		error = docker_json_text(o, "error");
	if (error) {
		snprintf(p->error, sizeof(p->error), "%s", error);
		return true;
	}
	step = status ? step_of(status) : NOT_A_LAYER;
	l = id && step != NOT_A_LAYER ? layer(p, id) : NULL;
	return l && (advance(l, step, docker_json_get(o, "progressDetail")) || step == WAITING);
}

bool docker_pull_line(struct docker_pull *p, const char *line, size_t len)
{
	cJSON *o = docker_json_parse(line, len);
	bool changed = o && look(p, o);

	cJSON_Delete(o);
	return changed;
}

void docker_pull_progress(const struct docker_pull *p, struct aictl_progress *ret)
{
	bool known = true;

	*ret = (struct aictl_progress){.struct_size = sizeof(*ret),
				       .layers_total = (uint32_t)p->n_layers};
	for (size_t i = 0; i < p->n_layers; i++) {
		const struct docker_pull_layer *l = &p->layers[i];
		int64_t total;

		ret->layers_done += l->done;
		known = known && (l->total || l->done);
		if (!__builtin_add_overflow(ret->bytes_total, l->total, &total)) {
			ret->bytes_total = total;
			ret->bytes_done += l->current < l->total ? l->current : l->total;
		}
	}
	/* A sum that lacks a layer would run backwards. */
	if (!known)
		ret->bytes_total = 0;
}

int docker_pull_code(const char *error)
{
	if (strstr(error, "unauthorized") || strstr(error, "denied") ||
	    strstr(error, "authentication required"))
		return AICTL_DENIED;
	if (strstr(error, "not found") || strstr(error, "manifest unknown") ||
	    strstr(error, "No such image") || strstr(error, "no such image"))
		return AICTL_NOT_FOUND;
	if (strstr(error, "invalid reference"))
		return AICTL_INVALID;
	return AICTL_FAILED;
}
