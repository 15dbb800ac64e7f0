/*
 * prober: see prober.h. libcurl tells which descriptors to watch (on_socket) and when to call it
 * (on_curl_timer); uv_poll and uv_timer call it back; finished exchanges are collected after each
 * such call, outside of libcurl, so a callback may start and cancel runs and close the prober.
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/controller/prober.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <unistd.h>

#include "daemon/controller/probe_expect.h"
#include "daemon/controller/probe_grpc.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/sock.h"

#define SPARE_MAX 32 /* easy handles kept for the next runs */

struct watched {	/* a descriptor of libcurl's */
	uv_poll_t poll; /* data: the watched */
	curl_socket_t fd;
	struct prober *p;
	LIST_ENTRY(watched) all;
};

/* What a request has that is more than a GET. */
struct extra {
	enum request_method method;
	struct curl_slist *fields; /* NULL: the prober's */
	char *body;
	size_t body_len;
	struct probe_expect *expect;
	struct buf answer; /* where it is looked at */
	void (*on_body)(const char *data, size_t n, void *user);
	size_t body_max;
	char *grpc; /* the service that is asked for; NULL: not gRPC */
	struct probe_grpc_answer rpc;
};

struct probe_run {
	struct prober *p;
	CURL *easy; /* NULL while it waits */
	char *url;
	char *socket;	     /* the path of the Unix socket to ask at, or NULL */
	int socket_fd;	     /* what is there (O_PATH); -errno = nothing to ask */
	struct extra *extra; /* NULL: a GET that has to say 200 to 399 */
	bool connect_only;   /* tcp */
	int64_t timeout_ms, started_us;
	size_t body;
	char said[CURL_ERROR_SIZE]; /* libcurl's own words */
	probe_cb cb;
	void *user;
	TAILQ_ENTRY(probe_run) link; /* of waiting or running */
};
TAILQ_HEAD(run_list, probe_run);

struct prober {
	uv_loop_t *loop;
	uv_timer_t timer; /* libcurl's */
	uv_timer_t kick;  /* a place became free outside of the loop's callbacks */
	CURLM *multi;
	struct curl_slist *fields; /* of every request */
	struct run_list waiting, running;
	unsigned n_waiting, n_running;
	LIST_HEAD(watched_list, watched) watched;
	CURL *spare[SPARE_MAX];
	unsigned n_spare;
	unsigned n_handles; /* of libuv, not closed yet */
	bool closing;
};

static void collect(struct prober *p);

static void handle_closed(struct prober *p)
{
	if (--p->n_handles == 0 && p->closing)
		mem_free(p);
}

static void on_timer_closed(uv_handle_t *h)
{
	handle_closed(h->data);
}

static void on_poll_closed(uv_handle_t *h)
{
	struct watched *w = h->data;
	struct prober *p = w->p;

	mem_free(w);
	handle_closed(p);
}

static void unwatch(struct watched *w)
{
	LIST_REMOVE(w, all);
	uv_close((uv_handle_t *)&w->poll, on_poll_closed); /* stops it at once */
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watched *w = poll->data;
	struct prober *p = w->p;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0, n;

	flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
	flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
	curl_multi_socket_action(p->multi, w->fd, flags, &n);
	collect(p);
}

static struct watched *watch(struct prober *p, curl_socket_t fd)
{
	struct watched *w = mem_alloc(sizeof(*w));

	if (!w)
		return NULL;
	if (uv_poll_init(p->loop, &w->poll, fd) < 0) {
		mem_free(w);
		return NULL;
	}
	w->poll.data = w;
	w->fd = fd;
	w->p = p;
	LIST_INSERT_HEAD(&p->watched, w, all);
	p->n_handles++;
	curl_multi_assign(p->multi, fd, w);
	return w;
}

