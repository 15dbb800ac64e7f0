/* controller: see controller.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/controller.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/controller/api_metrics.h"
#include "daemon/controller/apply.h"
#include "daemon/controller/callers.h"
#include "daemon/controller/change.h"
#include "daemon/controller/events.h"
#include "daemon/controller/exec.h"
#include "daemon/controller/inventory.h"
#include "daemon/controller/exit_lines.h"
#include "daemon/controller/journal.h"
#include "daemon/controller/launch.h"
#include "daemon/controller/link.h"
#include "daemon/controller/manifests.h"
#include "daemon/controller/order.h"
#include "daemon/controller/ports.h"
#include "daemon/controller/prober.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/run.h"
#include "daemon/controller/revisions.h"
#include "daemon/controller/reaction.h"
#include "daemon/controller/recycle.h"
#include "daemon/controller/runtimes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/strangers.h"
#include "daemon/controller/traffic.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/logidx.h"
#include "lib/mem.h"
#include "lib/point.h"

#define TELL_DELAY_MS 5 /* events and log lines: after the restart they are about */

extern char **environ;

void controller_follow(struct controller *c, struct settle_follower *f)
{
	f->next = c->settle_followers;
	c->settle_followers = f;
}

void controller_unfollow(struct controller *c, struct settle_follower *f)
{
	for (struct settle_follower **at = &c->settle_followers; *at; at = &(*at)->next) {
		if (*at == f) {
			*at = f->next;
			return;
		}
	}
}

static void settled(struct controller *c, const char *service)
{
	struct settle_follower *next;

	change_review(c, service);
	for (struct settle_follower *f = c->settle_followers; f; f = next) {
		next = f->next;
		f->on_settled(f, service);
	}
}

static void settle_one(struct controller *c, struct service *s)
{
	char *name;

	traffic_touch(s);
	if (!service_settle(s)) {
		settled(c, s->name);
		return;
	}
	name = mem_strdup(s->name);
	log_info("service=%s removed", s->name);
	controller_remove_service(c, s);
	if (c->ordered)
		order_relink(c);
	if (name)
		settled(c, name);
	mem_free(name);
}

/* What becomes dirty again meanwhile waits for the loop's next turn: nothing keeps us here. */
void controller_settle(struct controller *c)
{
	for (size_t n = c->n_services; c->dirty && n > 0; n--) {
		struct service *s = c->dirty;

		c->dirty = s->next_dirty;
		s->dirty = false;
		settle_one(c, s);
	}
}

static void on_tell(uv_timer_t *timer)
{
	struct controller *c = timer->data;

	journal_flush(c->journal);
	log_flush();
}

static void on_settle(uv_prepare_t *prepare)
{
	struct controller *c = prepare->data;

	controller_settle(c);
	traffic_settle(c->traffic);
	if (c->dirty) { /* come back at once, after the others */
		uv_update_time(c->loop);
		uv_timer_start(&c->tell, on_tell, 1, 0);
	}
	if ((log_is_holding() || journal_is_holding(c->journal)) &&
	    !uv_is_active((uv_handle_t *)&c->tell)) {
		uv_update_time(c->loop);
		uv_timer_start(&c->tell, on_tell, TELL_DELAY_MS, 0);
	}
}

int controller_init(struct controller *c, uv_loop_t *loop, const struct controller_opts *opts,
		    struct err **reterr)
{
	int r;

	*c = (struct controller){.opts = *opts,
				 .loop = loop,
				 .started_wall_ms = clock_wall_ms(),
				 .pending_reload = -1};
	if (getrandom(&c->random, sizeof(c->random), 0) != sizeof(c->random))
		c->random = (uint64_t)clock_mono_us();
	c->random |= 1;
	c->note.limit = WIRE_NOTE_MAX;
	log_work_init(&c->log_workers);
	LIST_INIT(&c->runs);
	LIST_INIT(&c->execs);
	TAILQ_INIT(&c->exec_probes);
	TAILQ_INIT(&c->logfiles);
	c->base_env = launch_base_env(opts->inherit_env ? environ : NULL);
	c->inventory = inventory_new();
	c->changes = change_list_new();
	c->apply = apply_queue_new();
	if (!c->base_env || !c->inventory || !c->changes || !c->apply)
		return err_nomem(reterr);
	r = events_new(&c->events, reterr);
	if (r == 0) {
		c->journal = journal_new(c->events);
		r = c->journal ? 0 : err_nomem(reterr);
	}
	if (r == 0)
		r = ports_new(opts->port_first, opts->port_last, &c->ports, reterr);
	if (r == 0)
		r = prober_new(loop, &c->prober, reterr);
	if (r < 0)
		return r;
	uv_timer_init(loop, &c->tell);
	uv_timer_init(loop, &c->again);
	uv_prepare_init(loop, &c->settle);
	c->settle.data = c->tell.data = c;
	uv_prepare_start(&c->settle, on_settle);
	c->exit_lines = exit_lines_new(c);
	c->traffic = traffic_new(c);
	c->callers = callers_new();
	c->strangers = strangers_new(c);
	c->runtimes = runtimes_new();
	return c->exit_lines && c->traffic && c->callers && c->strangers && c->runtimes
		       ? 0
		       : err_nomem(reterr);
}

void controller_close(struct controller *c)
{
	c->closed = true;
	exec_close_all(c);
	for (size_t i = 0; i < c->n_services; i++)
		service_free(c->services[i]);
	c->n_services = 0;
	api_logfiles_close(c);
	exit_lines_close(TAKE_PTR(c->exit_lines));
	log_work_close(c);
	run_forget_all(c);
	api_metrics_close(c->metrics);
	traffic_close(TAKE_PTR(c->traffic));
	strangers_close(TAKE_PTR(c->strangers));
	recycle_close(c->recycler);
	c->recycler = NULL;
	if (c->prober)
		prober_close(c->prober);
	c->prober = NULL;
	if (c->settle.data) {
		uv_close((uv_handle_t *)&c->settle, NULL);
		uv_close((uv_handle_t *)&c->tell, NULL);
		uv_close((uv_handle_t *)&c->again, NULL);
	}
}

