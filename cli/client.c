/* client: see client.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client_find.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/report_manifest.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/http_client.h"
#include "lib/mem.h"

#define ANSWER_MS 30000 /* an ordinary request */
#define RETRY_MS 10000	/* while no controller answers */
#define RETRY_STEP_MS 50
#define REFUSAL_MAX (1u << 20) /* bytes of an error's body */

struct client {
	char *socket;
	int64_t patience_ms;
	struct http_client *http;
};

struct client *client_new(const char *socket)
{
	_cleanup_err_ struct err *e = NULL;
	struct client *c = x_alloc(sizeof(*c));

	c->socket = x_strdup(socket);
	c->patience_ms = ANSWER_MS;
	if (http_client_new(socket, &c->http, &e) < 0)
		report_die(e);
	return c;
}

struct client *client_open(struct cli *cli)
{
	_cleanup_free_ char *socket = client_find_socket(cli);

	return client_new(socket);
}

struct client *client_free(struct client *c)
{
	if (!c)
		return NULL;
	http_client_free(c->http);
	mem_free(c->socket);
	mem_free(c);
	return NULL;
}

void client_freep(struct client **c)
{
	client_free(*c);
}

const char *client_socket(const struct client *c)
{
	return c->socket;
}

void client_set_patience(struct client *c, int64_t ms)
{
	c->patience_ms = ms;
}

static int64_t retry_ms(const struct client *c)
{
	return c->patience_ms < RETRY_MS ? c->patience_ms : RETRY_MS;
}

void client_reply_done(struct reply *r)
{
	cJSON_Delete(r->json);
	mem_free(r->text);
	*r = (struct reply){0};
}

bool client_is_passing(const struct err *e)
{
	return e->code == ERR_UNREACHABLE && e->sys != ENOENT && e->sys != ECONNREFUSED;
}

static bool is_starting(const struct reply *r)
{
	return r->status == 503 &&
	       strcmp(js_str(js_get(r->json, "error"), "code", ""), "starting") == 0;
}

static int call_once(struct client *c, const struct http_client_request *rq, struct reply *ret,
		     struct err **reterr)
{
	struct http_client_answer answer = {0};
	int r = http_client_call(c->http, rq, &answer, reterr);

	if (r < 0)
		return r;
	*ret = (struct reply){.status = answer.status,
			      .text = answer.body,
			      .len = answer.len,
			      .json = js_parse(answer.body, answer.len)};
	return 0;
}

/* The daemon is there but says nothing: not a time-out that the user asked for. */
static int no_answer(struct client *c, struct err **reterr)
{
	err_set(reterr, ERR_UNREACHABLE, "the daemon behind %s does not answer", c->socket);
	return err_hint(reterr, "its own log says why (journalctl -u aictld, or aictld's stderr)");
}

int client_call(struct client *c, const struct client_request *rq, struct reply *ret,
		struct err **reterr)
{
	int64_t now = clock_mono_ms(), until = clock_add(now, retry_ms(c));
	struct http_client_request http = {
		.method = rq->method,
		.target = rq->path,
		.body = rq->body,
		.body_len = rq->body ? strlen(rq->body) : 0,
		.deadline_mono_ms = clock_add(now, rq->wait_ms + c->patience_ms),
		.repeatable = true,
	};

	for (;;) {
		_cleanup_err_ struct err *e = NULL;
		int r = call_once(c, &http, ret, &e);
		bool again = r < 0 ? client_is_passing(e) : is_starting(ret);

		if (!again || clock_mono_ms() >= until) {
			if (r == -ERR_TIMEOUT)
				return no_answer(c, reterr);
			if (r < 0)
				*reterr = TAKE_PTR(e);
			return r;
		}
		if (r == 0)
			client_reply_done(ret);
		poll(NULL, 0, RETRY_STEP_MS);
	}
}

static void call(struct client *c, const struct client_request *rq, struct reply *ret)
{
	_cleanup_err_ struct err *e = NULL;

	if (client_call(c, rq, ret, &e) < 0)
		report_die(e);
}

void client_check(const struct reply *r)
{
	if (r->status / 100 != 2)
		exit(report_manifest_reply(NULL, r));
}

int client_send(struct client *c, const char *method, const char *path, const char *body,
		struct reply *ret)
{
	call(c, &(struct client_request){.method = method, .path = path, .body = body}, ret);
	return ret->status;
}

void client_get_wait(struct client *c, const char *path, int64_t wait_ms, struct reply *ret)
{
	call(c, &(struct client_request){.method = "GET", .path = path, .wait_ms = wait_ms}, ret);
	client_check(ret);
}