/* libcurl wants fd watched, or no more. A descriptor that cannot be watched ends in a time-out. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *of_socket)
{
	struct prober *p = user;
	struct watched *w = of_socket;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w) {
			curl_multi_assign(p->multi, fd, NULL);
			unwatch(w);
		}
		return 0;
	}
	if (!w)
		w = watch(p, fd);
	if (!w)
		return 0;
	events |= what & CURL_POLL_IN ? UV_READABLE : 0;
	events |= what & CURL_POLL_OUT ? UV_WRITABLE : 0;
	uv_poll_start(&w->poll, events, on_ready);
	return 0;
}

static void on_time(uv_timer_t *t)
{
	struct prober *p = t->data;
	long again = -1;
	int n;

	curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &n);
	/* libcurl does not repeat a deadline it has told, even if this call came a little early */
	if (!uv_is_active((uv_handle_t *)t) && curl_multi_timeout(p->multi, &again) == CURLM_OK &&
	    again >= 0)
		uv_timer_start(t, on_time, (uint64_t)again + 1, 0);
	collect(p);
}

static int on_curl_timer(CURLM *multi, long ms, void *user)
{
	struct prober *p = user;

	(void)multi;
	if (p->closing || ms < 0) {
		uv_timer_stop(&p->timer);
		return 0;
	}
	uv_update_time(p->loop); /* the deadline counts from now, not from the loop's last look */
	uv_timer_start(&p->timer, on_time, ms > 0 ? (uint64_t)ms + 1 : 0, 0);
	return 0;
}

static size_t body_max(const struct probe_run *run)
{
	return run->extra && run->extra->body_max ? run->extra->body_max : PROBER_BODY_MAX;
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct probe_run *run = user;

	const struct extra *x = run->extra;

	run->body += size * n;
	if (run->body > body_max(run))
		return 0;
	if (x && (x->grpc || probe_expect_body(x->expect)))
		buf_append(&run->extra->answer, data, size * n);
	if (x && x->on_body)
		x->on_body(data, size * n, run->user);
	return size * n;
}

/* Headers and trailers of a gRPC call. */
static size_t on_field(char *data, size_t size, size_t n, void *user)
{
	struct probe_run *run = user;
	size_t len = size * n;

	while (len > 0 && (data[len - 1] == '\r' || data[len - 1] == '\n'))
		len--;
	probe_grpc_field(&run->extra->rpc, data, len);
	return size * n;
}

static void human_ms(char *out, size_t n, int64_t ms)
{
	if (ms % 1000 == 0)
		snprintf(out, n, "%llds", (long long)(ms / 1000));
	else
		snprintf(out, n, "%lldms", (long long)ms);
}

static void describe_timeout(const struct probe_run *run, struct probe_result *r)
{
	char limit[32];

	human_ms(limit, sizeof(limit), run->timeout_ms);
	if (run->connect_only)
		snprintf(r->message, sizeof(r->message), "no connection within %s", limit);
	else if (r->status > 0)
		snprintf(r->message, sizeof(r->message), "HTTP %d, but no end within %s", r->status,
			 limit);
	else
		snprintf(r->message, sizeof(r->message), "no answer within %s", limit);
}

static void describe_connect(const struct probe_run *run, struct probe_result *r)
{
	long e = 0;

	curl_easy_getinfo(run->easy, CURLINFO_OS_ERRNO, &e);
	if (run->socket && run->socket_fd < 0)
		e = -run->socket_fd;
	errno = (int)e;
	if (e == ECONNREFUSED)
		snprintf(r->message, sizeof(r->message), "connection refused");
	else if (e != 0)
		snprintf(r->message, sizeof(r->message), "cannot connect: %m");
	else
		snprintf(r->message, sizeof(r->message), "cannot connect");
}

/* The message of a run that failed. */
static void describe(const struct probe_run *run, CURLcode code, struct probe_result *r)
{
	const char *text = NULL;

	if (run->body > body_max(run))
		text = body_max(run) == PROBER_BODY_MAX ? "body over 64 KiB" : "body too long";
	else if (code == CURLE_GOT_NOTHING)
		text = "connection closed without an answer";
	else if (code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR)
		text = strstr(run->said, "reset") || !run->said[0] ? "connection reset" : run->said;
	else if (code == CURLE_PARTIAL_FILE)
		text = "answer cut short";
	else if (run->extra && run->extra->grpc &&
		 (code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM))
		text = "not a gRPC server";
	else if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY)
		text = "not an HTTP answer";
	else if (code == CURLE_URL_MALFORMAT)
		text = "bad address or path";
	else if (code != CURLE_OPERATION_TIMEDOUT && code != CURLE_COULDNT_CONNECT)
		text = curl_easy_strerror(code);
	if (text)
		snprintf(r->message, sizeof(r->message), "%.150s", text);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		describe_timeout(run, r);
	else
		describe_connect(run, r);
}

