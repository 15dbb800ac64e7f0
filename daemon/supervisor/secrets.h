/*
 * secrets: the files of services' secrets, on the tmpfs where the table lies:
 * DIR/SERVICE/GENERATION/NAME. A generation is written once, into a directory that gets its name
 * when it is complete: half a secret is never seen. Directory (0500) and files (0400) belong to the
 * service's user; the directories above are 0711, so a path can be used and nothing be listed.
 *
 * Where a service can read them again (reload), a generation may get another version: a second complete
 * directory changes places with the first, which is removed. Who reads by the path finds all of one
 * or all of the other; what is open stays as it is.
 *
 * The controller sends a generation before the SPAWN that names it, and again after each of its own
 * starts: what is there already stays. They go with SECRETS_DROP, and when we end with everything
 * stopped; those of a former aictld whose services we adopt are ours now.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_SECRETS_H
#define AICTL_SUPERVISOR_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"

struct err;
struct supervisor;

#define SECRETS_GENERATIONS_MAX 16384

struct secrets_generation {
	char service[WIRE_SERVICE_SIZE];
	uint64_t number;
	uint64_t version; /* of its contents; 0 = not known, or it never has others */
	int error;	  /* errno when it could not be written, else 0 */
	bool told;	  /* SECRETS_WRITTEN is sent, or not owed */
};

struct secrets {
	int dir_fd; /* -1 = not open */
	char *dir;
	struct secrets_generation *list;
	size_t n, cap;
	bool telling; /* one of them is not told */
};

/* After the table is open: makes the directory; with a former table what is in it stays. */
int secrets_init(struct supervisor *sup, struct err **reterr);
void secrets_done(struct supervisor *sup, bool remove);
void secrets_put(struct supervisor *sup, const struct wire_secrets *m);
/* From control_flush: false = the socket is full. */
bool secrets_flush(struct supervisor *sup);
/* All of a service but that one; 0: all. */
void secrets_drop(struct supervisor *sup, const char *service, uint64_t keep);
/* 0 = they are there (0 always is); -ENOENT = never sent; else why they could not be written. */
int secrets_check(const struct supervisor *sup, const char *service, uint64_t generation);

#endif