void controller_done(struct controller *c)
{
	callers_free(c->callers);
	runtimes_free(c->runtimes);
	mem_free(c->services);
	for (size_t i = 0; i < c->n_sets; i++) {
		revisions_free(&c->sets[i]);
		mem_free(c->sets[i].name);
	}
	mem_free(c->sets);
	mem_free(c->store_error);
	change_list_free(c->changes);
	apply_queue_free(c->apply);
	inventory_free(c->inventory);
	journal_free(c->journal);
	events_free(c->events);
	ports_free(c->ports);
	zones_done(&c->zones);
	mem_strv_free(c->base_env);
	buf_done(&c->packet);
	buf_done(&c->note);
}

void controller_begin(struct controller *c)
{
	if (c->begun || !c->loaded || !c->synced)
		return;
	POINT("controller.giveback.inventory");
	c->begun = true;
	if (c->hello.other_state && !c->opts.inherit_env)
		c->store_replaced = true;
	order_relink(c);
	inventory_restore(c->inventory, c);
	service_task_restore(c);
	inventory_free(c->inventory);
	c->inventory = NULL;
	reaction_restored(c);
	for (size_t i = 0; i < c->n_services; i++) {
		secrets_begin(c->services[i]);
		service_rollout_resumed(c->services[i]);
		controller_touch(c->services[i]);
	}
	log_info("controller ready: %zu services", c->n_services);
	POINT("controller.giveback.begun");
	if (c->pending_reload >= 0)
		manifests_reload(c, TAKE_FD(c->pending_reload), true);
}

bool controller_frozen(const struct controller *c)
{
	return !c->begun || c->shutting_down || c->status.mode != WIRE_MODE_NORMAL;
}

const char *controller_mode_name(const struct controller *c)
{
	if (c->shutting_down || c->status.mode == WIRE_MODE_SHUTDOWN)
		return "shutdown";
	if (c->status.mode == WIRE_MODE_DETACH)
		return "detaching";
	if (c->status.mode == WIRE_MODE_SAFE)
		return "safe";
	return c->begun ? "normal" : "starting";
}

/* The place of name in the sorted array: where it is or belongs. */
static size_t place(const struct controller *c, const char *name)
{
	size_t lo = 0, hi = c->n_services;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(c->services[mid]->name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct service *controller_find(const struct controller *c, const char *name)
{
	size_t i = place(c, name);

	return i < c->n_services && strcmp(c->services[i]->name, name) == 0 ? c->services[i] : NULL;
}

int controller_add_service(struct controller *c, struct service *s)
{
	size_t i = place(c, s->name);

	if (mem_grow(&c->services, &c->cap_services, c->n_services + 1, sizeof(*c->services)) < 0)
		return -ERR_NOMEM;
	memmove(&c->services[i + 1], &c->services[i], (c->n_services - i) * sizeof(*c->services));
	c->services[i] = s;
	c->n_services++;
	return 0;
}

void controller_remove_service(struct controller *c, struct service *s)
{
	size_t i = place(c, s->name);

	for (struct service **at = &c->dirty; *at; at = &(*at)->next_dirty) {
		if (*at == s) {
			*at = s->next_dirty;
			break;
		}
	}
	memmove(&c->services[i], &c->services[i + 1],
		(c->n_services - i - 1) * sizeof(*c->services));
	c->n_services--;
	secrets_forget(s);
	traffic_forget_service(s);
	service_free(s);
}

void controller_touch(struct service *s)
{
	struct service **at;

	if (s->dirty || s->closing)
		return;
	s->dirty = true;
	s->next_dirty = NULL;
	for (at = &s->controller->dirty; *at; at = &(*at)->next_dirty)
		; /* at the end: one that is never done must not starve the others */
	*at = s;
}

struct set *controller_set(struct controller *c, const char *name)
{
	for (size_t i = 0; i < c->n_sets; i++)
		if (strcmp(c->sets[i].name, name) == 0)
			return &c->sets[i];
	if (mem_grow(&c->sets, &c->cap_sets, c->n_sets + 1, sizeof(*c->sets)) < 0)
		return NULL;
	c->sets[c->n_sets] = (struct set){.name = mem_strdup(name)};
	return c->sets[c->n_sets].name ? &c->sets[c->n_sets++] : NULL;
}

/* xorshift64* (Vigna 2016): for jitter, not for secrets. */
static uint64_t next_random(struct controller *c)
{
	c->random ^= c->random >> 12;
	c->random ^= c->random << 25;
	c->random ^= c->random >> 27;
	return c->random * UINT64_C(2685821657736338717);
}

uint64_t controller_random_bits(struct controller *c)
{
	return next_random(c);
}

double controller_random_unit(struct controller *c)
{
	return (double)(next_random(c) >> 11) / (double)(UINT64_C(1) << 53);
}

double controller_random(struct controller *c)
{
	return 2 * controller_random_unit(c) - 1;
}

void controller_new_incarnation(struct controller *c, const char *after, char *out)
{
	int64_t now = clock_wall_ms(), former = *after ? logidx_incarnation_ms(after) : 0;

	snprintf(out, WIRE_INCARNATION_SIZE, "%012" PRIx64 "%016" PRIx64 "%04x",
		 (uint64_t)(now > former ? now : former + 1) & UINT64_C(0xffffffffffff),
		 next_random(c), (unsigned)(next_random(c) >> 48));
}