static void judge_grpc(struct extra *x, struct probe_result *r)
{
	x->rpc.http_status = r->status;
	x->rpc.body = (const uint8_t *)x->answer.data;
	x->rpc.len = x->answer.len;
	r->ok = probe_grpc_judge(&x->rpc, x->grpc, r->message, sizeof(r->message));
}

static void judge_answer(const struct probe_run *run, struct probe_result *r)
{
	struct probe_answer a = {.status = r->status, .took_ms = r->duration_ms};

	if (run->extra && run->extra->answer.failed) {
		snprintf(r->message, sizeof(r->message), "out of memory");
		return;
	}
	if (run->extra && run->extra->grpc) {
		judge_grpc(run->extra, r);
		return;
	}
	if (run->extra) {
		a.body = run->extra->answer.data;
		a.len = run->extra->answer.len;
	}
	r->ok = probe_expect_judge(run->extra ? run->extra->expect : NULL, &a, r->message,
				   sizeof(r->message));
}

static void judge(const struct probe_run *run, CURLcode code, struct probe_result *r)
{
	long status = 0;

	curl_easy_getinfo(run->easy, CURLINFO_RESPONSE_CODE, &status);
	r->status = (int)status;
	r->duration_ms = (clock_mono_us() - run->started_us) / 1000;
	if (code != CURLE_OK) {
		describe(run, code, r);
		return;
	}
	if (run->connect_only) {
		r->ok = true;
		snprintf(r->message, sizeof(r->message), "connected");
		return;
	}
	judge_answer(run, r);
}

static void free_extra(struct extra *x)
{
	if (!x)
		return;
	curl_slist_free_all(x->fields);
	mem_free(x->body);
	mem_free(x->grpc);
	probe_expect_free(x->expect);
	buf_done(&x->answer);
	mem_free(x);
}

static void free_run(struct probe_run *run)
{
	if (run->socket && run->socket_fd >= 0)
		close(run->socket_fd);
	free_extra(run->extra);
	mem_free(run->url);
	mem_free(run->socket);
	mem_free(run);
}

/* Takes the run out of all lists and frees it; its easy handle is kept for another. */
static void drop(struct probe_run *run)
{
	struct prober *p = run->p;

	if (run->easy) {
		curl_multi_remove_handle(p->multi, run->easy);
		curl_easy_setopt(run->easy, CURLOPT_ERRORBUFFER, NULL);
		if (p->n_spare < SPARE_MAX && !p->closing)
			p->spare[p->n_spare++] = run->easy;
		else
			curl_easy_cleanup(run->easy);
		TAILQ_REMOVE(&p->running, run, link);
		p->n_running--;
	} else {
		TAILQ_REMOVE(&p->waiting, run, link);
		p->n_waiting--;
	}
	free_run(run);
}

static void finish(struct probe_run *run, const struct probe_result *r)
{
	probe_cb cb = run->cb;
	void *user = run->user;

	drop(run);
	cb(r, user);
}

static CURL *new_easy(struct prober *p)
{
	CURL *e = p->n_spare > 0 ? p->spare[--p->n_spare] : NULL;

	if (e)
		return e;
	e = curl_easy_init();
	if (!e)
		return NULL;
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "aictl-probe/" PKGVERSION);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	return e;
}

