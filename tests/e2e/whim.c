/*
 * whim: a plugin for tests that does what it is told to do wrong. Its configuration is a directory:
 * an operation of which there is a file there (start, signal, remove, list, stats, exec, logs,
 * open, close) behaves as the file's word says, any other one as it should. Units write a line
 * and end by a signal. Built with -DNAME="..." and, for one that has `logs`, -DWITH_LOGS.
 *
 *   fail      ends with an error           hang      never ends, not even when canceled
 *   twice     ends, and then once more     invalid   ends with one that is not to be tried again
 *   segv      the process crashes          exit      the process ends with status 3
 *   garbage   bytes on stdout, stderr and in the message
 *   block     holds the loop up            stuck     holds it up for ever
 *   short     ends with a structure that is too short
 *   foreign   ends another operation, too
 *
 * SPDX-License-Identifier: MIT
 */
#include <aictl/plugin.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct unit {
	struct unit *next;
	struct aictl_unit_state state;
	char name[200];
	int fd;
};

struct whim {
	const struct aictl_host *host;
	struct unit *units;
	char dir[400], word[32];
};

static const char garbage[] = "\x1b[2J\x01\xff\xfe\xc3 g\n\r\x7f\x80rbage";

static const char *word_for(const char *dir, const char *op, char *out, size_t size)
{
	char path[500];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, op);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, out, size - 1);
	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return out;
}

static int is(const struct whim *w, const char *word)
{
	return strcmp(w->word, word) == 0;
}

/* What ends or holds up the process. */
static void act(const char *word)
{
	if (strcmp(word, "segv") == 0) {
		signal(SIGSEGV, SIG_DFL); /* also below a sanitizer */
		raise(SIGSEGV);
	} else if (strcmp(word, "exit") == 0) {
		_exit(3);
	} else if (strcmp(word, "block") == 0) {
		poll(NULL, 0, 1500);
	} else if (strcmp(word, "stuck") == 0) {
		for (;;)
			poll(NULL, 0, 1000);
	} else if (strcmp(word, "garbage") == 0) {
		(void)!write(STDOUT_FILENO, garbage, sizeof(garbage));
		(void)!write(STDERR_FILENO, garbage, sizeof(garbage));
	}
}

static void end(const struct aictl_host *host, uint64_t op, struct aictl_result r)
{
	r.struct_size = sizeof(r);
	host->complete(host, op, &r);
}

/* True: the operation is not to do anything. */
static int goes_wrong(struct whim *w, uint64_t op, const char *name)
{
	struct aictl_result r = {.struct_size = 8};
	char why[64];

	act(word_for(w->dir, name, w->word, sizeof(w->word)));
	snprintf(why, sizeof(why), "no luck with %s", name);
	if (is(w, "fail") || is(w, "invalid"))
		end(w->host, op,
		    (struct aictl_result){.code = is(w, "fail") ? AICTL_FAILED : AICTL_INVALID,
					  .message = why});
	else if (is(w, "garbage"))
		end(w->host, op, (struct aictl_result){.code = AICTL_FAILED, .message = garbage});
	else if (is(w, "short"))
		w->host->complete(w->host, op, &r);
	else
		return is(w, "hang");
	return 1;
}

static void done(struct whim *w, uint64_t op, struct aictl_result r)
{
	const struct aictl_host *host = w->host;
	int twice = is(w, "twice"), foreign = is(w, "foreign");

	end(host, op, r);
	if (twice)
		end(host, op, r);
	if (foreign)
		end(host, op + 1000, r);
}

