/* http_client: see http_client.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/http_client.h"

#include <errno.h>
#include <llhttp.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/sock.h"

#define READ_SIZE 16384u
#define LINE_MAX_BYTES (8u * 1024u * 1024u)
#define BODY_MAX_DEFAULT (64u * 1024u * 1024u)

struct http_client {
	char *path;
	int fd; /* -1: not connected */
	llhttp_t ll;
	struct buf body; /* decoded, not yet handed out */
	size_t given;	 /* bytes at the front of body that the caller has had */
	size_t scanned;	 /* bytes of body without a newline */
	bool head_only;	 /* the request was HEAD */
	bool head_done;	 /* the head of the final answer was read */
	bool complete;	 /* and the body */
	bool keep;	 /* the connection may be used again */
	bool answered;	 /* a byte of the answer came */
	bool under_way;	 /* a request was sent whose answer is not complete */
	bool upgrade;	 /* it asked for another protocol */
	bool switched;	 /* and got it: body holds what came behind the head */
};

static int on_head(llhttp_t *ll)
{
	struct http_client *c = ll->data;

	c->switched = ll->status_code == 101 && c->upgrade;
	c->head_done = ll->status_code >= 200 || c->switched;
	c->keep = llhttp_should_keep_alive(ll); /* llhttp forgets it once the message is complete */
	return c->head_only ? 1 : 0;
}

static int on_body(llhttp_t *ll, const char *at, size_t n)
{
	struct http_client *c = ll->data;

	buf_append(&c->body, at, n);
	return c->body.failed ? -1 : 0;
}