/* The handle may have served a request of another kind before. */
static bool set_request(CURL *e, const struct probe_run *run)
{
	const struct extra *x = run->extra;
	enum request_method method = x ? x->method : REQUEST_GET;
	bool has_body = method == REQUEST_POST || method == REQUEST_PUT;
	const char *body = x && x->body ? x->body : "";
	bool grpc = x && x->grpc;

	if (curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
			     grpc ? (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
				  : (long)CURL_HTTP_VERSION_1_1) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, grpc ? on_field : NULL) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_HEADERDATA, grpc ? run : NULL) != CURLE_OK)
		return false;
	if (curl_easy_setopt(e, CURLOPT_HTTPHEADER, x && x->fields ? x->fields : run->p->fields) !=
	    CURLE_OK)
		return false;
	if (has_body)
		return curl_easy_setopt(e, CURLOPT_NOBODY, 0L) == CURLE_OK &&
		       curl_easy_setopt(e, CURLOPT_POST, 1L) == CURLE_OK &&
		       curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE,
					(long)(x->body ? x->body_len : 0)) == CURLE_OK &&
		       curl_easy_setopt(e, CURLOPT_POSTFIELDS, body) == CURLE_OK &&
		       curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST,
					method == REQUEST_PUT ? "PUT" : NULL) == CURLE_OK;
	return curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, NULL) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_NOBODY, method == REQUEST_HEAD ? 1L : 0L) == CURLE_OK;
}

/* By what is there, not by its name. Where that is nothing, the connection fails. */
static bool set_socket(CURL *e, struct probe_run *run)
{
	char path[40];

	if (!run->socket)
		return curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, NULL) == CURLE_OK;
	if (run->socket_fd < 0)
		run->socket_fd = sock_at(run->socket);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", run->socket_fd);
	return curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, path) == CURLE_OK;
}

/* 0, or -1 when there is no memory for it. The run stays in waiting then. */
static int start(struct probe_run *run)
{
	struct prober *p = run->p;
	CURL *e = new_easy(p);

	if (!e)
		return -1;
	if (!set_request(e, run) || curl_easy_setopt(e, CURLOPT_URL, run->url) != CURLE_OK ||
	    !set_socket(e, run) ||
	    curl_easy_setopt(e, CURLOPT_CONNECT_ONLY, run->connect_only ? 1L : 0L) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)run->timeout_ms) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)run->timeout_ms) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_WRITEDATA, run) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_PRIVATE, run) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, run->said) != CURLE_OK ||
	    curl_multi_add_handle(p->multi, e) != CURLM_OK) {
		curl_easy_cleanup(e);
		return -1;
	}
	run->easy = e;
	run->started_us = clock_mono_us();
	TAILQ_REMOVE(&p->waiting, run, link);
	p->n_waiting--;
	TAILQ_INSERT_TAIL(&p->running, run, link);
	p->n_running++;
	return 0;
}

/* From the loop only: a run that cannot start fails at once. */
static void start_waiting(struct prober *p)
{
	struct probe_run *run;

	while (!p->closing && p->n_running < PROBER_RUNNING_MAX &&
	       (run = TAILQ_FIRST(&p->waiting))) {
		struct probe_result r = {.message = "out of memory"};

		if (start(run) < 0)
			finish(run, &r);
	}
}

static void on_kick(uv_timer_t *t)
{
	start_waiting(t->data);
}

static void collect(struct prober *p)
{
	CURLMsg *m;
	int left;

	while (!p->closing && (m = curl_multi_info_read(p->multi, &left))) {
		struct probe_result r = {0};
		struct probe_run *run = NULL;

		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &run);
		judge(run, m->data.result, &r);
		finish(run, &r);
	}
	start_waiting(p);
}

int prober_new(uv_loop_t *loop, struct prober **ret, struct err **reterr)
{
	struct prober *p = mem_alloc(sizeof(*p));

	if (!p)
		return err_nomem(reterr);
	if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK) {
		mem_free(p);
		return err_nomem(reterr);
	}
	p->multi = curl_multi_init();
	p->fields = curl_slist_append(NULL, "Connection: close");
	if (!p->multi || !p->fields) {
		curl_multi_cleanup(p->multi);
		curl_slist_free_all(p->fields);
		curl_global_cleanup();
		mem_free(p);
		return err_nomem(reterr);
	}
	p->loop = loop;
	TAILQ_INIT(&p->waiting);
	TAILQ_INIT(&p->running);
	LIST_INIT(&p->watched);
	uv_timer_init(loop, &p->timer);
	uv_timer_init(loop, &p->kick);
	p->timer.data = p->kick.data = p;
	p->n_handles = 2;
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	*ret = p;
	return 0;
}

