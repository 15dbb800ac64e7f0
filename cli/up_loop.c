/* up_loop: see up_loop.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/up_loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/event.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/report_manifest.h"
#include "cli/sources.h"
#include "cli/tail.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/up_daemon.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define LOOK_MS 500
#define PATIENCE_MS 2000
#define ANSWER_MS 15000
#define APPLY_MS 10000
#define WINDOW_MS 60000

void up_loop_init(struct up_loop *u)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	u->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	u->began_mono_ms = clock_mono_ms();
}

void up_loop_done(struct up_loop *u)
{
	for (size_t i = 0; i < u->n_starts; i++)
		mem_free(u->starts[i].object);
	mem_free(u->starts);
	mem_free(u->change_id);
	mem_free(u->change_body);
	mem_closep(&u->signal_fd);
	log_out_done(&u->out);
}

static char *seconds(int64_t ms)
{
	char human[32];

	if (ms < 60000)
		return x_printf("%lld.%llds", (long long)(ms / 1000), (long long)(ms / 100 % 10));
	return x_strdup(clock_human(ms, human, sizeof(human)));
}

static struct up_start *start_of(struct up_loop *u, const char *object)
{
	for (size_t i = 0; i < u->n_starts; i++) {
		if (strcmp(u->starts[i].object, object) == 0)
			return &u->starts[i];
	}
	x_grow(&u->starts, &u->cap_starts, u->n_starts + 1, sizeof(*u->starts));
	u->starts[u->n_starts] = (struct up_start){.object = x_strdup(object)};
	return &u->starts[u->n_starts++];
}

/* Without a probe it is ready at once: no time worth telling. */
static char *ready_after(struct up_start *start)
{
	int64_t took_ms = clock_mono_ms() - start->at_mono_ms;
	_cleanup_free_ char *took = seconds(took_ms);

	start->at_mono_ms = 0;
	return took_ms < 100 ? x_strdup("ready") : x_printf("ready after %s", took);
}

/* What a transition is called here; NULL = not worth a line. */
static char *transition(struct up_loop *u, const cJSON *event, const char *object)
{
	const char *to = js_str(event, "to", "");
	struct up_start *start = start_of(u, object);

	if (strcmp(to, "pending") == 0)
		return NULL;
	if (strcmp(to, "starting") == 0) {
		start->at_mono_ms = clock_mono_ms();
		return x_strdup("starting");
	}
	if (strcmp(to, "ready") == 0 && start->at_mono_ms)
		return ready_after(start);
	return event_what(event);
}

static void on_event(struct up_loop *u, const char *line)
{
	_cleanup_js_ cJSON *event = js_parse(line, strlen(line));
	_cleanup_free_ char *object = NULL, *text = NULL;

	if (!event || js_int(event, "seq", 0) <= u->seq)
		return;
	u->seq = js_int(event, "seq", 0);
	if (!js_str(event, "to", NULL) || js_int(event, "replica", -1) < 0)
		return;
	object = event_object(event);
	text = transition(u, event, object);
	if (text)
		view_note(&u->out.view, object,
			  term_state_color(&u->cli->term, js_str(event, "to", "")), text);
}

void up_loop_open_events(struct up_loop *u)
{
	_cleanup_free_ char *path =
		u->seq ? x_printf("/v1/events?follow=1&since=%lld", (long long)u->seq)
		       : x_strdup("/v1/events?follow=1&n=0");
	_cleanup_err_ struct err *e = NULL;

	u->streaming = client_stream_begin(u->events, path, &e) == 0;
}

/* A signal, or the end of aictld. */
static bool is_disturbed(const struct up_loop *u)
{
	struct pollfd p[] = {{.fd = u->signal_fd, .events = POLLIN},
			     {.fd = u->daemon->pidfd, .events = POLLIN}};

	return poll(p, ARRAY_SIZE(p), 0) > 0;
}

