/* runtime: see runtime.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/instance.h"
#include "daemon/supervisor/proc.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/unit.h"
#include "daemon/supervisor/unit_file.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"

#define FORMER_LOOK_MS 10
#define UNIX_PREFIX "unix://"
#define DOCKER_SOCKET "/var/run/docker.sock"

/* ---- which there are ---- */

struct runtime *runtime_find(const struct supervisor *sup, const char *name)
{
	for (int i = 0; i < TABLE_RUNTIMES; i++)
		if (sup->runtimes.list[i] && strcmp(sup->runtimes.list[i]->name, name) == 0)
			return sup->runtimes.list[i];
	return NULL;
}

const char *runtime_name(const struct supervisor *sup, uint32_t unit)
{
	const struct runtime *r = unit > 0 ? sup->runtimes.list[unit - 1] : NULL;

	return r ? r->name : "";
}

bool runtime_is(const struct supervisor *sup, const struct helper *h)
{
	for (int i = 0; i < TABLE_RUNTIMES; i++)
		if (sup->runtimes.list[i] && &sup->runtimes.list[i]->helper == h)
			return true;
	return false;
}

static void say(struct runtime *r, enum wire_runtime_state state, const char *text)
{
	if (r->said.state != state || r->said.since_wall_ms == 0)
		r->said.since_wall_ms = clock_wall_ms();
	r->said.state = (uint8_t)state;
	snprintf(r->said.text, sizeof(r->said.text), "%s", text);
	r->said_due = true;
	link_flush(&r->helper.sup->controller.link);
}

static void say_ended(struct runtime *r)
{
	char text[WIRE_UNIT_TEXT_SIZE];

	snprintf(text, sizeof(text), "aictl-runtime has ended%s%s%s and is started again",
		 r->helper.last_end[0] ? " (" : "", r->helper.last_end,
		 r->helper.last_end[0] ? ")" : "");
	say(r, WIRE_RUNTIME_DOWN, text);
}

/* ---- sending ---- */

void runtime_mark(struct unit *u)
{
	struct runtime *r = u->runtime;

	if (!u->due) {
		u->due = true;
		u->next_due = NULL;
		u->prev_due = r->last_due;
		if (r->last_due)
			r->last_due->next_due = u;
		else
			r->first_due = u;
		r->last_due = u;
	}
	link_flush(&r->helper.link);
}

void runtime_unmark(struct unit *u)
{
	struct runtime *r = u->runtime;

	if (!u->due)
		return;
	u->due = false;
	if (u->prev_due)
		u->prev_due->next_due = u->next_due;
	else
		r->first_due = u->next_due;
	if (u->next_due)
		u->next_due->prev_due = u->prev_due;
	else
		r->last_due = u->prev_due;
}

static void encode_hello(struct supervisor *sup, struct buf *b)
{
	struct wire_hello m;

	supervisor_fill_hello(sup, &m);
	wire_encode_hello(b, &m);
}

static bool send_once(struct link *l, bool *due, enum wire_type type)
{
	if (!*due)
		return true;
	buf_clear(&l->out);
	if (type == WIRE_HELLO)
		encode_hello(l->sup, &l->out);
	else if (type == WIRE_LOG_LEVEL)
		wire_encode_u32(&l->out, WIRE_LOG_LEVEL, (uint32_t)log_level_get());
	else
		wire_encode_empty(&l->out, type);
	*due = !link_send(l, NULL, 0);
	return !*due;
}

static void on_flush(void *user)
{
	struct helper *h = user;
	struct runtime *r = user;
	struct link *l = &h->link;

	if (!send_once(l, &r->hello_due, WIRE_HELLO))
		return;
	while (r->first_due) {
		if (!unit_send(r->first_due, l))
			return;
		if (r->first_due && !r->first_due->open_due && !r->first_due->signal &&
		    !r->first_due->remove_due && !r->first_due->look_due)
			runtime_unmark(r->first_due);
	}
	if (send_once(l, &r->synced_due, WIRE_SYNCED) && run_send_inside(r, l) &&
	    send_once(l, &r->level_due, WIRE_LOG_LEVEL))
		send_once(l, &r->quit_due, WIRE_QUIT);
}

