/*
 * change: every write. The body gets an id made here, so that sending it again is the same change;
 * then it is posted, waited for (with progress) and its outcome printed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_CHANGE_H
#define AICTL_CLI_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cjson/cJSON.h>

#include "cli/cli.h"

struct args;
struct client;
struct manifest;
struct reply;
struct sources;

struct change_opts {
	bool wait;
	bool lines; /* off a terminal: a line for each transition while waiting */
	int64_t timeout_ms;
	const struct sources *sources; /* for errors with a place; may be NULL */
};

#define CHANGE_TIMEOUT_MS (10 * 60 * 1000)

/* {"id": 32 random hex digits, "kind": kind} */
cJSON *change_new(const char *kind);
/* Posts body (consumed), waits if asked to, prints the outcome. Returns the exit code. */
int change_run(struct cli *cli, struct client *client, cJSON *body, const struct change_opts *o);

/* What this machine lacks for an apply, as the daemon will find it: on stderr, and exit 9. */
void change_check_host(const struct sources *sources, const struct manifest *m);
/* Adds "prune" and "if_revision" as the options of the same names say. */
void change_add_conditions(cJSON *body, const struct args *args);
/* POST /v1/plan for an apply of sources: CODE_OK and the plan in *ret, or what is wrong is printed. */
int change_plan(struct client *client, const struct sources *sources, const struct args *args,
		struct reply *ret);
/* For people; warnings were printed when the manifest was read here. */
void change_show_plan(const struct cli *cli, const struct sources *sources,
		      const struct reply *plan, bool diff);

/* Adds "services": the operands. */
void change_add_services(cJSON *body, const struct args *args);
/* start, stop, restart, reset: operands are the services; --no-wait and --timeout. */
int change_services(struct cli *cli, const struct args *args, const char *kind);
extern const struct option_spec change_wait_options[];

#endif
