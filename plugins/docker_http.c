/*
 * docker_http: see docker_http.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_http.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "docker_mem.h"

#define MAX_BODY (4 << 20)
#define CONNECT_MS 5000L

struct docker_http_call {
	struct docker_http *h;
	CURL *easy; /* NULL: canceled */
	struct curl_slist *fields;
	struct docker_buf body;
	struct docker_http_ask ask; /* without the strings */
	bool dead;		    /* freed when nobody is in it */
	char said[CURL_ERROR_SIZE];
	LIST_ENTRY(docker_http_call) all;
};

struct docker_http {
	const struct aictl_host *host;
	CURLM *multi;
	struct aictl_timer *timer;
	char *socket_path;
	int depth; /* callbacks that we are in */
	bool global;
	LIST_HEAD(, docker_http_call) calls, dead;
};

/* ---- the end of a call ---- */

static void release(struct docker_http_call *c)
{
	if (c->easy) {
		curl_multi_remove_handle(c->h->multi, c->easy);
		curl_easy_cleanup(c->easy);
		c->easy = NULL;
	}
	curl_slist_free_all(c->fields);
	c->fields = NULL;
}

static void bury(struct docker_http_call *c)
{
	struct docker_http *h = c->h;

	if (c->dead)
		return;
	release(c);
	c->dead = true;
	LIST_REMOVE(c, all);
	LIST_INSERT_HEAD(&h->dead, c, all);
}

static void sweep(struct docker_http *h)
{
	struct docker_http_call *c;

	while (h->depth == 0 && (c = LIST_FIRST(&h->dead))) {
		LIST_REMOVE(c, all);
		docker_mem_done(&c->body);
		docker_mem_free(c);
	}
}

void docker_http_cancel(struct docker_http_call *c)
{
	struct docker_http *h = c ? c->h : NULL;

	if (!c)
		return;
	bury(c);
	sweep(h);
}

static int code_of(CURLcode r)
{
	if (r == CURLE_OK)
		return AICTL_OK;
	if (r == CURLE_OPERATION_TIMEDOUT)
		return AICTL_TIMEOUT;
	return r == CURLE_OUT_OF_MEMORY ? AICTL_NO_MEMORY : AICTL_UNREACHABLE;
}

static const char *words(const struct docker_http_call *c, CURLcode r)
{
	long e = 0;

	if (r == CURLE_WRITE_ERROR)
		return "the engine says more than it should";
	if (r == CURLE_OPERATION_TIMEDOUT)
		return "the engine did not answer in time";
	if (r == CURLE_COULDNT_CONNECT && curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &e) == 0 &&
	    e)
		return strerror((int)e);
	return c->said[0] ? c->said : curl_easy_strerror(r);
}

static void finish(struct docker_http_call *c, CURLcode r)
{
	struct docker_http_answer a = {.code = code_of(r), .len = c->body.len};
	long status = 0;

	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	a.status = (int)status;
	a.body = c->body.data ? c->body.data : "";
	if (a.code != AICTL_OK)
		a.error = words(c, r);
	c->ask.done(c->ask.user, &a);
	bury(c);
}

/* ---- what has come ---- */

static bool good(const struct docker_http_call *c)
{
	long status = 0;

	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 && status < 300;
}

/* Hands out whole lines; true if there were some. */
static bool lines(struct docker_http_call *c, bool last)
{
	size_t at = 0;

	if (!c->ask.on_line || c->dead || c->body.len == 0 || !good(c))
		return false;
	while (!c->dead && at < c->body.len) {
		char *p = c->body.data + at, *nl = memchr(p, '\n', c->body.len - at);
		size_t n = nl ? (size_t)(nl - p) : c->body.len - at;

		if (!nl && !last)
			break;
		p[n] = '\0';
		at += n + (nl ? 1 : 0);
		if (n && p[n - 1] == '\r')
			p[--n] = '\0';
		if (n)
			c->ask.on_line(c->ask.user, p, n);
	}
	docker_mem_drop(&c->body, at);
	return at > 0;
}

/* Callbacks may end any call, so the list is begun anew after each that had something. */
static void hand_out(struct docker_http *h)
{
	struct docker_http_call *c;
	bool again = true;

	while (again) {
		again = false;
		LIST_FOREACH (c, &h->calls, all) {
			if (lines(c, false)) {
				again = true;
				break;
			}
		}
	}
}

static void collect(struct docker_http *h)
{
	CURLMsg *m;
	int left;

	h->depth++;
	hand_out(h);
	while ((m = curl_multi_info_read(h->multi, &left))) {
		struct docker_http_call *c = NULL;
		CURLcode r = m->data.result;

		if (m->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c) != CURLE_OK || !c)
			continue;
		lines(c, true);
		if (!c->dead)
			finish(c, r);
	}
	h->depth--;
	sweep(h);
}

/* ---- libcurl's side ---- */