void runtime_log_level(struct supervisor *sup)
{
	for (int i = 0; i < TABLE_RUNTIMES; i++) {
		struct runtime *r = sup->runtimes.list[i];

		if (!r || r->helper.link.fd < 0)
			continue;
		r->level_due = true;
		link_flush(&r->helper.link);
	}
}

static void for_each_unit(struct runtime *r, void (*fn)(struct unit *u))
{
	struct supervisor *sup = r->helper.sup;

	for (uint32_t i = 0; i < sup->n_slots; i++)
		for (struct unit *u = sup->slots[i] ? sup->slots[i]->units : NULL; u;
		     u = u->next_of_slot)
			if (u->runtime == r)
				fn(u);
}

static void on_event(struct helper *h, enum helper_event event)
{
	struct runtime *r = (struct runtime *)(void *)h;

	if (event == HELPER_CONNECTED) {
		r->hello_due = true;
		r->synced_due = r->level_due = r->quit_due = false;
		r->said.abi = r->said.faults = 0; /* of another process */
		r->said.fault[0] = '\0';
		say(r, WIRE_RUNTIME_STARTING, "");
		for_each_unit(r, unit_connected);
		r->synced_due =
			true; /* not before the last of them: what it does not name is removed */
		link_flush(&h->link);
	} else if (event == HELPER_DISCONNECTED) {
		while (r->first_due)
			runtime_unmark(r->first_due);
		run_lose_inside(r);
		if (!h->quitting)
			say_ended(r);
	} else {
		r->quit_due = true;
		link_flush(&h->link);
	}
}

/* The engine's socket is mostly open to a group: that is one of the process's then. */
static void add_group(const struct runtime *r, struct helper_user *u)
{
	const char *path = r->config ? r->config : getenv("DOCKER_HOST");
	struct stat st;

	if (!path)
		path = DOCKER_SOCKET;
	if (strncmp(path, UNIX_PREFIX, sizeof(UNIX_PREFIX) - 1) == 0)
		path += sizeof(UNIX_PREFIX) - 1;
	u->n_groups = 0;
	if (path[0] == '/' && stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_gid != 0 &&
	    st.st_mode & S_IWGRP) {
		u->groups[0] = st.st_gid;
		u->n_groups = 1;
	}
}

/* An engine that was not there yet when we looked: with its group it may be let in. */
static void look_at_group(struct runtime *r)
{
	struct helper_user u = r->helper.user;

	if (!u.set)
		return;
	add_group(r, &u);
	if (u.n_groups == 0 ||
	    (r->helper.user.n_groups > 0 && r->helper.user.groups[0] == u.groups[0]))
		return;
	log_info("runtime=%s is started again with the group of the engine's socket, gid=%u",
		 r->name, (unsigned)u.groups[0]);
	r->helper.user = u;
	r->quit_due = true;
	link_flush(&r->helper.link);
}

/* ---- receiving ---- */

static int take_said(struct runtime *r, const struct wire_packet *p)
{
	struct wire_runtime m;
	int rc = wire_unit_decode_runtime(p->body, p->len, &m);

	if (rc < 0)
		return rc;
	if (strcmp(m.name, r->name) != 0 || m.state == WIRE_RUNTIME_DOWN)
		return -ERR_INVALID;
	if (m.state != r->said.state)
		log_info("runtime=%s %s%s%s", r->name,
			 wire_unit_runtime_name((enum wire_runtime_state)m.state),
			 m.text[0] ? ": " : "", m.text);
	if (m.since_wall_ms == 0)
		m.since_wall_ms =
			m.state == r->said.state ? r->said.since_wall_ms : clock_wall_ms();
	r->said = m;
	r->said_due = true;
	link_flush(&r->helper.sup->controller.link);
	if (m.state == WIRE_RUNTIME_UNREACHABLE)
		look_at_group(r);
	return 0;
}

