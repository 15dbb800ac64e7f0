/* scale_page: see scale_page.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/scale_page.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/probe_progress.h"
#include "daemon/controller/prober.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_scale.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define PAGE_MAX (8 << 20)

/* One goal of one replica; it stays where it is while its request runs. */
struct told {
	struct scale_page *p;
	size_t goal;
	uint32_t index;
	char incarnation[WIRE_INCARNATION_SIZE];
	double value;
	int64_t at_mono_ms; /* of the value; 0 = none */
	struct probe_run *run;
	struct probe_page *page; /* while it runs */
	char said[160];		 /* of an answer without the value */
};

struct scale_page {
	struct told **list;
	size_t n, cap;
	int64_t asked_mono_ms;
};

static void drop(struct told *t)
{
	if (t->run)
		prober_cancel(t->run);
	mem_free(t->page);
	mem_free(t);
}

void scale_page_free(struct scale_page *p)
{
	for (size_t i = 0; p && i < p->n; i++)
		drop(p->list[i]);
	if (p)
		mem_free(p->list);
	mem_free(p);
}

static bool is_needed(const struct autoscale_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		if (rules->goals[i].kind == AUTOSCALE_PROMETHEUS)
			return true;
	return false;
}

void scale_page_respec(struct service_scale *x)
{
	scale_page_free(TAKE_PTR(x->pages)); /* of other pages, perhaps */
	if (!is_needed(&x->rules))
		return;
	x->pages = mem_alloc(sizeof(*x->pages));
	if (!x->pages)
		log_error("service=%s its replicas' metrics are not looked at: out of memory",
			  x->s->name);
}

/* ---- asking ---- */

static void on_body(const char *data, size_t n, void *user)
{
	probe_progress_add(((struct told *)user)->page, data, n);
}

static void on_result(const struct probe_result *result, void *user)
{
	struct told *t = user;

	t->run = NULL;
	probe_progress_end(t->page);
	t->said[0] = '\0';
	if (!result->ok) {
		snprintf(t->said, sizeof(t->said), "%s", result->message);
	} else if (!t->page->has_metric) {
		snprintf(t->said, sizeof(t->said), "the page has no metric %.100s",
			 t->page->metric);
	} else {
		t->value = t->page->metric_sum;
		t->at_mono_ms = clock_mono_ms();
	}
	mem_free(t->page);
	t->page = NULL;
}

static const struct autoscale_metric *metric_of(const struct service_scale *x, size_t goal)
{
	const struct autoscale_spec *a = &x->s->spec->autoscale;
	const struct autoscale_metric *metrics = a->metrics.v;

	return goal < a->metrics.n ? &metrics[goal] : &a->metric;
}

static void ask(struct service_scale *x, struct told *t, const struct replica *r)
{
	const struct autoscale_metric *m = metric_of(x, t->goal);
	char path[REPLICA_PORTS_PATH_SIZE];
	const struct probe_http req = {.host = replica_ports_host(r, "127.0.0.1", m->port, path),
				       .port = replica_ports_resolve(r, m->port),
				       .path = m->path ? m->path : "/metrics",
				       .timeout_ms = SCALE_PAGE_TIMEOUT_MS,
				       .on_body = on_body,
				       .body_max = PAGE_MAX};
	_cleanup_err_ struct err *err = NULL;

	if (t->run || !req.port)
		return;
	t->page = mem_alloc(sizeof(*t->page));
	if (!t->page)
		return;
	snprintf(t->page->metric, sizeof(t->page->metric), "%s", m->name ? m->name : "");
	if (prober_http(x->s->controller->prober, &req, on_result, t, &t->run, &err) == 0)
		return;
	snprintf(t->said, sizeof(t->said), "%.150s", err_msg(err));
	mem_free(t->page);
	t->page = NULL;
}

static struct told *find(struct scale_page *p, size_t goal, const struct replica *r)
{
	struct told *t;

	for (size_t i = 0; i < p->n; i++)
		if (p->list[i]->goal == goal && p->list[i]->index == r->index &&
		    strcmp(p->list[i]->incarnation, r->incarnation) == 0)
			return p->list[i];
	t = mem_alloc(sizeof(*t));
	if (!t || mem_grow(&p->list, &p->cap, p->n + 1, sizeof(*p->list)) < 0) {
		mem_free(t);
		return NULL;
	}
	*t = (struct told){.p = p, .goal = goal, .index = r->index};
	memcpy(t->incarnation, r->incarnation, sizeof(t->incarnation));
	p->list[p->n++] = t;
	return t;
}

static bool is_asked(const struct replica *r)
{
	return r->pid && r->state == REPLICA_READY && !r->frozen;
}

static void forget(struct scale_page *p, const struct service *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n; i++) {
		struct told *t = p->list[i];
		const struct replica *r = service_replica(s, t->index);

		if (r && is_asked(r) && strcmp(r->incarnation, t->incarnation) == 0)
			p->list[kept++] = t;
		else
			drop(t);
	}
	p->n = kept;
}

void scale_page_look(struct service_scale *x, int64_t now_mono_ms)
{
	struct scale_page *p = x->pages;
	const struct service *s = x->s;

	if (!p)
		return;
	forget(p, s);
	if (p->asked_mono_ms &&
	    now_mono_ms - p->asked_mono_ms < SCALE_PAGE_MS - AUTOSCALE_TICK_MS / 2)
		return;
	p->asked_mono_ms = now_mono_ms;
	for (size_t g = 0; g < x->rules.n; g++) {
		for (size_t i = 0; i < s->n_replicas; i++) {
			const struct replica *r = s->replicas[i];
			struct told *t;

			if (x->rules.goals[g].kind != AUTOSCALE_PROMETHEUS || !is_asked(r))
				continue;
			t = find(p, g, r);
			if (t)
				ask(x, t, r);
		}
	}
}

/* ---- what they said ---- */

void scale_page_measure(const struct service_scale *x, size_t goal, int64_t now_mono_ms,
			struct autoscale_measure *m)
{
	const struct scale_page *p = x->pages;

	for (size_t i = 0; p && i < p->n; i++) {
		const struct told *t = p->list[i];

		if (t->goal != goal || !t->at_mono_ms ||
		    now_mono_ms - t->at_mono_ms > SCALE_PAGE_STALE_MS)
			continue;
		m->n++;
		m->sum += t->value;
	}
	m->known = m->n > 0;
}

const char *scale_page_said(const struct service_scale *x, size_t goal)
{
	for (size_t i = 0; x->pages && i < x->pages->n; i++)
		if (x->pages->list[i]->goal == goal && x->pages->list[i]->said[0])
			return x->pages->list[i]->said;
	return "";
}