static struct unit **find(struct whim *w, const char *name)
{
	struct unit **at = &w->units;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static void tell(struct whim *w, struct unit *u, uint32_t phase)
{
	u->state.phase = phase;
	w->host->unit_state(w->host, &u->state);
}

static void drop(struct unit **at)
{
	struct unit *u = *at;

	*at = u->next;
	if (u->fd >= 0)
		close(u->fd);
	free(u);
}

static int open_whim(const struct aictl_host *host, const struct aictl_open *with, void **ret_self,
		     char *error, size_t error_size)
{
	struct aictl_engine_state up = {
		.struct_size = sizeof(up), .reachable = 1, .name = "Whim", .version = "7"};
	struct whim *w = calloc(1, sizeof(*w));

	if (!w)
		return AICTL_NO_MEMORY;
	w->host = host;
	snprintf(w->dir, sizeof(w->dir), "%s", with->config);
	act(word_for(w->dir, "open", w->word, sizeof(w->word)));
	if (is(w, "fail") || is(w, "garbage")) {
		snprintf(error, error_size, "%s", is(w, "fail") ? "no luck with open" : garbage);
		free(w);
		return AICTL_FAILED;
	}
	*ret_self = w;
	host->engine_state(host, &up);
	return AICTL_OK;
}

static void close_whim(void *self, uint64_t op)
{
	struct whim *w = self;

	if (goes_wrong(w, op, "close"))
		return;
	while (w->units)
		drop(&w->units);
	done(w, op, (struct aictl_result){.code = AICTL_OK});
	free(w);
}

static void start(void *self, uint64_t op, const struct aictl_start *what)
{
	struct whim *w = self;
	struct unit **at = find(w, what->unit), *u = *at;

	if (goes_wrong(w, op, "start"))
		return;
	if (!u && (u = *at = calloc(1, sizeof(*u)))) {
		u->fd = what->stdout_fd < 0 ? -1 : fcntl(what->stdout_fd, F_DUPFD_CLOEXEC, 0);
		snprintf(u->name, sizeof(u->name), "%s", what->unit);
		u->state.struct_size = sizeof(u->state);
		u->state.unit = u->name;
		if (u->fd >= 0)
			dprintf(u->fd, "hello from a unit\n");
		tell(w, u, AICTL_UNIT_RUNNING);
	}
	done(w, op, (struct aictl_result){.code = u ? AICTL_OK : AICTL_NO_MEMORY});
}

static void send_signal(void *self, uint64_t op, const char *name, int signal_number)
{
	struct whim *w = self;
	struct unit *u = *find(w, name);

	if (goes_wrong(w, op, "signal"))
		return;
	if (u && u->state.phase == AICTL_UNIT_RUNNING) {
		if (u->fd >= 0)
			close(u->fd);
		u->fd = -1;
		u->state.exit_status = 128 + signal_number;
		tell(w, u, AICTL_UNIT_EXITED);
	}
	done(w, op,
	     (struct aictl_result){.code = u ? AICTL_OK : AICTL_NOT_FOUND, .message = "none"});
}

static void remove_unit(void *self, uint64_t op, const char *name)
{
	struct whim *w = self;
	struct unit **at = find(w, name);

	if (goes_wrong(w, op, "remove"))
		return;
	if (*at) {
		tell(w, *at, AICTL_UNIT_GONE);
		drop(at);
	}
	done(w, op, (struct aictl_result){.code = AICTL_OK});
}

static void list(void *self, uint64_t op)
{
	struct whim *w = self;

	if (goes_wrong(w, op, "list"))
		return;
	for (struct unit *u = w->units; u; u = u->next)
		w->host->list_item(w->host, op, &u->state);
	done(w, op, (struct aictl_result){.code = AICTL_OK});
}

static void stats(void *self, uint64_t op, const char *name)
{
	const struct aictl_stats s = {
		.struct_size = sizeof(s), .cpu_us = 1000000, .memory_bytes = 1 << 20};
	struct whim *w = self;

	(void)name;
	if (!goes_wrong(w, op, "stats"))
		done(w, op, (struct aictl_result){.code = AICTL_OK, .stats = &s});
}

static void exec(void *self, uint64_t op, const struct aictl_exec *what)
{
	struct whim *w = self;

	if (goes_wrong(w, op, "exec"))
		return;
	dprintf(what->stdout_fd, "hello from exec\n");
	done(w, op, (struct aictl_result){.code = AICTL_OK, .exit_status = 7});
}

#ifdef WITH_LOGS
static void logs(void *self, uint64_t op, const struct aictl_logs *what)
{
	const struct aictl_log_position at = {.stamp_ns = 1, .bytes = 5, .lines = 1};
	struct whim *w = self;

	if (goes_wrong(w, op, "logs"))
		return;
	dprintf(what->stdout_fd, "line\n");
	w->host->log_position(w->host, op, &at);
	done(w, op, (struct aictl_result){.code = AICTL_OK});
}
#endif

static const struct aictl_runtime_ops ops = {
	.struct_size = sizeof(ops),
	.open = open_whim,
	.close = close_whim,
	.start = start,
	.signal = send_signal,
	.remove = remove_unit,
	.list = list,
	.stats = stats,
	.exec = exec,
#ifdef WITH_LOGS
	.logs = logs,
#endif
};

AICTL_RUNTIME_PLUGIN(NAME, "0.1", "does what it should not", ops)