void client_get(struct client *c, const char *path, struct reply *ret)
{
	client_get_wait(c, path, 0, ret);
}

void client_post(struct client *c, const char *path, const char *body, struct reply *ret)
{
	call(c, &(struct client_request){.method = "POST", .path = path, .body = body}, ret);
	client_check(ret);
}

/* The body of a refused stream as an error. */
static int stream_refused(struct client *c, int status, struct err **reterr)
{
	_cleanup_js_ cJSON *json = NULL;
	const char *line = NULL;

	if (http_client_line(c->http, clock_add(clock_mono_ms(), c->patience_ms), &line, NULL) > 0)
		json = js_parse(line, strlen(line));
	return report_manifest_to_err(js_get(json, "error"), status, reterr);
}

int client_stream_begin(struct client *c, const char *path, struct err **reterr)
{
	int64_t now = clock_mono_ms(), until = clock_add(now, retry_ms(c));
	struct http_client_request rq = {.method = "GET", .target = path, .repeatable = true};
	int status, r;

	for (;;) {
		_cleanup_err_ struct err *e = NULL;

		rq.deadline_mono_ms = clock_add(clock_mono_ms(), c->patience_ms);
		r = http_client_begin(c->http, &rq, &status, &e);
		if (r == 0 && status == 200)
			return 0;
		if (r < 0 && !client_is_passing(e)) {
			*reterr = TAKE_PTR(e);
			return r;
		}
		if ((r == 0 && status != 503) || clock_mono_ms() >= until)
			return r < 0 ? no_answer(c, reterr) : stream_refused(c, status, reterr);
		poll(NULL, 0, RETRY_STEP_MS);
	}
}

/* The whole of an answer that is no 101. */
static void read_refusal(struct client *c, int status, int64_t deadline, struct reply *ret)
{
	struct buf body = {0};
	const char *data;
	size_t n;

	while (body.len < REFUSAL_MAX && http_client_read(c->http, deadline, &data, &n, NULL) > 0)
		buf_append(&body, data, n);
	*ret = (struct reply){.status = status, .len = body.len};
	buf_append(&body, "", 0);
	ret->text = x_check(buf_take(&body));
	ret->json = js_parse(ret->text, ret->len);
}

static int report_refusal(const struct reply *reply)
{
	bool not_ready = strcmp(js_str(js_get(reply->json, "error"), "code", ""), "not_ready") == 0;
	int code = report_manifest_reply(NULL, reply);

	return not_ready ? CODE_NOT_READY : code;
}

int client_upgrade(struct client *c, const char *path, const char *body, const char *protocol,
		   struct buf *early)
{
	int64_t until = clock_add(clock_mono_ms(), retry_ms(c));
	struct http_client_request rq = {.method = "POST",
					 .target = path,
					 .body = body,
					 .body_len = strlen(body),
					 .upgrade = protocol};

	for (;;) {
		_cleanup_err_ struct err *e = NULL;
		_cleanup_reply_ struct reply reply = {0};
		int status, r;

		rq.deadline_mono_ms = clock_add(clock_mono_ms(), c->patience_ms);
		r = http_client_begin(c->http, &rq, &status, &e);
		if (r == 0 && status == 101)
			return http_client_take(c->http, early);
		if (r < 0) /* a command must not run twice: nothing is repeated */
			report_die(e);
		read_refusal(c, status, rq.deadline_mono_ms, &reply);
		if (!is_starting(&reply) || clock_mono_ms() >= until)
			exit(report_refusal(&reply));
		poll(NULL, 0, RETRY_STEP_MS);
	}
}

int client_stream_next(struct client *c, bool block, const char **ret_line, struct err **reterr)
{
	return http_client_line(c->http, block ? INT64_MAX : 0, ret_line, reterr);
}

int client_stream_fd(const struct client *c)
{
	return http_client_fd(c->http);
}

char *client_escape(const char *text)
{
	struct buf out = {0};

	http_client_escape(&out, text);
	return x_check(buf_take(&out));
}

char *client_path_services(const char *path, const char *const *names, size_t n)
{
	bool query = strchr(path, '?') != NULL;
	struct buf out = {0};

	buf_str(&out, path);
	for (size_t i = 0; i < n; i++) {
		buf_str(&out, query ? "&service=" : "?service=");
		http_client_escape(&out, names[i]);
		query = true;
	}
	return x_check(buf_take(&out));
}
