/*
 * ticker: a plugin of aictl, see aictl-plugin(3). Its units write "tick N" each ticker=PERIOD_MS to
 * the descriptors of start (it has no logs, exec or stats) and end with it, as no real ones do.
 * SPDX-License-Identifier: MIT
 */
#include <aictl/plugin.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct unit {
	struct ticker *ticker;
	struct unit *next;
	struct aictl_timer *timer;
	struct aictl_unit_state state;
	char name[128];
	int fd, ticks;
};

struct ticker {
	const struct aictl_host *host;
	struct unit *units;
	int64_t period_ms;
};

/* Every operation ends here, once. */
static void done(struct ticker *t, uint64_t op, int code, const char *why)
{
	t->host->complete(t->host, op,
			  &(struct aictl_result){sizeof(struct aictl_result), code, why, -1, 0, 0});
}

static struct unit **find(struct ticker *t, const char *name)
{
	struct unit **at = &t->units;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static void tell(struct unit *u, uint32_t phase)
{
	u->state.phase = phase;
	u->ticker->host->unit_state(u->ticker->host, &u->state);
}

static void tick(void *user)
{
	struct unit *u = user;

	dprintf(u->fd, "tick %d\n", ++u->ticks);
	u->ticker->host->timer_set(u->ticker->host, u->timer, u->ticker->period_ms);
}

static void drop(struct unit **at)
{
	struct unit *u = *at;

	*at = u->next;
	u->ticker->host->timer_free(u->ticker->host, u->timer);
	close(u->fd);
	free(u);
}

static int open_ticker(const struct aictl_host *host, const struct aictl_open *with,
		       void **ret_self, char *error, size_t error_size)
{
	struct aictl_engine_state up = {.struct_size = sizeof(up), .reachable = 1};
	long period_ms = with->config[0] ? strtol(with->config, NULL, 10) : 1000;
	struct ticker *t = *ret_self = calloc(1, sizeof(*t));

	snprintf(error, error_size, "not a period in ms: \"%s\"", with->config);
	if (!t || period_ms < 1)
		return free(t), AICTL_INVALID;
	*t = (struct ticker){.host = host, .period_ms = period_ms};
	host->engine_state(host, &up);
	return AICTL_OK;
}

static void close_ticker(void *self, uint64_t op)
{
	struct ticker *t = self;

	while (t->units)
		drop(&t->units);
	done(t, op, AICTL_OK, NULL);
	free(t);
}

static void start(void *self, uint64_t op, const struct aictl_start *what)
{
	struct ticker *t = self;
	struct unit **at = find(t, what->unit), *u = *at;

	if (!u && (u = *at = calloc(1, sizeof(*u)))) { /* started twice is started once */
		u->ticker = t;
		u->timer = t->host->timer_new(t->host, tick, u);
		u->fd = fcntl(what->stdout_fd, F_DUPFD_CLOEXEC, 0); /* the host's own ends */
		snprintf(u->name, sizeof(u->name), "%s", what->unit);
		u->state.struct_size = sizeof(u->state);
		u->state.unit = u->name;
		t->host->timer_set(t->host, u->timer, 0);
		tell(u, AICTL_UNIT_RUNNING);
	}
	done(t, op, u ? AICTL_OK : AICTL_NO_MEMORY, "out of memory");
}

static void send_signal(void *self, uint64_t op, const char *name, int signal_number)
{
	struct unit *u = *find(self, name);

	if (u && u->state.phase == AICTL_UNIT_RUNNING) {
		u->ticker->host->timer_set(u->ticker->host, u->timer, -1);
		close(u->fd);
		u->fd = -1;
		u->state.exit_status = 128 + signal_number;
		tell(u, AICTL_UNIT_EXITED);
	}
	done(self, op, u ? AICTL_OK : AICTL_NOT_FOUND, "no such unit");
}

static void remove_unit(void *self, uint64_t op, const char *name)
{
	struct unit **at = find(self, name);

	if (*at) {
		tell(*at, AICTL_UNIT_GONE);
		drop(at);
	}
	done(self, op, AICTL_OK, NULL);
}

static void list(void *self, uint64_t op)
{
	struct ticker *t = self;

	for (struct unit *u = t->units; u; u = u->next)
		t->host->list_item(t->host, op, &u->state);
	done(t, op, AICTL_OK, NULL);
}

static const struct aictl_runtime_ops ops = {
	sizeof(ops), 0,	   open_ticker, close_ticker, start, send_signal, remove_unit,
	list,	     NULL, NULL,	NULL,	      NULL,  NULL};

AICTL_RUNTIME_PLUGIN("ticker", "1.0", "units that tick", ops)