static int take_stats(struct runtime *r, const struct wire_packet *p)
{
	struct link *l = &r->helper.sup->controller.link;
	struct wire_unit_stats m;
	int rc = wire_unit_decode_stats(p->body, p->len, &m);

	if (rc < 0)
		return rc;
	buf_clear(&l->out);
	wire_encode_again(&l->out, p);
	link_send(l, NULL, 0); /* not taken: it is asked again */
	return 0;
}

static int take(struct runtime *r, const struct wire_packet *p)
{
	struct wire_unit_state state;
	struct wire_run_end end;
	uint64_t id;
	int32_t pid;
	int rc = -ERR_INVALID;

	if (p->type == WIRE_RUNTIME)
		return take_said(r, p);
	if (p->type == WIRE_UNIT_STATS)
		return take_stats(r, p);
	if (p->type == WIRE_UNIT_STATE) {
		rc = wire_unit_decode_state(p->body, p->len, &state);
		if (rc == 0)
			unit_take_state(r, &state);
	} else if (p->type == WIRE_RUN_END) {
		rc = wire_run_decode_end(p->body, p->len, &end);
		if (rc == 0)
			run_end_inside(r, &end);
	} else if (p->type == WIRE_UNIT_PID) {
		rc = wire_unit_decode_pid(p->body, p->len, &id, &pid);
		if (rc == 0)
			run_note_inside(r, id, pid);
	}
	return rc;
}

static void on_packet(void *user, struct wire_packet *p)
{
	struct runtime *r = user;

	if (take(r, p) < 0)
		log_warn("helper=%s sent a bad %s message, ignoring", r->process_name,
			 wire_type_name(p->type));
}

/* ---- to the controller ---- */

void runtime_controller_connected(struct supervisor *sup)
{
	for (int i = 0; i < TABLE_RUNTIMES; i++)
		if (sup->runtimes.list[i])
			sup->runtimes.list[i]->said_due = true;
}

bool runtime_tell(struct supervisor *sup, struct link *l)
{
	for (int i = 0; i < TABLE_RUNTIMES; i++) {
		struct runtime *r = sup->runtimes.list[i];

		if (!r || !r->said_due)
			continue;
		r->said.pid = helper_pid(&r->helper);
		r->said.restarts = r->helper.restarts;
		snprintf(r->said.ended, sizeof(r->said.ended), "%s", r->helper.last_end);
		buf_clear(&l->out);
		wire_unit_encode_runtime(&l->out, &r->said);
		if (!link_send(l, NULL, 0))
			return false;
		r->said_due = false;
	}
	return true;
}

/* ---- start ---- */

static char **make_argv(const struct supervisor *sup, const struct runtime *r)
{
	static const char *const levels[] = {"error", "warn", "info", "debug"};
	const char *argv[16] = {"aictl-runtime", "--name", r->name, "--plugin-dir"};
	unsigned n = 4;

	argv[n++] = sup->runtimes.plugin_dir;
	argv[n++] = "--instance";
	argv[n++] = sup->runtimes.instance;
	argv[n++] = "--log-level";
	argv[n++] = levels[sup->opt->log_level];
	if (r->config) {
		argv[n++] = "--config";
		argv[n++] = r->config;
	}
	return mem_strv_dup(argv);
}

static void start(struct runtime *r)
{
	struct supervisor *sup = r->helper.sup;

	r->helper.user = sup->dirs.runtime;
	if (r->helper.user.set)
		add_group(r, &r->helper.user);
	r->helper.argv = make_argv(sup, r);
	if (!r->helper.argv)
		say(r, WIRE_RUNTIME_DOWN, "out of memory");
	else
		helper_start(&r->helper);
}

