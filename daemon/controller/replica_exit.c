/* replica_exit: see replica_exit.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_exit.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "daemon/wire/wire.h"
#include "lib/manifest.h"
#include "lib/manifest_write.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/schema.h"

#define OBJECT_SIZE 100 /* of a path that is told */
#define OOM_SIZE (MANIFEST_WRITE_NUMBER_SIZE + 16)

static bool never_ran(const struct wire_exit *x)
{
	return x->stage < WIRE_STAGE_EXEC || x->err;
}

/* The main process itself was killed for memory; else it may only have lost a child to it. */
static bool is_oom(const struct wire_exit *x)
{
	return x->oom_killed && x->signal == SIGKILL && !x->killed;
}

const char *replica_exit_cause(const struct wire_exit *x, const char *stop_cause)
{
	if (never_ran(x))
		return "start";
	if (!x->status_known)
		return x->oom_killed && !x->by_stop ? "oom" : "lost";
	if (is_oom(x))
		return "oom";
	if (x->by_stop)
		return stop_cause;
	return x->signal ? "signal" : "exit";
}

/* "memory limit 512MiB", or what else there is to say. */
static const char *oom_text(const struct service_spec *spec, char *buf)
{
	char size[MANIFEST_WRITE_NUMBER_SIZE];

	if (!spec || spec->resources.memory == 0)
		return "out of memory";
	manifest_write_number(schema_find("services.*.resources.limits.memory"),
			      spec->resources.memory, size);
	snprintf(buf, OOM_SIZE, "memory limit %s", size);
	return buf;
}

static const char *say_signal(const struct wire_exit *x, const char *oom, char *message,
			      size_t size)
{
	const char *name = parse_signal_name(x->signal);
	char number[16];

	snprintf(number, sizeof(number), "%d", x->signal);
	name = name ? name + strlen("SIG") : number;
	if (is_oom(x)) {
		snprintf(message, size, "signal %s (oom: %s)", name, oom);
		return "oom_killed";
	}
	snprintf(message, size, "signal %s%s", name, x->core_dumped ? " (core dumped)" : "");
	return "signaled";
}

/* " /srv/app": the directory or program that the failed stage was about, or "". */
static void say_object(const struct wire_exit *x, const struct service_spec *spec, char *out)
{
	const char *name = !spec					  ? NULL
			   : x->stage == WIRE_STAGE_CHDIR		  ? spec->working_dir
			   : x->stage == WIRE_STAGE_EXEC && spec->command ? spec->command[0]
									  : NULL;

	*out = '\0';
	if (name && !x->what)
		snprintf(out, OBJECT_SIZE, " %s", name);
	if (name && strlen(name) + 1 >= OBJECT_SIZE)
		memcpy(out + OBJECT_SIZE - 4, "...", 4);
}

static const char *failure(const struct wire_exit *x)
{
	if (x->what == WIRE_WHAT_NOTIFY && x->err == EBUSY)
		return "descriptors that it was sent cannot be closed, as on a hung mount";
	if (x->what == WIRE_WHAT_CONTAINER && x->err == EIDRM)
		return "it was removed before it ran, by another hand than aictl's";
	if (x->err)
		return strerror(x->err);
	return x->status_known ? "killed" : "ended unseen";
}

const char *replica_exit_describe(const struct wire_exit *x, const struct service_spec *spec,
				  char *message, size_t size)
{
	char where[WIRE_FAILURE_SIZE], buf[OOM_SIZE], object[OBJECT_SIZE];
	const char *oom = oom_text(spec, buf);

	if (never_ran(x)) {
		say_object(x, spec, object);
		snprintf(message, size, "cannot start: %s%s: %s",
			 wire_failure_name(where, x->stage, x->what), object, failure(x));
		return "spawn_failed";
	}
	if (!x->status_known) {
		snprintf(message, size, "ended while nobody could read its status%s%s%s",
			 x->oom_killed ? " (oom: " : "", x->oom_killed ? oom : "",
			 x->oom_killed ? ")" : "");
		return x->oom_killed ? "oom_killed" : "lost";
	}
	if (x->signal)
		return say_signal(x, oom, message, size);
	if (x->oom_killed)
		snprintf(message, size, "exit code %d, after a process of it was killed (oom: %s)",
			 x->code, oom);
	else
		snprintf(message, size, "exit code %d", x->code);
	return "exited";
}

const char *replica_exit_intern(const char *cause)
{
	static const char *const causes[] = {
		"exit",	    "signal",	"start", "user",     "update",	   "oom",     "scale",
		"delete",   "shutdown", "probe", "stall",    "dependency", "max_age", "memory",
		"watchdog", "timeout",	"hook",	 "rollback", "lost"};

	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if (strcmp(cause, causes[i]) == 0)
			return causes[i];
	return "unknown";
}