int up_loop_wait_answer(struct up_loop *u)
{
	const struct client_request rq = {.method = "GET", .path = "/v1/version"};
	int64_t deadline = clock_add(clock_mono_ms(), ANSWER_MS);

	client_set_patience(u->client, LOOK_MS);
	while (!is_disturbed(u)) {
		_cleanup_reply_ struct reply r = {0};
		_cleanup_err_ struct err *e = NULL;

		if (client_call(u->client, &rq, &r, &e) == 0 && r.status == 200) {
			client_set_patience(u->client, APPLY_MS);
			return CODE_OK;
		}
		if (clock_mono_ms() < deadline)
			continue;
		report_plain("the controller does not answer");
		up_daemon_show_log(u->daemon);
		return CODE_FAILED;
	}
	return -1;
}

static void read_events(struct up_loop *u)
{
	const char *line;

	while (u->streaming) {
		int r = client_stream_next(u->events, false, &line, NULL);

		if (r == -ERR_TIMEOUT)
			return;
		if (r <= 0)
			u->streaming = false; /* the controller died; the next look reconnects */
		else
			on_event(u, line);
	}
}

int up_loop_apply(struct up_loop *u)
{
	struct client_request rq = {.method = "POST", .path = "/v1/changes"};
	_cleanup_reply_ struct reply reply = {0};
	_cleanup_err_ struct err *e = NULL;
	cJSON *body;

	if (!u->change_body) {
		body = change_new("apply");
		sources_to_json(u->sources, body);
		u->change_body = x_check(cJSON_PrintUnformatted(body));
		cJSON_Delete(body);
	}
	rq.body = u->change_body;
	if (client_call(u->client, &rq, &reply, &e) < 0)
		return (int)report_err(e);
	if (reply.status / 100 != 2)
		return report_manifest_reply(u->sources, &reply);
	if (!u->change_id) /* not when a daemon that forgot it is told again */
		report_manifest_warnings_json(u->sources, js_get(reply.json, "machine_warnings"));
	mem_free(u->change_id);
	u->change_id = x_strdup(js_str(reply.json, "id", ""));
	return CODE_OK;
}

static void forget_change(struct up_loop *u)
{
	mem_free(u->change_id);
	u->change_id = NULL;
}

/* The stable ports of s; how many those are. */
static int show_endpoints(struct up_loop *u, const cJSON *s)
{
	const cJSON *e;
	int n = 0;

	cJSON_ArrayForEach (e, js_get(s, "endpoints")) {
		const char *error = js_str(e, "error", NULL);
		_cleanup_free_ char *text =
			x_printf("%s %s%s%s", error ? "not" : "on", js_str(e, "address", ""),
				 error ? ": " : "", error ? error : "");

		view_note(&u->out.view, js_str(s, "name", "?"), error ? TERM_RED : "", text);
		n++;
	}
	return n;
}

/* Where each service is to be reached; its replicas, when it has no port of its own. */
static void show_ports(struct up_loop *u)
{
	const struct client_request rq = {.method = "GET", .path = "/v1/services"};
	_cleanup_reply_ struct reply r = {0};
	_cleanup_err_ struct err *e = NULL;
	const cJSON *s, *k;

	if (client_call(u->client, &rq, &r, &e) < 0)
		return;
	cJSON_ArrayForEach (s, js_get(r.json, "services")) {
		if (show_endpoints(u, s) > 0)
			continue;
		cJSON_ArrayForEach (k, js_get(s, "replicas")) {
			long long port = js_int(k, "port", 0);
			_cleanup_free_ char *text = x_printf("on 127.0.0.1:%lld", port);

			if (port)
				view_note(&u->out.view, js_str(k, "id", "?"), "", text);
		}
	}
}

/* The change that applied the manifest: is it over, and how did it end? */
static void look_at_change(struct up_loop *u)
{
	_cleanup_free_ char *path = x_printf("/v1/changes/%s", u->change_id), *took = NULL;
	_cleanup_reply_ struct reply r = {0};
	_cleanup_err_ struct err *e = NULL;
	const char *state;

	if (client_call(u->client, &(struct client_request){.method = "GET", .path = path}, &r,
			&e) < 0)
		return;
	if (r.status == 404) { /* the controller died and forgot it */
		if (up_loop_apply(u) != CODE_OK)
			forget_change(u);
		return;
	}
	state = js_str(r.json, "state", "");
	if (r.status != 200 || strcmp(state, "running") == 0)
		return;
	read_events(u); /* what led there comes first */
	took = seconds(clock_mono_ms() - u->began_mono_ms);
	if (strcmp(state, "done") == 0) {
		printf("%s: all ready after %s\n", u->manifest->name, took);
		show_ports(u);
	} else if (js_get(r.json, "error")) {
		report_manifest_json(u->sources, js_get(r.json, "error"));
	}
	forget_change(u);
}