/* Why it cannot be started at all; NULL = it can. */
static const char *why_not(const struct supervisor *sup, const struct runtime *r)
{
	if (!r->enabled)
		return "it is not enabled: aictld was started without --runtime for it";
	if (sup->runtimes.binary_fd < 0)
		return "aictl-runtime is not installed";
	if (geteuid() == 0 && !sup->dirs.runtime.set)
		return "the system user aictl-rt does not exist";
	if (sup->runtimes.instance[0] == '\0')
		return "the state directory's instance file cannot be read or made";
	return NULL;
}

static bool is_living(const struct table_helper *f)
{
	return f->pid > 1 && f->start_ticks > 0 && proc_is(f->pid, f->start_ticks, 0) &&
	       !proc_is_dead(f->pid);
}

bool runtime_has_process(const struct runtime *r)
{
	return helper_pid(&r->helper) != 0 ||
	       is_living(&r->helper.sup->table.header->runtime_helpers[r->place]);
}

/* True: it still lives. */
static bool await_former(struct runtime *r)
{
	struct table_helper *f = &r->helper.sup->table.header->runtime_helpers[r->place];
	int64_t now = clock_mono_ms();

	if (!is_living(f)) {
		*f = (struct table_helper){0};
		return false;
	}
	if (r->kill_former_mono_ms == 0) {
		r->kill_former_mono_ms = now + RUNTIME_FORMER_MS;
	} else if (now >= r->kill_former_mono_ms) {
		log_warn("former %s pid=%d does not end, killing it", r->process_name, f->pid);
		proc_kill(f->pid, f->start_ticks, 0);
		r->kill_former_mono_ms = now + RUNTIME_FORMER_MS;
	}
	return true;
}

static void on_former(void *user)
{
	struct supervisor *sup = user;
	bool again = false;

	for (int i = 0; i < TABLE_RUNTIMES; i++) {
		struct runtime *r = sup->runtimes.list[i];

		if (!r || r->helper.argv || r->helper.quitting || why_not(sup, r))
			continue;
		if (await_former(r))
			again = true;
		else
			start(r);
	}
	if (again)
		loop_timer_arm(&sup->loop, &sup->runtimes.former, clock_mono_ms() + FORMER_LOOK_MS);
}

void runtime_start_all(struct supervisor *sup)
{
	if (sup->runtimes.started)
		return;
	sup->runtimes.started = true;
	for (int i = 0; i < TABLE_RUNTIMES; i++) {
		struct runtime *r = sup->runtimes.list[i];
		const char *why = r ? why_not(sup, r) : NULL;

		if (!why)
			continue;
		log_error("runtime=%s %s", r->name, why);
		say(r, WIRE_RUNTIME_DOWN, why);
	}
	on_former(sup);
}

void runtime_note(struct helper *h)
{
	struct runtime *r = (struct runtime *)(void *)h;
	int pid = helper_pid(h);

	h->sup->table.header->runtime_helpers[r->place] =
		(struct table_helper){.pid = pid, .start_ticks = proc_start_ticks(pid)};
}

/* ---- begin, end ---- */

#define HELPER_GRACE_MS 3000

void runtime_quit_all(struct supervisor *sup)
{
	for (int i = 0; i < TABLE_RUNTIMES; i++)
		if (sup->runtimes.list[i])
			helper_quit(&sup->runtimes.list[i]->helper, HELPER_GRACE_MS);
}

bool runtime_all_gone(const struct supervisor *sup)
{
	for (int i = 0; i < TABLE_RUNTIMES; i++)
		if (sup->runtimes.list[i] && !helper_is_gone(&sup->runtimes.list[i]->helper))
			return false;
	return true;
}

static struct runtime *new_runtime(struct supervisor *sup, uint32_t place, const char *name)
{
	struct runtime *r = mem_alloc(sizeof(*r));

