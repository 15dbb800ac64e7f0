/* api_metrics: see api_metrics.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/api_metrics.h"

#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/exposition.h"
#include "daemon/controller/metrics.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/service.h"
#include "daemon/controller/usage.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/http_server.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sock.h"

#define AGAIN_MS 1000
#define KEEP_MS 500 /* a text, for those who come by TCP */
#define CONNECTIONS_MAX 16
#define IDLE_MS 150000 /* scrapes come each minute, or two */
#define HEAD_MS 10000
#define BUFFER_MAX (16 << 20)
#define BACKLOG 16

struct metrics_port {
	struct controller *c;
	const char *address;
	uv_timer_t again;
	struct http_server *http;
	struct err *told; /* why it is not open */
	struct buf text;
	int64_t text_mono_ms;
};

/* A request whose answer waits until a worker has read what is used; outlives its client. */
struct scrape {
	uv_work_t work;
	struct controller *c;
	struct http_request *r; /* NULL: the client has left */
	bool keep;		/* for the next ones */
	char *cgroup_dir;
	struct usage_item *items;
	size_t n_items;
};

static void scrape_free(struct scrape *s)
{
	mem_free(s->items);
	mem_free(s->cgroup_dir);
	mem_free(s);
}

static void on_gone(struct http_request *r, void *user)
{
	struct scrape *s = user;

	s->r = NULL;
	http_request_forget(r);
}

static void read_usage(uv_work_t *work)
{
	struct scrape *s = work->data;

	usage_read(s->items, s->n_items, USAGE_HERE(s->cgroup_dir));
}

static void reply(struct http_request *r, const struct buf *b)
{
	if (b->failed)
		api_reply(r, 503, b);
	else
		http_reply(r, 200, EXPOSITION_TYPE, b->data, b->len);
}

static void on_usage(uv_work_t *work, int status)
{
	struct scrape *s = work->data;
	struct metrics_port *p = s->c->metrics;
	struct buf b = {0};

	(void)status;
	if (s->r) {
		metrics_write(s->c, s->items, s->n_items, &b);
		reply(s->r, &b);
	}
	if (s->r && s->keep && p && !b.failed) {
		buf_done(&p->text);
		p->text = b;
		p->text_mono_ms = clock_mono_ms();
	} else {
		buf_done(&b);
	}
	scrape_free(s);
}

static int list_items(struct scrape *s)
{
	const struct controller *c = s->c;
	size_t n = 0;

	for (size_t i = 0; i < c->n_services; i++)
		n += c->services[i]->n_replicas;
	s->items = mem_array(n + 1, sizeof(*s->items));
	if (!s->items)
		return -ERR_NOMEM;
	for (size_t i = 0; i < c->n_services; i++) {
		for (size_t k = 0; k < c->services[i]->n_replicas; k++) {
			const struct replica *r = c->services[i]->replicas[k];
			struct usage_item *item = &s->items[s->n_items];

			if (!r->pid)
				continue;
			*item = (struct usage_item){
				.index = r->index, .pid = r->pid, .container = replica_unit_is(r)};
			memccpy(item->service, c->services[i]->name, '\0',
				sizeof(item->service) - 1);
			s->n_items++;
		}
	}
	return 0;
}

static void begin(struct controller *c, struct http_request *r, bool keep)
{
	struct scrape *s = mem_alloc(sizeof(*s));
	bool good = false;

	if (s) {
		*s = (struct scrape){.work.data = s,
				     .c = c,
				     .r = r,
				     .keep = keep,
				     .cgroup_dir = mem_strdup(c->status.cgroup_dir)};
		good = s->cgroup_dir && list_items(s) == 0 &&
		       uv_queue_work(c->loop, &s->work, read_usage, on_usage) == 0;
	}
	if (good) {
		http_request_set_user(r, s, on_gone);
		return;
	}
	if (s)
		scrape_free(s);
	api_reply_error(r, 503, "out_of_memory", "out of memory");
}

void api_metrics_get(struct api_call *call)
{
	if (api_ready(call))
		begin(call->c, call->r, false);
}

/* ---- TCP ---- */

static void on_request(struct http_request *r, void *user)
{
	struct metrics_port *p = user;
	const char *method = http_request_method(r);
	struct api_call call = {.c = p->c, .r = r, .role = API_METRICS};

	if (strcmp(http_request_path(r), "/metrics") != 0)
		api_reply_error(r, 404, "unknown_endpoint", "there is only /metrics");
	else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		api_reply_error(r, 405, "method_not_allowed", "%s is not a method of /metrics",
				method);
	else if (p->text.len && clock_mono_ms() - p->text_mono_ms < KEEP_MS)
		reply(r, &p->text);
	else if (api_ready(&call))
		begin(p->c, r, true);
}

static int serve(struct metrics_port *p, struct err **reterr)
{
	const struct http_server_opts opts = {.body_max = 1024,
					      .connections_max = CONNECTIONS_MAX,
					      .idle_ms = IDLE_MS,
					      .head_ms = HEAD_MS,
					      .stream_buffer_max = BUFFER_MAX,
					      .held_max = 4 * BUFFER_MAX,
					      .on_request = on_request,
					      .user = p};
	int fd, r = sock_listen_tcp(p->address, BACKLOG, &fd, reterr);

	if (r < 0)
		return r;
	r = http_server_new(p->c->loop, fd, &opts, &p->http, reterr);
	if (r < 0)
		close(fd);
	return r;
}

static void on_again(uv_timer_t *timer)
{
	struct metrics_port *p = timer->data;
	_cleanup_err_ struct err *err = NULL;

	if (serve(p, &err) == 0) {
		log_info("address=%s serves /metrics", p->address);
		return;
	}
	if (!p->told || strcmp(err_msg(p->told), err_msg(err)) != 0)
		log_error("--metrics %s: %s, trying again", p->address, err_msg(err));
	err_free(p->told);
	p->told = TAKE_PTR(err);
	uv_timer_start(&p->again, on_again, AGAIN_MS, 0);
}

void api_metrics_open(struct controller *c, const char *address)
{
	struct metrics_port *p = address && !c->metrics ? mem_alloc(sizeof(*p)) : NULL;

	if (!p)
		return;
	*p = (struct metrics_port){.c = c, .address = address};
	uv_timer_init(c->loop, &p->again);
	p->again.data = p;
	c->metrics = p;
	on_again(&p->again);
}

static void on_closed(uv_handle_t *h)
{
	struct metrics_port *p = h->data;

	err_free(p->told);
	buf_done(&p->text);
	mem_free(p);
}

static void on_http_closed(void *user)
{
	struct metrics_port *p = user;

	uv_close((uv_handle_t *)&p->again, on_closed);
}

void api_metrics_close(struct metrics_port *p)
{
	if (!p)
		return;
	p->c->metrics = NULL;
	if (p->http)
		http_server_close(TAKE_PTR(p->http), on_http_closed, p);
	else
		on_http_closed(p);
}