void prober_close(struct prober *p)
{
	struct probe_run *run;

	p->closing = true;
	while ((run = TAILQ_FIRST(&p->running)) || (run = TAILQ_FIRST(&p->waiting)))
		drop(run);
	while (p->n_spare > 0)
		curl_easy_cleanup(p->spare[--p->n_spare]);
	curl_multi_cleanup(p->multi);
	curl_slist_free_all(p->fields);
	while (!LIST_EMPTY(&p->watched))
		unwatch(LIST_FIRST(&p->watched));
	curl_global_cleanup();
	uv_close((uv_handle_t *)&p->timer, on_timer_closed);
	uv_close((uv_handle_t *)&p->kick, on_timer_closed);
}

static char *make_url(const char *host, unsigned port, const char *path)
{
	bool v6 = strchr(host, ':') != NULL;

	return mem_printf("http://%s%s%s:%u%s%s", v6 ? "[" : "", host, v6 ? "]" : "", port,
			  path[0] == '/' ? "" : "/", path);
}

/* Takes run over; its url is NULL when there was no memory for it. */
static int add(struct prober *p, struct probe_run *run, struct probe_run **ret, struct err **reterr)
{
	if (!run->url) {
		free_run(run);
		return err_nomem(reterr);
	}
	run->p = p;
	if (run->timeout_ms <= 0)
		run->timeout_ms = 1;
	TAILQ_INSERT_TAIL(&p->waiting, run, link);
	p->n_waiting++;
	if (p->n_waiting == 1 && p->n_running < PROBER_RUNNING_MAX && start(run) < 0) {
		drop(run);
		return err_nomem(reterr);
	}
	if (ret)
		*ret = run;
	return 0;
}

/* Names are compared as HTTP does. */
static bool has_field(char *const *headers, const char *name)
{
	for (size_t n = strlen(name); headers && *headers; headers++)
		if (strncasecmp(*headers, name, n) == 0 && (*headers)[n] == '=')
			return true;
	return false;
}

/* A field without a value is sent when a semicolon says so. */
static char *field_line(const char *header)
{
	int n = (int)strcspn(header, "=");
	const char *value = header[n] ? header + n + 1 : "";

	return value[0] ? mem_printf("%.*s: %s", n, header, value) : mem_printf("%.*s;", n, header);
}

static bool add_field(struct curl_slist **list, char *line)
{
	struct curl_slist *more = line ? curl_slist_append(*list, line) : NULL;

	mem_free(line);
	if (!more)
		return false;
	*list = more;
	return true;
}

static bool make_fields(struct extra *x, const struct probe_http *req)
{
	bool ok = add_field(&x->fields, mem_strdup("Connection: close"));

	for (char *const *h = req->headers; ok && h && *h; h++)
		ok = add_field(&x->fields, field_line(*h));
	if (ok && x->body) /* or libcurl waits for a 100 Continue before a long one */
		ok = add_field(&x->fields, mem_strdup("Expect:"));
	if (ok && x->body && !has_field(req->headers, "Content-Type"))
		ok = add_field(&x->fields, mem_strdup("Content-Type: application/json"));
	return ok;
}

/* 0, also when there is nothing more than a GET. */
static int make_extra(struct probe_run *run, const struct probe_http *req, struct err **reterr)
{
	bool has_body = req->method == REQUEST_POST || req->method == REQUEST_PUT;
	struct extra *x = run->extra = mem_alloc(sizeof(*x));
	int r;

	if (!x)
		return err_nomem(reterr);
	r = probe_expect_new(req->statuses, req->json, req->max_latency_ms, &x->expect, reterr);
	if (r < 0)
		return r;
	x->method = req->method;
	x->answer.limit = PROBER_BODY_MAX;
	x->body = has_body ? mem_strdup(req->body ? req->body : "") : NULL;
	if (has_body && !x->body)
		return err_nomem(reterr);
	x->body_len = has_body ? strlen(x->body) : 0;
	x->on_body = req->on_body;
	x->body_max = req->body_max;
	if ((has_body || (req->headers && req->headers[0])) && !make_fields(x, req))
		return err_nomem(reterr);
	return 0;
}