	if (!r)
		return NULL;
	r->place = place;
	snprintf(r->name, sizeof(r->name), "%s", name);
	snprintf(r->process_name, sizeof(r->process_name), "aictl-runtime %s", name);
	memcpy(r->said.name, r->name, sizeof(r->name));
	r->helper.sup = sup;
	r->helper.name = r->process_name;
	r->helper.binary_fd = -1;
	r->helper.stderr_fd = sup->own_log_write_fd;
	r->helper.on_event = on_event;
	r->helper.link.fd = -1;
	r->helper.link.on_flush = on_flush;
	r->helper.link.on_packet = on_packet;
	helper_init(&r->helper);
	sup->runtimes.list[place] = r;
	return r;
}

static bool is_name(const char *s)
{
	size_t n = strnlen(s, WIRE_RUNTIME_SIZE);

	return n > 0 && n < WIRE_RUNTIME_SIZE &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static bool is_referred_to(const struct supervisor *sup, uint32_t place)
{
	for (uint32_t i = 0; i < sup->table.n_slots; i++) {
		const struct table_slot *t = table_slot(&sup->table, i);
		const struct table_cold *c = table_cold(&sup->table, i);

		if (!t->used || !table_is_valid(&sup->table, i))
			continue;
		if (t->unit == place + 1)
			return true;
		for (uint32_t k = 0; t->cold_used && k < c->n_units; k++)
			if (c->unit_runtimes[k] == place + 1)
				return true;
	}
	return false;
}

/* Names keep their places, for slots refer to them by these. */
static int load_names(struct supervisor *sup)
{
	struct table_header *h = sup->table.header;

	for (uint32_t i = 0; i < TABLE_RUNTIMES; i++) {
		if (!is_name(h->runtimes[i]) || runtime_find(sup, h->runtimes[i]) ||
		    !is_referred_to(sup, i)) {
			memset(h->runtimes[i], 0, sizeof(h->runtimes[i]));
			continue;
		}
		if (!new_runtime(sup, i, h->runtimes[i]))
			return -ERR_NOMEM;
	}
	return 0;
}

static int enable(struct supervisor *sup, const struct options_runtime *o)
{
	struct runtime *r = runtime_find(sup, o->name);
	uint32_t place = 0;

	while (!r && place < TABLE_RUNTIMES && sup->runtimes.list[place])
		place++;
	if (!r && place == TABLE_RUNTIMES) {
		log_error("runtime=%s no place for it: others still have units, ignoring", o->name);
		return 0;
	}
	if (!r)
		r = new_runtime(sup, place, o->name);
	if (!r)
		return -ERR_NOMEM;
	memcpy(sup->table.header->runtimes[r->place], r->name, sizeof(r->name));
	r->enabled = true;
	r->config = o->config;
	r->helper.binary_fd = sup->runtimes.binary_fd < 0
				      ? -1
				      : fcntl(sup->runtimes.binary_fd, F_DUPFD_CLOEXEC, 3);
	return 0;
}

int runtime_init(struct supervisor *sup, struct err **reterr)
{
	struct runtimes *all = &sup->runtimes;
	int r;

	all->former = (struct loop_timer){.fn = on_former, .user = sup};
	r = load_names(sup);
	for (unsigned i = 0; i < sup->opt->n_runtimes && r == 0; i++)
		r = enable(sup, &sup->opt->runtimes[i]);
	if (r < 0)
		return err_nomem(reterr);
	if (sup->opt->n_runtimes > 0)
		instance_read(sup->opt->paths.state_dir, all->instance);
	return 0;
}

void runtime_done(struct supervisor *sup, bool remove)
{
	loop_timer_disarm(&sup->loop, &sup->runtimes.former);
	for (int i = 0; i < TABLE_RUNTIMES; i++) {
		if (!sup->runtimes.list[i])
			continue;
		helper_done(&sup->runtimes.list[i]->helper);
		mem_free(sup->runtimes.list[i]);
		sup->runtimes.list[i] = NULL;
	}
	mem_closep(&sup->runtimes.binary_fd);
	mem_free(sup->runtimes.plugin_dir);
	sup->runtimes.plugin_dir = NULL;
	if (remove && sup->table.dir_fd >= 0)
		unit_file_clean(sup, NULL);
}
