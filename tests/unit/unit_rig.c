/* unit_rig: see unit_rig.h. */
/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/wire/wire_unit.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/aictld_rig.h"

static struct unit_rig fake;

struct unit_rig *unit_rig(void)
{
	return &fake;
}

void unit_rig_say(struct rig *r, const struct wire_unit_state *m)
{
	struct buf b = {0};

	wire_unit_encode_state(&b, m);
	rig_send_to(r->runtime.wire, &b);
}

void unit_rig_say_state(struct rig *r, const struct wire_key *key, enum wire_unit state)
{
	unit_rig_say(r, &(struct wire_unit_state){
				.key = *key, .state = (uint8_t)state, .pid = 4711, .id = "f00d"});
}

void unit_rig_say_exited(struct rig *r, const struct wire_key *key, int code)
{
	unit_rig_say(r, &(struct wire_unit_state){.key = *key,
						  .state = WIRE_UNIT_EXITED,
						  .status_known = true,
						  .code = code});
}

void unit_rig_close(struct fake_unit *u)
{
	for (int i = 0; i < 3; i++)
		mem_closep(&u->fds[i]);
}

struct fake_unit *unit_rig_find(const struct wire_key *key)
{
	for (unsigned i = 0; i < fake.n_units; i++)
		if (wire_key_equal(&fake.units[i].key, key))
			return &fake.units[i];
	return NULL;
}

struct fake_unit *unit_rig_of(const struct wire_key *key)
{
	struct fake_unit *u = unit_rig_find(key);

	if (u)
		return u;
	assert_true(fake.n_units < UNIT_RIG_MAX);
	u = &fake.units[fake.n_units++];
	*u = (struct fake_unit){.key = *key, .fds = {-1, -1, -1}};
	return u;
}

static void take_fds(struct fake_unit *u, struct wire_packet *p)
{
	struct stat st;

	assert_int_equal(p->n_fds, 3);
	unit_rig_close(u);
	for (int i = 0; i < 3; i++)
		u->fds[i] = TAKE_FD(p->fds[i]);
	assert_int_equal(fstat(u->fds[2], &st), 0);
	assert_true(S_ISREG(st.st_mode) && st.st_size == WIRE_UNIT_CELL_SIZE);
}

static void got_start(struct rig *r, struct wire_packet *p)
{
	struct wire_unit_start m;
	struct fake_unit *u;

	assert_int_equal(wire_unit_decode_start(p->body, p->len, &m), 0);
	u = unit_rig_of(&m.key);
	u->n_start++;
	snprintf(u->spec, sizeof(u->spec), "%.*s", (int)m.spec_len, m.spec);
	take_fds(u, p);
	if (!fake.silent)
		unit_rig_say_state(r, &m.key, WIRE_UNIT_RUNNING);
}

static void got_signal(struct rig *r, const struct wire_packet *p)
{
	struct wire_key key;
	struct fake_unit *u;
	int32_t n;

	assert_int_equal(wire_decode_signal(p->body, p->len, &key, &n), 0);
	u = unit_rig_of(&key);
	assert_true(u->n_signals < 8);
	u->signals[u->n_signals++] = n;
	if (!fake.silent && (n == SIGKILL || (n == SIGTERM && !fake.deaf)))
		unit_rig_say_exited(r, &key, 128 + n);
}

static void got_key(struct rig *r, struct wire_packet *p)
{
	struct wire_key key;
	struct fake_unit *u;

	assert_int_equal(wire_decode_key(p->body, p->len, &key), 0);
	u = unit_rig_of(&key);
	if (p->type == WIRE_UNIT_KEEP) {
		u->n_keep++;
		u->n_bare += p->n_fds == 0;
		if (p->n_fds > 0)
			take_fds(u, p);
	} else if (p->type == WIRE_LOOK) {
		struct buf b = {0};

		fake.n_look++;
		wire_unit_encode_stats(&b, &(struct wire_unit_stats){.key = key, .pids = 3});
		rig_send_to(r->runtime.wire, &b);
	} else {
		u->n_remove++;
		if (fake.silent)
			return;
		unit_rig_close(u);
		unit_rig_say_state(r, &key, WIRE_UNIT_GONE);
	}
}

static void got_run(struct wire_packet *p)
{
	struct wire_run m;

	assert_int_equal(wire_run_decode(p->body, p->len, &m), 0);
	assert_true(m.inside);
	assert_int_equal(p->n_fds, 3);
	fake.run_id = m.id;
	fake.run_key = m.key;
	snprintf(fake.run_arg, sizeof(fake.run_arg), "%s", m.child.argv[0]);
	for (int i = 0; i < 3; i++)
		fake.run_fds[i] = TAKE_FD(p->fds[i]);
	wire_run_free(&m);
}