static bool is_plain(const struct probe_http *req)
{
	return req->method == REQUEST_GET && !req->headers && !req->statuses && !req->json &&
	       req->max_latency_ms == 0 && !req->on_body && req->body_max == 0;
}

struct probe_http prober_request(const struct request_spec *r, unsigned port, int64_t timeout_ms)
{
	return (struct probe_http){.host = r->host,
				   .port = port,
				   .path = r->path,
				   .timeout_ms = timeout_ms,
				   .method = (enum request_method)r->method,
				   .headers = r->headers,
				   .body = r->body,
				   .statuses = r->statuses,
				   .json = r->json,
				   .max_latency_ms = r->max_latency_ms};
}

/* Without memory there is no url, which add() finds. */
static void set_target(struct probe_run *run, const char *host, unsigned port, const char *path)
{
	if (host[0] != '/') {
		run->url = make_url(host, port, path);
		return;
	}
	run->socket_fd = -ENOENT; /* it is looked for when its turn comes */
	run->socket = mem_strdup(host);
	run->url = run->socket ? make_url("localhost", 80, path) : NULL;
}

int prober_http(struct prober *p, const struct probe_http *req, probe_cb cb, void *user,
		struct probe_run **ret, struct err **reterr)
{
	struct probe_run *run = mem_alloc(sizeof(*run));
	int r = 0;

	if (!run)
		return err_nomem(reterr);
	if (!is_plain(req))
		r = make_extra(run, req, reterr);
	if (r < 0) {
		free_run(run);
		return r;
	}
	set_target(run, req->host, req->port, req->path);
	run->timeout_ms = req->timeout_ms;
	run->cb = cb;
	run->user = user;
	return add(p, run, ret, reterr);
}

static int make_grpc(struct probe_run *run, const char *service, struct err **reterr)
{
	struct extra *x = run->extra = mem_alloc(sizeof(*x));
	struct buf body = {0};

	if (!x)
		return err_nomem(reterr);
	probe_grpc_request(service, &body);
	x->method = REQUEST_POST;
	x->body_len = body.len;
	x->body = buf_take(&body);
	x->answer.limit = PROBER_BODY_MAX;
	x->grpc = mem_strdup(service);
	x->rpc.status = -1;
	if (!x->body || !x->grpc || !add_field(&x->fields, mem_strdup("TE: trailers")) ||
	    !add_field(&x->fields, mem_strdup("Expect:")) ||
	    !add_field(&x->fields, mem_strdup("Content-Type: application/grpc")))
		return err_nomem(reterr);
	return 0;
}

int prober_grpc(struct prober *p, const struct probe_grpc *req, probe_cb cb, void *user,
		struct probe_run **ret, struct err **reterr)
{
	struct probe_run *run = mem_alloc(sizeof(*run));
	int r;

	if (!run)
		return err_nomem(reterr);
	r = make_grpc(run, req->service, reterr);
	if (r < 0) {
		free_run(run);
		return r;
	}
	set_target(run, req->host, req->port, PROBE_GRPC_PATH);
	run->timeout_ms = req->timeout_ms;
	run->cb = cb;
	run->user = user;
	return add(p, run, ret, reterr);
}

int prober_tcp(struct prober *p, const struct probe_tcp *req, probe_cb cb, void *user,
	       struct probe_run **ret, struct err **reterr)
{
	struct probe_run *run = mem_alloc(sizeof(*run));

	if (!run)
		return err_nomem(reterr);
	set_target(run, req->host, req->port, "/");
	run->connect_only = true;
	run->timeout_ms = req->timeout_ms;
	run->cb = cb;
	run->user = user;
	return add(p, run, ret, reterr);
}

void prober_cancel(struct probe_run *run)
{
	struct prober *p = run->p;

	drop(run);
	if (p->n_waiting > 0)
		uv_timer_start(&p->kick, on_kick, 0, 0);
}

unsigned prober_running(const struct prober *p)
{
	return p->n_waiting + p->n_running;
}
