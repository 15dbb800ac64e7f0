/*
 * log_stream: see log_stream.h. After a break the lines of the last seconds are asked for, and those
 * that were given are known by a hash of their whole JSON text. Lines of several replicas are not
 * quite in the order of their times: hence the seconds.
 */
/* SPDX-License-Identifier: MIT */
#include "cli/log_stream.h"

#include <string.h>

#include "cli/client.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"

#define LINES_MAX 1000000
#define OVERLAP_MS 2000
#define RETRY_MS 500
#define REFUSED_MS 20000 /* after a break: then a refusal is meant */
#define SEEN_MAX 8192	 /* lines within the overlap that are remembered */

struct log_stream {
	struct client *client; /* NULL: it broke */
	char *socket, *query;
	int64_t n, since_ms;
	bool follow, told;		      /* that it broke */
	int64_t opened_ms, newest_ms;	      /* wall clock; 0 = no line yet */
	int64_t broke_mono_ms, retry_mono_ms; /* when to try again */
	int64_t known_until_ms; /* lines up to here may have been given before; 0 = none */
	uint64_t *seen;		/* a ring */
	size_t n_seen;		/* so many were ever put in */
	cJSON *json;
};

static uint64_t hash_of(const char *text)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211);
	return h | 1; /* 0 is a free place */
}

static void remember(struct log_stream *s, uint64_t hash)
{
	if (!s->seen)
		s->seen = x_alloc(SEEN_MAX * sizeof(*s->seen));
	s->seen[s->n_seen++ % SEEN_MAX] = hash;
}

/* Each of them once: the same line may have been written twice. */
static bool forget(struct log_stream *s, uint64_t hash)
{
	for (size_t i = 0; s->seen && i < SEEN_MAX; i++) {
		if (s->seen[i] == hash) {
			s->seen[i] = 0;
			return true;
		}
	}
	return false;
}

static void put_since(struct buf *path, int64_t wall_ms)
{
	char stamp[CLOCK_RFC3339_SIZE];

	if (wall_ms > 0)
		buf_printf(path, "&since=%.19s.%03dZ", clock_rfc3339(wall_ms, stamp),
			   (int)(wall_ms % 1000));
}

static int begin(struct log_stream *s, int64_t n, int64_t since_ms, struct err **reterr)
{
	_cleanup_buf_ struct buf path = {0};

	buf_printf(&path, "/v1/logs?%s&n=%lld", s->query, (long long)n);
	put_since(&path, since_ms);
	buf_str(&path, s->follow ? "&follow=1" : "");
	if (path.failed)
		x_check(NULL);
	s->client = client_new(s->socket);
	return client_stream_begin(s->client, buf_cstr(&path), reterr);
}

int log_stream_open(const struct log_stream_opts *o, struct log_stream **ret, struct err **reterr)
{
	struct log_stream *s = x_alloc(sizeof(*s));
	int r;

	s->socket = x_strdup(o->socket);
	s->query = x_strdup(o->query);
	s->n = o->n < 0 ? LINES_MAX : o->n;
	s->since_ms = o->since_ms;
	s->follow = o->follow;
	s->opened_ms = clock_wall_ms();
	r = begin(s, s->n, s->since_ms, reterr);
	if (r < 0) {
		log_stream_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct log_stream *log_stream_free(struct log_stream *s)
{
	if (!s)
		return NULL;
	client_free(s->client);
	cJSON_Delete(s->json);
	mem_free(s->socket);
	mem_free(s->query);
	mem_free(s->seen);
	mem_free(s);
	return NULL;
}

int log_stream_fd(const struct log_stream *s)
{
	return s->client ? client_stream_fd(s->client) : -1;
}

static void break_off(struct log_stream *s, int64_t wait_ms)
{
	s->client = client_free(s->client);
	s->retry_mono_ms = clock_mono_ms() + wait_ms;
}

/* A daemon that is just beginning does not know its services yet, nor does everybody get in. */
static bool is_refused(int r)
{
	return r == -ERR_NOTFOUND || r == -ERR_PERM || r == -ERR_INVALID;
}

/* Tries to go on where it broke. 0, -ERR_TIMEOUT: not yet; else for good. */
static int resume(struct log_stream *s, struct err **reterr)
{
	_cleanup_err_ struct err *e = NULL;
	int64_t since = s->newest_ms ? s->newest_ms - OVERLAP_MS : s->opened_ms;
	int r;

	if (clock_mono_ms() < s->retry_mono_ms)
		return -ERR_TIMEOUT;
	r = begin(s, LINES_MAX, since > s->since_ms ? since : s->since_ms, &e);
	if (r < 0)
		break_off(s, RETRY_MS);
	if (is_refused(r) && clock_mono_ms() - s->broke_mono_ms > REFUSED_MS) {
		*reterr = TAKE_PTR(e);
		return r;
	}
	if (r < 0) {
		if (!s->told && !is_refused(r))
			report_warning("the daemon does not answer; waiting for it");
		s->told |= !is_refused(r);
		return -ERR_TIMEOUT;
	}
	s->told = false;
	s->known_until_ms = s->newest_ms;
	return 0;
}

/* A line that came: true when it is to be given. */
static bool take(struct log_stream *s, const char *text)
{
	uint64_t hash = hash_of(text);
	int64_t at;

	cJSON_Delete(s->json);
	s->json = js_parse(text, strlen(text));
	at = js_time(s->json, "at");
	if (s->known_until_ms && at <= s->known_until_ms && forget(s, hash)) {
		remember(s, hash); /* for the next break */
		return false;
	}
	if (s->follow)
		remember(s, hash);
	s->newest_ms = at > s->newest_ms ? at : s->newest_ms;
	return js_get(s->json, "line") || js_get(s->json, "raw") || js_get(s->json, "warning");
}

/* The daemon cannot go on, and will not with the same request. */
static int refusal(const cJSON *json, struct err **reterr)
{
	return err_set(reterr, ERR_INVALID, "%s",
		       js_str(js_get(json, "error"), "message", "unknown error"));
}

int log_stream_next(struct log_stream *s, const cJSON **ret, struct err **reterr)
{
	const char *text;

	for (;;) {
		_cleanup_err_ struct err *e = NULL;
		int r = s->client ? 0 : resume(s, reterr);

		if (r < 0)
			return r;
		r = client_stream_next(s->client, false, &text, &e);
		if (r == 1 && take(s, text)) {
			*ret = s->json;
			return 1;
		}
		if (r == 1 && js_get(s->json, "error"))
			return refusal(s->json, reterr);
		if (r == 1)
			continue;
		if (r == -ERR_TIMEOUT || !s->follow) {
			if (r < 0 && r != -ERR_TIMEOUT)
				*reterr = TAKE_PTR(e);
			return r;
		}
		s->broke_mono_ms = clock_mono_ms();
		break_off(s, r < 0 ? 0 : RETRY_MS);
	}
}
