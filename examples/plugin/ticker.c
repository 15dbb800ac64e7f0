/*
 * ticker: the smallest plugin of aictl that does something. Its units write "tick N" each period
 * (NAME=PERIOD_MS, default 1000) until they get a signal. They live in this process and end with it,
 * which no real engine's do: a real plugin asks its engine in `list`. See aictl-plugin(3).
 *
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
	struct aictl_result r = {.struct_size = sizeof(r), .code = code, .message = why};

	t->host->complete(t->host, op, &r);
}

static struct unit **find(struct ticker *t, const char *name)
{
	struct unit **u = &t->units;

	while (*u && strcmp((*u)->state.unit, name) != 0)
		u = &(*u)->next;
	return u;
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

static void unit_free(struct unit *u)
{
	u->ticker->host->timer_free(u->ticker->host, u->timer);
	close(u->fd);
	free(u);
}

static int open_ticker(const struct aictl_host *host, const struct aictl_open *with,
		       void **ret_self, char *error, size_t error_size)
{
	struct aictl_engine_state up = {
		.struct_size = sizeof(up), .reachable = 1, .name = "ticker"};
	struct ticker *t = calloc(1, sizeof(*t));

	t->host = host;
	t->period_ms = with->config[0] ? strtol(with->config, NULL, 10) : 1000;
	if (t->period_ms < 1) {
		snprintf(error, error_size, "not a period in ms: \"%s\"", with->config);
		free(t);
		return AICTL_INVALID;
	}
	*ret_self = t;
	host->engine_state(host, &up);
	return AICTL_OK;
}

static void close_ticker(void *self, uint64_t op)
{
	struct ticker *t = self;
	const struct aictl_host *host = t->host;

	for (struct unit *u = t->units, *next; u; u = next) {
		next = u->next;
		unit_free(u);
	}
	free(t);
	host->complete(host, op, NULL);
}

static void start(void *self, uint64_t op, const struct aictl_start *what)
{
	struct ticker *t = self;
	struct unit *u = calloc(1, sizeof(*u));

	if (*find(t, what->unit)) { /* started twice is started once */
		free(u);
		done(t, op, AICTL_OK, NULL);
		return;
	}
	u->ticker = t;
	u->timer = t->host->timer_new(t->host, tick, u);
	u->fd = fcntl(what->stdout_fd, F_DUPFD_CLOEXEC, 0); /* the host closes its own */
	snprintf(u->name, sizeof(u->name), "%s", what->unit);
	u->state = (struct aictl_unit_state){.struct_size = sizeof(u->state), .unit = u->name};
	u->next = t->units;
	t->units = u;
	t->host->timer_set(t->host, u->timer, 0);
	tell(u, AICTL_UNIT_RUNNING);
	done(t, op, AICTL_OK, NULL);
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
	struct unit **at = find(self, name), *u = *at;

	if (u) {
		*at = u->next;
		tell(u, AICTL_UNIT_GONE);
		unit_free(u);
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

static const struct aictl_runtime_ops ops = {.struct_size = sizeof(ops),
					     .open = open_ticker,
					     .close = close_ticker,
					     .start = start,
					     .signal = send_signal,
					     .remove = remove_unit,
					     .list = list};

AICTL_RUNTIME_PLUGIN("ticker", "1.0", "units that tick", ops)
