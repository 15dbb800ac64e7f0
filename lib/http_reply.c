/* http_reply: see http_reply.h; http_reply itself is declared in http_server.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/http_reply.h"

#include <uv.h>

#include "lib/buf.h"
#include "lib/http_conn.h"
#include "lib/http_request.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/mem.h"

/* llhttp has NOT_FOUND. */
static const char *reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} known[] = {
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{304, "Not Modified"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{413, "Content Too Large"},
		{417, "Expectation Failed"},
		{422, "Unprocessable Content"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].status == status)
			return known[i].text;
	return ""; /* it may be empty */
}

void http_reply_head(struct buf *out, int status, const char *content_type, long long length,
		     bool keep, bool chunked)
{
	buf_printf(out, "HTTP/1.1 %d %s\r\n", status, reason(status));
	if (status != 204 && status != 304)
		buf_printf(out, "Content-Type: %s\r\n",
			   content_type ? content_type : "application/json");
	if (chunked)
		buf_str(out, "Transfer-Encoding: chunked\r\n");
	else if (length >= 0 && status != 204 && status != 304)
		buf_printf(out, "Content-Length: %lld\r\n", length);
	if (!keep)
		buf_str(out, "Connection: close\r\n");
	buf_str(out, "\r\n");
}

/* The head in one send with the body: two sends cost a quarter of the rate. */
void http_reply(struct http_request *r, int status, const char *content_type, const char *body,
		size_t len)
{
	_cleanup_buf_ struct buf head = {0};
	bool bare = r->head_only || status == 204 || status == 304;
	uv_buf_t bufs[2];

	if (!r->conn) {
		http_request_free(r);
		return;
	}
	http_reply_head(&head, status, content_type, (long long)len, r->parse.keep, false);
	if (head.failed) /* out of memory: the connection ends without an answer */
		http_conn_close(r->conn);
	bufs[0] = uv_buf_init(head.data, (unsigned)head.len);
	bufs[1] = uv_buf_init((char *)body, (unsigned)len);
	http_conn_write(r->conn, bufs, bare || len == 0 ? 1 : 2);
	http_conn_answered(r->conn);
}

static const char *error_code(int status)
{
	switch (status) {
	case 408:
		return "timeout";
	case 413:
	case 431:
		return "too_large";
	case 426:
		return "upgrade_required";
	case 503:
		return "busy";
	default:
		return "invalid";
	}
}

void http_reply_error_json(struct buf *out, int status, const char *message)
{
	struct jsonw w = {.out = out};

	jsonw_object_begin(&w, NULL);
	jsonw_object_begin(&w, "error");
	jsonw_string(&w, "code", error_code(status));
	jsonw_string(&w, "message", message);
	jsonw_null(&w, "file");
	jsonw_null(&w, "line");
	jsonw_null(&w, "column");
	jsonw_null(&w, "hint");
	jsonw_object_end(&w);
	jsonw_object_end(&w);
	buf_char(out, '\n');
}

void http_reply_error(struct http_request *r, int status, const char *message)
{
	_cleanup_buf_ struct buf json = {0};

	http_reply_error_json(&json, status, message);
	r->parse.keep = false;
	http_reply(r, status, NULL, buf_cstr(&json), json.len);
}

void http_reply_error_bytes(struct buf *out, int status, const char *message)
{
	_cleanup_buf_ struct buf json = {0};

	http_reply_error_json(&json, status, message);
	http_reply_head(out, status, NULL, (long long)json.len, false, false);
	buf_append(out, json.data, json.len);
}
