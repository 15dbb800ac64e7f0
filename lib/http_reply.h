/*
 * http_reply: private to the http_* files: heads and complete answers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_HTTP_REPLY_H
#define AICTL_LIB_HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct http_request;

/* Status line and fields. length < 0: a chunked or close-delimited body; keep: see http_parse. */
void http_reply_head(struct buf *out, int status, const char *content_type, long long length,
		     bool keep, bool chunked);
/* The contract's error object. */
void http_reply_error_json(struct buf *out, int status, const char *message);
/* The same as a complete answer; closes the connection after it. */
void http_reply_error(struct http_request *r, int status, const char *message);
/* The same as bytes, head included, for a connection that has no request. */
void http_reply_error_bytes(struct buf *out, int status, const char *message);

#endif