static int on_complete(llhttp_t *ll)
{
	struct http_client *c = ll->data;

	if (!c->head_done || c->switched) /* 100 Continue: the answer proper follows */
		return 0;
	c->complete = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_headers_complete = on_head,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

int http_client_new(const char *socket_path, struct http_client **ret, struct err **reterr)
{
	struct http_client *c = mem_alloc(sizeof(*c));

	if (!c)
		return err_nomem(reterr);
	c->fd = -1;
	c->path = mem_strdup(socket_path);
	if (!c->path) {
		http_client_free(c);
		return err_nomem(reterr);
	}
	*ret = c;
	return 0;
}

static void disconnect(struct http_client *c)
{
	mem_closep(&c->fd);
	c->under_way = false;
}

struct http_client *http_client_free(struct http_client *c)
{
	if (c) {
		disconnect(c);
		buf_done(&c->body);
		mem_free(c->path);
		mem_free(c);
	}
	return NULL;
}

static int left_ms(int64_t deadline)
{
	int64_t left = deadline == INT64_MAX ? -1 : deadline - clock_mono_ms();

	if (deadline != INT64_MAX && left < 0)
		left = 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

/* Waits for events on the connection: 0, or -ERR_TIMEOUT. A deadline of 0 sets no error. */
static int wait_for(struct http_client *c, short events, int64_t deadline, struct err **reterr)
{
	for (;;) {
		struct pollfd p = {.fd = c->fd, .events = events};
		int n = poll(&p, 1, left_ms(deadline));

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_sys(reterr, errno, "cannot wait for %s", c->path);
		if (n == 0 && deadline == 0)
			return -ERR_TIMEOUT;
		if (n == 0)
			return err_set(reterr, ERR_TIMEOUT, "no answer from %s in time", c->path);
	}
}

static int connect_to(struct http_client *c, int64_t deadline, struct err **reterr)
{
	struct err *e = NULL;
	int left = left_ms(deadline), r;

	/* sock_connect takes 0 as "no time-out" */
	r = sock_connect(c->path, left < 0 ? 0 : left == 0 ? 1 : left, &c->fd, &e);
	if (r == 0)
		return 0;
	if (e->code == ERR_SYS)
		e->code = e->sys == EACCES || e->sys == EPERM ? ERR_PERM
			  : e->sys == EAGAIN		      ? ERR_TIMEOUT
							      : ERR_UNREACHABLE;
	r = -(int)e->code;
	if (reterr)
		*reterr = e;
	else
		err_free(e);
	return r;
}

/* A kept connection is fit for use while it is silent: an end, or bytes nobody asked for, is not.
 */
static bool still_open(const struct http_client *c)
{
	char byte;

	return c->fd >= 0 && !c->under_way && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN;
}

static int broken(struct http_client *c, struct err **reterr)
{
	return err_set(reterr, ERR_UNREACHABLE, "the connection to %s broke%s", c->path,
		       c->answered ? " in the middle of the answer" : " before an answer came");
}

/* A server may answer and stop reading before all is sent: then the answer is what counts. */
static int send_all(struct http_client *c, const char *p, size_t n, int64_t deadline,
		    struct err **reterr)
{
	while (n > 0) {
		ssize_t k = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (k >= 0) {
			p += k;
			n -= (size_t)k;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return 0;
		} else if (errno == EAGAIN) {
			int r = wait_for(c, POLLOUT, deadline, reterr);

			if (r < 0)
				return r;
		} else if (errno != EINTR) {
			return err_sys(reterr, errno, "cannot send to %s", c->path);
		}
	}
	return 0;
}

static int feed(struct http_client *c, const char *data, size_t n, struct err **reterr)
{
	llhttp_errno_t e = n > 0 ? llhttp_execute(&c->ll, data, n) : llhttp_finish(&c->ll);

	if (c->body.failed)
		return err_nomem(reterr);
	if (c->switched && e == HPE_PAUSED_UPGRADE) {
		const char *rest = llhttp_get_error_pos(&c->ll);

		buf_append(&c->body, rest, n - (size_t)(rest - data));
		return c->body.failed ? err_nomem(reterr) : 0;
	}
	if (c->complete) {
		c->under_way = false;
		if (!c->keep || n == 0 || llhttp_get_error_pos(&c->ll) != data + n)
			disconnect(c);
		return 0;
	}
	if (n == 0)
		return broken(c, reterr);
	if (e != HPE_OK)
		return err_set(reterr, ERR_INVALID, "%s does not speak HTTP: %s", c->path,
			       llhttp_get_error_reason(&c->ll));
	return 0;
}

/* Reads once and parses. */
static int receive(struct http_client *c, int64_t deadline, struct err **reterr)
{
	char data[READ_SIZE];
	ssize_t n;
	int r;

	if (c->fd < 0)
		return broken(c, reterr);
	do {
		r = wait_for(c, POLLIN, deadline, reterr);
		if (r < 0)
			return r;
		n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0 && errno != ECONNRESET)
		return err_sys(reterr, errno, "cannot read from %s", c->path);
	c->answered |= n > 0;
	r = feed(c, data, n < 0 ? 0 : (size_t)n, reterr);
	if (n <= 0)
		disconnect(c);
	return r;
}

static void reset(struct http_client *c, const struct http_client_request *rq)
{
	llhttp_init(&c->ll, HTTP_RESPONSE, &settings);
	c->ll.data = c;
	buf_clear(&c->body);
	c->given = c->scanned = 0;
	c->head_only = strcmp(rq->method, "HEAD") == 0;
	c->head_done = c->complete = c->answered = c->switched = false;
	c->upgrade = rq->upgrade != NULL;
}

static int try_once(struct http_client *c, const struct http_client_request *rq,
		    const struct buf *head, struct err **reterr)
{
	int r;

	reset(c, rq);
	if (c->fd < 0) {
		r = connect_to(c, rq->deadline_mono_ms, reterr);
		if (r < 0)
			return r;
	}
	c->under_way = true;
	r = send_all(c, head->data, head->len, rq->deadline_mono_ms, reterr);
	if (r == 0 && rq->body)
		r = send_all(c, rq->body, rq->body_len, rq->deadline_mono_ms, reterr);
	while (r == 0 && !c->head_done)
		r = receive(c, rq->deadline_mono_ms, reterr);
	return r;
}

static void make_head(struct buf *out, const struct http_client_request *rq)
{
	buf_printf(out, "%s %s HTTP/1.1\r\nHost: localhost\r\n", rq->method, rq->target);
	if (rq->upgrade)
		buf_printf(out, "Connection: Upgrade\r\nUpgrade: %s\r\n", rq->upgrade);
	if (rq->body)
		buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			   rq->body_len);
	buf_str(out, "\r\n");
	if (rq->body && rq->body_len <= READ_SIZE) /* one send */
		buf_append(out, rq->body, rq->body_len);
}

int http_client_begin(struct http_client *c, const struct http_client_request *rq, int *ret_status,
		      struct err **reterr)
{
	_cleanup_buf_ struct buf head = {0};
	_cleanup_err_ struct err *e = NULL;
	struct http_client_request rest = *rq;
	bool kept;
	int r;

	make_head(&head, rq);
	if (head.failed)
		return err_nomem(reterr);
	if (rq->body_len <= READ_SIZE)
		rest.body = NULL;
	kept = still_open(c);
	if (!kept)
		disconnect(c);
	r = try_once(c, &rest, &head, &e);
	if (r == -ERR_UNREACHABLE && kept && !c->answered && rq->repeatable) {
		disconnect(c);
		err_freep(&e);
		r = try_once(c, &rest, &head, &e);
	}
	if (r < 0) {
		disconnect(c);
		if (reterr)
			*reterr = TAKE_PTR(e);
		return r;
	}
	*ret_status = c->ll.status_code;
	return 0;
}

int http_client_read(struct http_client *c, int64_t deadline_mono_ms, const char **ret_data,
		     size_t *ret_len, struct err **reterr)
{
	buf_consume(&c->body, c->given);
	c->given = 0;
	while (c->body.len == 0) {
		int r = c->complete ? 0 : receive(c, deadline_mono_ms, reterr);

		if (r < 0 || c->complete) {
			if (r < 0 && r != -ERR_TIMEOUT)
				disconnect(c);
			if (r < 0 || c->body.len == 0)
				return r;
		}
	}
	*ret_data = c->body.data;
	*ret_len = c->given = c->body.len;
	return 1;
}

/* The length of the first line in body, or -1. */
static ssize_t find_line(struct http_client *c)
{
	const char *nl = NULL;

	if (c->body.len > c->scanned)
		nl = memchr(c->body.data + c->scanned, '\n', c->body.len - c->scanned);
	c->scanned = c->body.len;
	return nl ? nl - c->body.data : -1;
}

int http_client_line(struct http_client *c, int64_t deadline_mono_ms, const char **ret_line,
		     struct err **reterr)
{
	ssize_t n;
	int r;

	buf_consume(&c->body, c->given);
	c->given = c->scanned = 0;
	while ((n = find_line(c)) < 0) {
		if (c->complete) {
			if (c->body.len == 0)
				return 0;
			c->given = c->body.len; /* NUL-terminated by buf */
			*ret_line = c->body.data;
			return 1;
		}
		if (c->body.len > LINE_MAX_BYTES)
			return err_set(reterr, ERR_INVALID, "a line longer than 8 MiB");
		r = receive(c, deadline_mono_ms, reterr);
		if (r < 0) {
			if (r != -ERR_TIMEOUT)
				disconnect(c);
			return r;
		}
	}
	c->body.data[n] = '\0';
	c->given = (size_t)n + 1;
	*ret_line = c->body.data;
	return 1;
}

int http_client_call(struct http_client *c, const struct http_client_request *rq,
		     struct http_client_answer *ret, struct err **reterr)
{
	size_t max = rq->body_max ? rq->body_max : BODY_MAX_DEFAULT;
	int status, r = http_client_begin(c, rq, &status, reterr);
	char *body;
	size_t len;

	while (r == 0 && !c->complete && c->body.len <= max)
		r = receive(c, rq->deadline_mono_ms, reterr);
	if (r == 0 && c->body.len > max)
		r = err_set(reterr, ERR_INVALID, "the answer is larger than %zu bytes", max);
	if (r < 0) {
		disconnect(c);
		return r;
	}
	len = c->body.len;
	body = buf_take(&c->body);
	if (!body)
		return err_nomem(reterr);
	*ret = (struct http_client_answer){.status = status, .body = body, .len = len};
	return 0;
}

int http_client_take(struct http_client *c, struct buf *early)
{
	c->under_way = false;
	buf_append(early, c->body.data, c->body.len);
	buf_clear(&c->body);
	return TAKE_FD(c->fd);
}

int http_client_fd(const struct http_client *c)
{
	return c->fd;
}

void http_client_escape(struct buf *out, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~";

	for (; *s; s++) {
		if (strchr(plain, *s))
			buf_char(out, *s);
		else
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)*s);
	}
}
