/*
 * forward_state: what forward.h has to remember beyond the logger's death: of which incarnations
 * lines go to the journal, and up to which time those of a service went. A small file, written anew
 * each time; its form is in forward_state.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_FORWARD_STATE_H
#define AICTL_LOGGER_FORWARD_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"
#include "lib/logidx.h"

struct logview;

#define FORWARD_FILE ".journald"  /* in the log directory */
#define FORWARD_REPLICAS_MAX 4096 /* of a service */

struct forward_replica {
	uint32_t index;
	char incarnation[LOGIDX_INCARNATION_SIZE];
	uint64_t revision;
	bool over;   /* it is stored to its end: to be forgotten once all of it was sent */
	bool former; /* from the file, and nobody has named it since */
};

struct forward_service {
	char name[WIRE_SERVICE_SIZE];
	struct forward_replica *v;
	size_t n, cap;
	int64_t sent_ms; /* wall clock of the last line that was sent */
	/* forward's */
	struct logview *view;
	char first[LOGIDX_INCARNATION_SIZE]; /* older ones are not in view */
	bool dry; /* the last step gave nothing: the next one looks at the files again */
	int64_t retry_mono_ms;
	uint64_t lost_told;
};

struct forward_state {
	struct forward_service **v;
	size_t n, cap;
};

void forward_state_done(struct forward_state *s);
struct forward_service *forward_state_find(const struct forward_state *s, const char *name);
/* The one of that name, made if needed; NULL = out of memory. */
struct forward_service *forward_state_add(struct forward_state *s, const char *name);
void forward_state_remove(struct forward_state *s, size_t i);
struct forward_replica *forward_state_replica(const struct forward_service *s, uint32_t index,
					      const char *incarnation);
/* 0, -ENOMEM or -EMFILE. */
int forward_state_add_replica(struct forward_service *s, const struct forward_replica *r);

/* From FORWARD_FILE in dir_fd; none, or one that makes no sense, is an empty state. */
int forward_state_load(struct forward_state *s, int dir_fd);
int forward_state_save(const struct forward_state *s, int dir_fd);

#endif
