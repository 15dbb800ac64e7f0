/*
 * docker_look: what an engine says of containers: the answer to inspect, one row of a list, one
 * line of the event stream, stats, an error. Pure; nothing of it is trusted.
 *
 * Results borrow from `root`, which docker_look_done frees.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_LOOK_H
#define AICTL_PLUGINS_DOCKER_LOOK_H

#include <aictl/plugin.h>
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#define DOCKER_LOOK_LABELS 8

struct docker_look {
	cJSON *root;
	struct aictl_unit_state state; /* unit and labels set */
	struct aictl_pair labels[DOCKER_LOOK_LABELS];
	const char *instance; /* its label, or NULL */
	bool tty;
};

struct docker_look_row {
	const char *name, *id;
};

struct docker_look_event {
	cJSON *root;
	const char *action, *name, *id;
};

/* False: not what the engine ought to say. */
bool docker_look_inspect(const char *text, size_t len, struct docker_look *ret);
void docker_look_done(struct docker_look *l);
bool docker_look_row(const cJSON *row, const char *instance, struct docker_look_row *ret);
/* Of a row that is good: what is known without inspect. Borrows from the row, `root` is NULL. */
void docker_look_unknown(const cJSON *row, struct docker_look *ret);
bool docker_look_event(const char *line, size_t len, struct docker_look_event *ret);
bool docker_look_stats(const char *text, size_t len, struct aictl_stats *ret);
/* {"message": …}, or the text itself; one line, without the full stop. */
void docker_look_error(const char *text, size_t len, char *ret, size_t size);

#endif
