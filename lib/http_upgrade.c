/*
 * http_upgrade: a connection that becomes something else (RFC 9110 7.8). Declared in http_server.h.
 * The descriptor is duplicated, so the connection can close its handle in the ordinary way, and the
 * bytes that came behind the request are handed over with it.
 */
/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/http_conn.h"
#include "lib/http_reply.h"
#include "lib/http_request.h"
#include "lib/http_server.h"
#include "lib/mem.h"

bool http_upgrade_wanted(const struct http_request *r, const char *protocol)
{
	return r->parse.ll.http_minor > 0 &&
	       http_parse_has_token(&r->parse, "connection", "upgrade") &&
	       http_parse_has_token(&r->parse, "upgrade", protocol);
}

void http_upgrade_required(struct http_request *r, const char *protocol)
{
	_cleanup_buf_ struct buf b = {0}, json = {0};
	uv_buf_t out;

	if (!r->conn) {
		http_request_free(r);
		return;
	}
	http_reply_error_json(&json, 426, "this endpoint needs \"Connection: Upgrade\"");
	buf_printf(&b,
		   "HTTP/1.1 426 Upgrade Required\r\nContent-Type: application/json\r\n"
		   "Content-Length: %zu\r\nUpgrade: %s\r\nConnection: Upgrade%s\r\n\r\n",
		   json.len, protocol, r->parse.keep ? "" : ", close");
	if (!r->head_only)
		buf_append(&b, json.data, json.len);
	out = uv_buf_init(b.data, (unsigned)b.len);
	if (b.failed)
		http_conn_close(r->conn);
	else
		http_conn_write(r->conn, &out, 1);
	http_conn_answered(r->conn);
}

/* Nothing but this answer may be on its way, else its bytes would come out of order. */
static bool say_switching(const struct http_conn *c, int fd, const char *protocol)
{
	_cleanup_buf_ struct buf b = {0};

	if (http_conn_pending(c) > 0)
		return false;
	buf_printf(&b,
		   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\n"
		   "Connection: Upgrade\r\n\r\n",
		   protocol);
	return !b.failed && send(fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)b.len;
}

int http_upgrade(struct http_request *r, const char *protocol, struct buf *early, int *ret_fd)
{
	struct http_conn *c = r->conn;
	_cleanup_close_ int fd = -1;
	int rc = -ERR_UNREACHABLE;

	if (c && !c->closing) {
		fd = fcntl(http_conn_fd(c), F_DUPFD_CLOEXEC, 0);
		http_conn_early(c, early);
	}
	if (fd >= 0 && !early->failed && say_switching(c, fd, protocol)) {
		*ret_fd = TAKE_FD(fd);
		rc = 0;
	}
	if (c) {
		c->req = NULL;
		http_conn_close(c);
	}
	http_request_free(r);
	return rc;
}