static void look(struct up_loop *u)
{
	if (u->stops || clock_mono_ms() < u->next_look_mono_ms)
		return;
	u->next_look_mono_ms = clock_add(clock_mono_ms(), LOOK_MS);
	if (!u->streaming)
		up_loop_open_events(u);
	if (u->change_id)
		look_at_change(u);
}

void up_loop_stop(struct up_loop *u)
{
	up_daemon_stop(u->daemon);
	u->stops++;
}

static void print_logs(struct up_loop *u)
{
	struct tail_line line;

	while (tail_next(u->tail, &line))
		log_out_line(&u->out, &line);
	fflush(stdout);
}

static void read_signal(struct up_loop *u)
{
	struct signalfd_siginfo info;

	if (read(u->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (u->stops == 0)
		printf("\n%s: stopping%s\n", u->manifest->name,
		       info.ssi_signo == SIGINT ? " (Ctrl-C again kills)" : "");
	else if (u->stops == 1)
		printf("\n%s: killing\n", u->manifest->name);
	up_loop_stop(u);
}

/* Somebody killed aictld: the next one takes over what runs. False: too often, or too early. */
static bool come_back(struct up_loop *u)
{
	const size_t last = ARRAY_SIZE(u->deaths_mono_ms) - 1;
	int64_t now = clock_mono_ms();

	if (!u->change_body)
		return false;
	if (u->deaths_mono_ms[last] && now - u->deaths_mono_ms[last] < WINDOW_MS)
		return false;
	memmove(&u->deaths_mono_ms[1], &u->deaths_mono_ms[0], last * sizeof(now));
	u->deaths_mono_ms[0] = now;
	report_warning("aictld was killed: starting it again");
	if (up_daemon_restart(u->daemon, u->signal_fd) != CODE_OK)
		return false;
	u->streaming = false;
	u->next_look_mono_ms = 0;
	for (int i = 0; i < u->stops; i++)
		up_daemon_stop(u->daemon);
	return true;
}

/* The exit code, or -1: it goes on. */
static int ended(struct up_loop *u)
{
	int code = up_daemon_reap(u->daemon);

	read_events(u);
	print_logs(u);
	if (code == 0) {
		printf("%s: stopped\n", u->manifest->name);
		return CODE_OK;
	}
	if (code < 0 && come_back(u))
		return -1;
	if (code < 0) {
		report_plain("aictld was killed; its services may still run");
		report_hint("run `aictl up` here again: it replaces them");
	} else
		report_plain("aictld ended with exit code %d", code);
	up_daemon_show_log(u->daemon);
	return CODE_FAILED;
}

int up_loop_run(struct up_loop *u)
{
	int code;

	client_set_patience(u->client, PATIENCE_MS);
	client_set_patience(u->events, PATIENCE_MS);
	for (;;) {
		struct pollfd fds[] = {
			{.fd = u->signal_fd, .events = POLLIN},
			{.fd = u->daemon->pidfd, .events = POLLIN},
			{.fd = tail_fd(u->tail), .events = POLLIN},
			{.fd = client_stream_fd(u->events), .events = POLLIN},
		};

		read_events(u);
		print_logs(u);
		if (!u->streaming)
			fds[3].fd = -1;
		if (poll(fds, ARRAY_SIZE(fds), LOOK_MS) < 0 && errno != EINTR)
			return CODE_FAILED;
		if (fds[0].revents)
			read_signal(u);
		if (fds[1].revents && (code = ended(u)) >= 0)
			return code;
		look(u);
	}
}
