/*
 * http_stream: answers of unknown length: chunked for HTTP/1.1, closed at the end for HTTP/1.0.
 * Declared in http_server.h. A client that does not read costs at most stream_buffer_max bytes, or
 * one write of any size to an empty buffer: beyond it the connection is closed and on_gone follows
 * from the loop.
 */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "lib/buf.h"
#include "lib/http_conn.h"
#include "lib/http_reply.h"
#include "lib/http_request.h"
#include "lib/http_server.h"

void http_stream_begin(struct http_request *r, int status, const char *content_type)
{
	_cleanup_buf_ struct buf head = {0};
	uv_buf_t b;

	r->state = HTTP_REQUEST_STREAMING;
	if (!r->conn)
		return;
	r->chunked = r->parse.ll.http_minor > 0;
	http_reply_head(&head, status, content_type, -1, r->parse.keep, r->chunked);
	b = uv_buf_init(head.data, (unsigned)head.len);
	if (head.failed)
		http_conn_close(r->conn);
	else
		http_conn_write(r->conn, &b, 1);
}

bool http_stream_write(struct http_request *r, const void *p, size_t n)
{
	size_t pending;
	char size[24];
	uv_buf_t bufs[3] = {
		uv_buf_init(size, 0),
		uv_buf_init((char *)p, (unsigned)n),
		uv_buf_init((char *)"\r\n", 2),
	};

	if (!r->conn || r->conn->closing)
		return false;
	if (n == 0 || r->head_only)
		return true;
	pending = http_conn_pending(r->conn);
	if (pending > 0 && pending + n > r->conn->env->opts->stream_buffer_max) {
		http_conn_close(r->conn);
		return false;
	}
	bufs[0].len = (size_t)snprintf(size, sizeof(size), "%zx\r\n", n);
	return http_conn_write(r->conn, r->chunked ? bufs : bufs + 1, r->chunked ? 3 : 1);
}

size_t http_stream_pending(const struct http_request *r)
{
	return r->conn ? http_conn_pending(r->conn) : 0;
}

void http_stream_on_drain(struct http_request *r,
			  void (*drained)(struct http_request *r, void *user))
{
	r->drained = drained;
	if (drained && r->conn && !r->conn->closing && http_conn_pending(r->conn) == 0)
		http_watch_kick(r->conn->env->watch, &r->conn->wait);
}

void http_stream_end(struct http_request *r)
{
	uv_buf_t b = uv_buf_init((char *)"0\r\n\r\n", 5);

	if (!r->conn) {
		http_request_free(r);
		return;
	}
	if (r->chunked && !r->head_only)
		http_conn_write(r->conn, &b, 1);
	http_conn_answered(r->conn);
}
