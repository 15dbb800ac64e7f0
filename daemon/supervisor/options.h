/*
 * options: the command line of aictld, with the defaults of lib/paths.h filled in.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_OPTIONS_H
#define AICTL_SUPERVISOR_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/wire/wire.h"
#include "lib/log.h"
#include "lib/paths.h"

struct reexec_self;

#define OPTIONS_RUNTIMES_MAX 4

struct options {
	struct paths paths;		     /* absolute; manifests NULL = none */
	char *default_user;		     /* or NULL */
	char *metrics;			     /* "127.0.0.1:9145", checked; or NULL */
	char *port_range;		     /* "20000-29999", checked */
	char *log_max_total, *log_keep_free; /* sizes, checked, or NULL */
	char *cgroup;			     /* a cgroup for services, "none", or NULL: find one */
	char *plugin_dir;		     /* of runtime modules; NULL = as built, or beside us */
	struct options_runtime {
		char name[WIRE_RUNTIME_SIZE];
		char *config; /* or NULL */
	} runtimes[OPTIONS_RUNTIMES_MAX];
	unsigned n_runtimes;
	char *helper_dir; /* tests: look for helpers here only; NULL = beside us, LIBEXECDIR */
	int64_t restart_initial_ms, restart_max_ms;
	unsigned restart_limit; /* 0 = never safe mode */
	unsigned gateway_threads;
	enum log_level log_level;
	bool inherit_env;
	int parent_fd; /* -1 = none */
	bool help, version;
	bool check_state;		/* check_state.h instead of everything else */
	const struct reexec_self *self; /* filled by main */
};

#define OPTIONS_RESTART_LIMIT_MAX 64
#define OPTIONS_GATEWAY_THREADS_MAX 64
#define OPTIONS_LOG_SIZE_MIN (1 << 20)

struct err;

/* 0, or a negative code with a message that names the option. options_done in either case. */
int options_parse(struct options *o, int argc, char **argv, struct err **reterr);
void options_done(struct options *o);
const char *options_help(void);

#endif