static void on_fd(void *user, int fd, uint32_t events)
{
	struct docker_http *h = user;
	int running, bits = 0;

	bits |= events & AICTL_READ ? CURL_CSELECT_IN : 0;
	bits |= events & AICTL_WRITE ? CURL_CSELECT_OUT : 0;
	bits |= events & AICTL_HANGUP ? CURL_CSELECT_ERR : 0;
	curl_multi_socket_action(h->multi, fd, bits, &running);
	collect(h);
}

static void on_timer(void *user)
{
	struct docker_http *h = user;
	int running;

	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(h);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *of_socket)
{
	struct docker_http *h = user;
	uint32_t events = 0;

	(void)easy;
	(void)of_socket;
	if (what != CURL_POLL_REMOVE) {
		events |= what & CURL_POLL_IN ? AICTL_READ : 0;
		events |= what & CURL_POLL_OUT ? AICTL_WRITE : 0;
	}
	h->host->watch(h->host, fd, events, on_fd, h);
	return 0;
}

static int on_curl_timer(CURLM *multi, long ms, void *user)
{
	struct docker_http *h = user;

	(void)multi;
	h->host->timer_set(h->host, h->timer, ms);
	return 0;
}

static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *a)
{
	(void)user;
	(void)purpose;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_write(char *data, size_t one, size_t n, void *user)
{
	struct docker_http_call *c = user;

	(void)one;
	docker_mem_add(&c->body, data, n);
	return c->body.failed ? 0 : n;
}

/* ---- a call ---- */

static bool set_up(struct docker_http_call *c, const struct docker_http_ask *ask, const char *url)
{
	CURL *e = c->easy;
	bool ok = true;

#define SET(option, value) ok = ok && curl_easy_setopt(e, option, value) == CURLE_OK
	SET(CURLOPT_URL, url);
	SET(CURLOPT_UNIX_SOCKET_PATH, c->h->socket_path);
	SET(CURLOPT_PROTOCOLS_STR, "http");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	SET(CURLOPT_TIMEOUT_MS, (long)ask->timeout_ms);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
	SET(CURLOPT_WRITEFUNCTION, on_write);
	SET(CURLOPT_WRITEDATA, c);
	SET(CURLOPT_PRIVATE, c);
	SET(CURLOPT_ERRORBUFFER, c->said);
	if (ask->body || (ask->method && strcmp(ask->method, "POST") == 0))
		SET(CURLOPT_COPYPOSTFIELDS, ask->body ? ask->body : "");
	if (ask->method)
		SET(CURLOPT_CUSTOMREQUEST, ask->method);
	if (c->fields)
		SET(CURLOPT_HTTPHEADER, c->fields);
#undef SET
	return ok;
}

static bool field(struct docker_http_call *c, const char *text)
{
	struct curl_slist *l = text ? curl_slist_append(c->fields, text) : NULL;

	if (l)
		c->fields = l;
	return l != NULL;
}

static bool fields(struct docker_http_call *c, const struct docker_http_ask *ask)
{
	_docker_free_ char *auth = NULL;

	if (ask->auth)
		auth = docker_mem_printf("X-Registry-Auth: %s", ask->auth);
	return field(c, "Expect:") &&
	       field(c, ask->body ? "Content-Type: application/json" : "Content-Type:") &&
	       (!ask->auth || field(c, auth));
}

struct docker_http_call *docker_http_send(struct docker_http *h, const struct docker_http_ask *ask)
{
	_docker_free_ char *url = docker_mem_printf("http://engine%s", ask->path);
	struct docker_http_call *c = docker_mem_zalloc(sizeof(*c));

	if (!c || !url) {
		docker_mem_free(c);
		return NULL;
	}
	c->h = h;
	c->ask = *ask;
	c->ask.method = c->ask.path = c->ask.body = c->ask.auth = NULL;
	c->body.limit = ask->max ? ask->max : MAX_BODY;
	c->easy = curl_easy_init();
	LIST_INSERT_HEAD(&h->calls, c, all);
	if (c->easy && fields(c, ask) && set_up(c, ask, url) &&
	    curl_multi_add_handle(h->multi, c->easy) == CURLM_OK)
		return c;
	docker_http_cancel(c);
	return NULL;
}

/* ---- */

struct docker_http *docker_http_new(const struct aictl_host *host, const char *socket_path)
{
	struct docker_http *h = docker_mem_zalloc(sizeof(*h));

	if (!h)
		return NULL;
	h->host = host;
	h->global = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	h->multi = h->global ? curl_multi_init() : NULL;
	h->timer = host->timer_new(host, on_timer, h);
	h->socket_path = docker_mem_dup(socket_path);
	if (!h->multi || !h->timer || !h->socket_path) {
		docker_http_free(h);
		return NULL;
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, 16L);
	return h;
}

void docker_http_free(struct docker_http *h)
{
	struct docker_http_call *c;

	if (!h)
		return;
	while ((c = LIST_FIRST(&h->calls)))
		docker_http_cancel(c);
	if (h->multi)
		curl_multi_cleanup(h->multi);
	if (h->global)
		curl_global_cleanup();
	h->host->timer_free(h->host, h->timer);
	docker_mem_free(h->socket_path);
	docker_mem_free(h);
}