static void for_controller(const struct wire_packet *p)
{
	if (p->type == WIRE_UNIT_STATE)
		assert_int_equal(wire_unit_decode_state(p->body, p->len, &fake.told), 0);
	else if (p->type == WIRE_RUNTIME)
		assert_int_equal(wire_unit_decode_runtime(p->body, p->len, &fake.runtime), 0);
	else
		assert_int_equal(wire_unit_decode_stats(p->body, p->len, &fake.stats), 0);
}

static void on_unit(struct rig *r, struct rig_helper *h, struct wire_packet *p)
{
	struct buf b = {0};

	if (h != &r->runtime) {
		for_controller(p);
		return;
	}
	switch ((int)p->type) {
	case WIRE_HELLO:
		assert_int_equal(p->n_fds, 0);
		fake.n_hello++;
		break;
	case WIRE_UNIT_START:
		got_start(r, p);
		break;
	case WIRE_UNIT_KEEP:
	case WIRE_UNIT_REMOVE:
	case WIRE_LOOK:
		got_key(r, p);
		break;
	case WIRE_SIGNAL:
		got_signal(r, p);
		break;
	case WIRE_SYNCED:
		fake.n_synced++;
		break;
	case WIRE_RUN:
		got_run(p);
		break;
	case WIRE_RUN_KILL:
		assert_int_equal(
			wire_run_decode_kill(p->body, p->len, &fake.killed_id, &fake.kill_signal),
			0);
		break;
	case WIRE_PING:
		wire_encode_empty(&b, WIRE_PONG);
		rig_send_to(h->wire, &b);
		break;
	case WIRE_LOG_LEVEL:
		break;
	case WIRE_QUIT:
		fake.n_quit++;
		mem_closep(&h->conn); /* it ends */
		break;
	default:
		fail_msg("unexpected %s for the runtime", wire_type_name(p->type));
	}
}

/* ---- set-up ---- */

const char *const unit_rig_enabled[] = {"--runtime", "fake=tcp://nowhere", NULL};

static void forget(void)
{
	for (unsigned i = 0; i < fake.n_units; i++)
		unit_rig_close(&fake.units[i]);
	memset(&fake, 0, sizeof(fake));
	fake.run_fds[0] = fake.run_fds[1] = fake.run_fds[2] = -1;
}

void unit_rig_begin(struct rig *r)
{
	unit_rig_begin_with(r, unit_rig_enabled);
}

void unit_rig_begin_with(struct rig *r, const char *const *args)
{
	forget();
	rig_start(r, args);
	r->on_unit = on_unit;
	RIG_UNTIL(r, fake.n_synced == 1);
}

void unit_rig_end(struct rig *r)
{
	rig_clean_stop(r);
	forget();
}

void unit_rig_start(struct rig *r, const struct wire_key *key, const char *runtime,
		    int64_t grace_ms)
{
	struct wire_unit_start m = {.key = *key,
				    .stop_signal = SIGTERM,
				    .grace_ms = grace_ms,
				    .logs = {.max_size = 1 << 20, .max_files = 3},
				    .note = (const uint8_t *)"a note",
				    .note_len = 6,
				    .spec = UNIT_RIG_SPEC,
				    .spec_len = sizeof(UNIT_RIG_SPEC) - 1};
	struct buf b = {0};

	snprintf(m.runtime, sizeof(m.runtime), "%s", runtime);
	wire_unit_encode_start(&b, &m);
	rig_send(r, &b, NULL, 0);
}

struct fake_unit *unit_rig_start_running(struct rig *r, const struct wire_key *key)
{
	unit_rig_start(r, key, "fake", 5000);
	rig_wait_state(r, key, WIRE_SLOT_RUNNING);
	return unit_rig_of(key);
}

void unit_rig_write(const struct fake_unit *u, const char *text)
{
	assert_int_equal(write(u->fds[0], text, strlen(text)), (int)strlen(text));
}

static void path_of(const struct rig *r, const struct wire_key *key, const char *suffix,
		    char path[512])
{
	char dir[256];
	struct stat st;

	snprintf(path, 512, "%s/run/sup", r->dir);
	assert_int_equal(stat(path, &st), 0);
	snprintf(dir, sizeof(dir), "/dev/shm/aictl-%u-%llx-%llx", geteuid(),
		 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	if (access(dir, F_OK) < 0)
		snprintf(dir, sizeof(dir), "%s/run/sup", r->dir);
	snprintf(path, 512, "%s/unit-%s.%s", dir, key->incarnation, suffix);
}

void unit_rig_spoil_cell(const struct rig *r, const struct wire_key *key)
{
	char path[512];

	path_of(r, key, "cell", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/nowhere", path), 0);
}

bool unit_rig_has_files(const struct rig *r, const struct wire_key *key)
{
	static const char *const suffixes[] = {"start", "cell"};
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		path_of(r, key, suffixes[i], path);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}
