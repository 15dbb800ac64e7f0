/* refusal: see refusal.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/refusal.h"

#include "daemon/gateway/routes.h"
#include "lib/buf.h"
#include "lib/jsonw.h"
#include "lib/mem.h"

static const struct {
	unsigned status;
	const char *phrase, *code;
} statuses[] = {
	{400, "Bad Request", "bad_request"},
	{405, "Method Not Allowed", "method_not_allowed"},
	{408, "Request Timeout", "request_timeout"},
	{417, "Expectation Failed", "expectation_failed"},
	{431, "Request Header Fields Too Large", "head_too_large"},
	{501, "Not Implemented", "not_implemented"},
	{502, "Bad Gateway", "bad_gateway"},
	{503, "Service Unavailable", "busy"},
	{504, "Gateway Timeout", "timeout"},
};

static size_t find(unsigned status)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == status)
			return i;
	return 0;
}

static const char *type_of(unsigned status)
{
	if (status == 503)
		return "service_unavailable";
	return status < 500 ? "invalid_request_error" : "server_error";
}

/* What the controller has to say of it, while there is no active backend. */
static const struct wire_routes_news *news_of(const struct refusal *r)
{
	const struct route *route = r->status == 503 ? r->route : NULL;

	return route && route->news.state[0] ? &route->news : NULL;
}

/* Seconds, rounded up; 0 = not known, or it takes longer than expected. */
static int64_t eta(const struct refusal *r, int64_t now_mono_ms)
{
	const struct wire_routes_news *news = news_of(r);
	int64_t ms;

	if (!news || news->failed[0])
		return 0;
	ms = news->ready_mono_ms ? (int64_t)news->ready_mono_ms - now_mono_ms
				 : r->route->rules.eta_ms;
	return ms > 0 ? (ms + 999) / 1000 : 0;
}

static void write_message(const struct refusal *r, struct jsonw *w)
{
	const struct wire_routes_news *news = news_of(r);
	_cleanup_free_ char *text = NULL;

	if (news && news->failed[0])
		text = mem_printf("%s has failed: %s", r->route->service, news->failed);
	else if (news)
		text = mem_printf("%s is %s: %s", r->route->service, news->state, r->why);
	jsonw_string(w, "message", text ? text : r->why);
}

static void write_body(const struct refusal *r, int64_t eta_s, struct buf *out)
{
	const struct wire_routes_news *news = news_of(r);
	struct jsonw w = {.out = out};
	bool failed = news && news->failed[0];

	jsonw_object_begin(&w, NULL);
	jsonw_object_begin(&w, "error");
	write_message(r, &w);
	jsonw_string(&w, "type", type_of(r->status));
	jsonw_null(&w, "param");
	jsonw_string(&w, "code",
		     failed ? "failed"
		     : news ? "loading"
			    : statuses[find(r->status)].code);
	if (news) {
		jsonw_object_begin(&w, "loading");
		jsonw_string(&w, "state", news->state);
		if (eta_s)
			jsonw_int(&w, "eta_seconds", eta_s);
		else
			jsonw_null(&w, "eta_seconds");
		jsonw_object_end(&w);
	}
	jsonw_object_end(&w);
	jsonw_object_end(&w);
	buf_char(out, '\n');
}

static int64_t retry_after(const struct refusal *r, int64_t eta_s)
{
	if (!news_of(r))
		return 1;
	if (eta_s == 0)
		return REFUSAL_RETRY_UNKNOWN_S;
	return eta_s < REFUSAL_RETRY_MAX_S ? eta_s : REFUSAL_RETRY_MAX_S;
}

void refusal_write(const struct refusal *r, int64_t now_mono_ms, struct buf *out)
{
	_cleanup_buf_ struct buf body = {0};
	const struct wire_routes_news *news = news_of(r);
	int64_t eta_s = eta(r, now_mono_ms);

	write_body(r, eta_s, &body);
	buf_printf(out, "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\n", r->status,
		   statuses[find(r->status)].phrase);
	buf_printf(out, "Content-Length: %zu\r\n", body.len);
	if (r->status == 503 && !(news && news->failed[0]))
		buf_printf(out, "Retry-After: %lld\r\n", (long long)retry_after(r, eta_s));
	if (r->status == 405)
		buf_str(out, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
	if (r->id[0])
		buf_printf(out, "X-Request-Id: %s\r\n", r->id);
	buf_str(out, r->close ? "Connection: close\r\n\r\n" : "\r\n");
	if (!r->is_head)
		buf_append(out, body.data, body.len);
}
