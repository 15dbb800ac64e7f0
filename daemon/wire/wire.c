/*
 * wire: the codec and the transport of wire.h.
 *
 * Each message is one pair of functions that list its members in the same order (field.h has the
 * parts). What a child shall be stands in wire_child.c, RUN and SECRETS in files of their own.
 *
 * The transport sends one packet with one sendmsg and receives with one recvmsg, both without
 * waiting. Descriptors that arrive are CLOEXEC and owned by the packet from the first moment; every
 * error path closes them. A large body is in a memfd whose size and content are sealed before it is
 * mapped, so that a peer can change neither under the reader.
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/wire/field.h"
#include "daemon/wire/wire_child.h"
#include "daemon/wire/wire_logs.h"
#include "daemon/wire/wire_push.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

static const char *const type_names[WIRE_TYPE_MAX_] = {
	[0] = "?",
	[WIRE_HELLO] = "HELLO",
	[WIRE_SLOT] = "SLOT",
	[WIRE_SYNCED] = "SYNCED",
	[WIRE_STATUS] = "STATUS",
	[WIRE_RELOAD] = "RELOAD",
	[WIRE_SPAWN] = "SPAWN",
	[WIRE_STOP] = "STOP",
	[WIRE_SIGNAL] = "SIGNAL",
	[WIRE_NOTE] = "NOTE",
	[WIRE_RELEASE] = "RELEASE",
	[WIRE_STANDBY_OFF] = "STANDBY_OFF",
	[WIRE_ACK] = "ACK",
	[WIRE_CONTROL] = "CONTROL",
	[WIRE_STREAM] = "STREAM",
	[WIRE_GONE] = "GONE",
	[WIRE_DRAINED] = "DRAINED",
	[WIRE_PING] = "PING",
	[WIRE_PONG] = "PONG",
	[WIRE_RUN] = "RUN",
	[WIRE_RUN_END] = "RUN_END",
	[WIRE_RUN_KILL] = "RUN_KILL",
	[WIRE_SECRETS] = "SECRETS",
	[WIRE_SECRETS_DROP] = "SECRETS_DROP",
	[WIRE_LOG_LEVEL] = "LOG_LEVEL",
	[WIRE_QUIT] = "QUIT",
	[WIRE_JOIN] = "JOIN",
	[WIRE_GIVE_BACK] = "GIVE_BACK",
	[WIRE_GIVE_BACK_END] = "GIVE_BACK_END",
	[WIRE_LIMITS] = "LIMITS",
	[WIRE_FREEZE] = "FREEZE",
	[WIRE_WATCH] = "WATCH",
	[WIRE_LOOK] = "LOOK",
	[WIRE_EVIDENCE] = "EVIDENCE",
	[WIRE_LOGS] = "LOGS",
	[WIRE_LOG_WORK] = "LOG_WORK",
	[WIRE_LOG_DONE] = "LOG_DONE",
	[WIRE_LISTEN] = "LISTEN",
	[WIRE_LISTENING] = "LISTENING",
	[WIRE_LISTENER] = "LISTENER",
	[WIRE_LISTENER_OFF] = "LISTENER_OFF",
	[WIRE_PEER] = "PEER",
	[WIRE_ROUTES] = "ROUTES",
	[WIRE_ROUTED] = "ROUTED",
	[WIRE_LOAD] = "LOAD",
	[WIRE_GIVE_LISTENER] = "GIVE_LISTENER",
	[WIRE_DEMAND] = "DEMAND",
	[WIRE_STATS] = "STATS",
	[WIRE_UNIT_START] = "UNIT_START",
	[WIRE_UNIT_KEEP] = "UNIT_KEEP",
	[WIRE_UNIT_REMOVE] = "UNIT_REMOVE",
	[WIRE_UNIT_STATE] = "UNIT_STATE",
	[WIRE_UNIT_STATS] = "UNIT_STATS",
	[WIRE_UNIT_PID] = "UNIT_PID",
	[WIRE_RUNTIME] = "RUNTIME",
	[WIRE_SECRETS_WRITTEN] = "SECRETS_WRITTEN",
	[WIRE_LOG_FAULT] = "LOG_FAULT",
};

static const char *const stage_names[WIRE_STAGE_MAX_] = {
	[WIRE_STAGE_NONE] = "none",	  [WIRE_STAGE_REFUSED] = "refused",
	[WIRE_STAGE_SECRETS] = "secrets", [WIRE_STAGE_CLONE] = "clone",
	[WIRE_STAGE_FDS] = "fds",	  [WIRE_STAGE_LIMITS] = "limits",
	[WIRE_STAGE_USER] = "user",	  [WIRE_STAGE_CHDIR] = "chdir",
	[WIRE_STAGE_EXEC] = "exec",
};

/* Resources by their number, which is the same on all architectures we know. */
static const char *const what_names[WIRE_WHAT_MAX_] = {
	[WIRE_WHAT_RLIMIT + RLIMIT_CPU] = "cpu",
	[WIRE_WHAT_RLIMIT + RLIMIT_FSIZE] = "fsize",
	[WIRE_WHAT_RLIMIT + RLIMIT_DATA] = "data",
	[WIRE_WHAT_RLIMIT + RLIMIT_STACK] = "stack",
	[WIRE_WHAT_RLIMIT + RLIMIT_CORE] = "core",
	[WIRE_WHAT_RLIMIT + RLIMIT_RSS] = "rss",
	[WIRE_WHAT_RLIMIT + RLIMIT_NPROC] = "nproc",
	[WIRE_WHAT_RLIMIT + RLIMIT_NOFILE] = "nofile",
	[WIRE_WHAT_RLIMIT + RLIMIT_MEMLOCK] = "memlock",
	[WIRE_WHAT_RLIMIT + RLIMIT_AS] = "as",
	[WIRE_WHAT_RLIMIT + RLIMIT_LOCKS] = "locks",
	[WIRE_WHAT_RLIMIT + RLIMIT_SIGPENDING] = "sigpending",
	[WIRE_WHAT_RLIMIT + RLIMIT_MSGQUEUE] = "msgqueue",
	[WIRE_WHAT_RLIMIT + RLIMIT_NICE] = "nice",
	[WIRE_WHAT_RLIMIT + RLIMIT_RTPRIO] = "rtprio",
	[WIRE_WHAT_RLIMIT + RLIMIT_RTTIME] = "rttime",
	[WIRE_WHAT_NICE] = "nice",
	[WIRE_WHAT_OOM_SCORE] = "oom_score",
	[WIRE_WHAT_TTY] = "tty",
	[WIRE_WHAT_CGROUP] = "cgroup",
	[WIRE_WHAT_NOTIFY] = "notify socket",
	[WIRE_WHAT_LISTEN] = "listening socket",
	[WIRE_WHAT_SOCKET] = "directory of its socket",
	[WIRE_WHAT_RUNTIME] = "runtime",
	[WIRE_WHAT_IMAGE] = "image",
	[WIRE_WHAT_CONTAINER] = "container",
};
_Static_assert(RLIM_NLIMITS == WIRE_RLIMITS_MAX, "every resource has its place");

/* ---- messages ---- */

void wire_encode_hello(struct buf *b, const struct wire_hello *m)
{
	size_t at = field_begin(b, WIRE_HELLO);

	field_put_array(b, m->version, sizeof(m->version));
	field_put_array(b, m->boot_id, sizeof(m->boot_id));
	field_put_i32(b, m->aictld_pid);
	field_put_u8(b, m->safe_mode);
	field_put_u8(b, m->shutting_down);
	field_put_u8(b, m->first_start);
	field_put_u8(b, m->other_state);
	field_put_u8(b, m->log_level);
	field_put_array(b, m->secrets_dir, sizeof(m->secrets_dir));
	field_put_array(b, m->sockets_dir, sizeof(m->sockets_dir));
	field_end(b, at);
}

int wire_decode_hello(const uint8_t *body, size_t len, struct wire_hello *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_hello){0};
	field_get_array(&r, m->version, sizeof(m->version));
	field_get_array(&r, m->boot_id, sizeof(m->boot_id));
	m->aictld_pid = field_get_i32(&r);
	m->safe_mode = field_get_bool(&r);
	m->shutting_down = field_get_bool(&r);
	m->first_start = field_get_bool(&r);
	m->other_state = field_get_bool(&r);
	m->log_level = field_get_u8(&r);
	if (m->log_level > WIRE_LOG_LEVEL_MAX)
		r.bad = true;
	field_get_array(&r, m->secrets_dir, sizeof(m->secrets_dir));
	field_get_array(&r, m->sockets_dir, sizeof(m->sockets_dir));
	return field_check(&r);
}

static void put_exit(struct buf *b, const struct wire_exit *e)
{
	field_put_array(b, e->incarnation, sizeof(e->incarnation));
	field_put_u64(b, e->seq);
	field_put_i32(b, e->pid);
	field_put_i32(b, e->code);
	field_put_i32(b, e->signal);
	field_put_u8(b, e->core_dumped);
	field_put_u8(b, e->by_stop);
	field_put_u8(b, e->killed);
	field_put_u8(b, e->status_known);
	field_put_u8(b, e->oom_killed);
	field_put_i32(b, e->stage);
	field_put_u8(b, e->what);
	field_put_i32(b, e->err);
	field_put_i64(b, e->started_wall_ms);
	field_put_i64(b, e->ended_wall_ms);
	field_put_i64(b, e->started_mono_ms);
	field_put_i64(b, e->ended_mono_ms);
}

static void get_exit(struct field_reader *r, struct wire_exit *e)
{
	field_get_incarnation(r, e->incarnation);
	e->seq = field_get_u64(r);
	e->pid = field_get_i32(r);
	e->code = field_get_i32(r);
	e->signal = field_get_i32(r);
	e->core_dumped = field_get_bool(r);
	e->by_stop = field_get_bool(r);
	e->killed = field_get_bool(r);
	e->status_known = field_get_bool(r);
	e->oom_killed = field_get_bool(r);
	e->stage = field_get_i32(r);
	e->what = field_get_u8(r);
	e->err = field_get_i32(r);
	e->started_wall_ms = field_get_i64(r);
	e->ended_wall_ms = field_get_i64(r);
	e->started_mono_ms = field_get_i64(r);
	e->ended_mono_ms = field_get_i64(r);
	if (e->stage < 0 || e->stage >= WIRE_STAGE_MAX_ || e->what >= WIRE_WHAT_MAX_)
		r->bad = true;
}

enum slot_cgroup { FROZEN = 1, TRACKED = 2 };

void wire_encode_slot(struct buf *b, const struct wire_slot *m)
{
	size_t at = field_begin(b, WIRE_SLOT);
	uint32_t n = m->n_exits < WIRE_EXITS_MAX ? m->n_exits : WIRE_EXITS_MAX;

	field_put_key(b, &m->key);
	field_put_u8(b, m->state);
	field_put_u8(b, m->stage);
	field_put_u8(b, m->what);
	field_put_i32(b, m->err);
	field_put_i32(b, m->pid);
	field_put_array(b, m->runtime, sizeof(m->runtime));
	field_put_u8(b, (uint8_t)((m->frozen ? FROZEN : 0) | (m->tracked ? TRACKED : 0)));
	field_put_u32(b, m->freeze_request);
	field_put_i32(b, m->freeze_err);
	field_put_array(b, m->limits_failed, sizeof(m->limits_failed));
	field_put_u8(b, m->swept);
	field_put_i64(b, m->started_wall_ms);
	field_put_i64(b, m->started_mono_ms);
	field_put_u32(b, m->exits_lost);
	field_put_u32(b, n);
	for (uint32_t i = 0; i < n; i++)
		put_exit(b, &m->exits[i]);
	field_put_u8(b, m->note != NULL);
	if (m->note)
		field_put_blob(b, m->note, m->note_len);
	field_put_u8(b, m->has_push);
	if (m->has_push)
		wire_push_put(b, &m->push);
	field_put_u8(b, m->has_log);
	if (m->has_log)
		wire_logs_put_fault(b, &m->log);
	field_end(b, at);
}

int wire_decode_slot(const uint8_t *body, size_t len, struct wire_slot *m)
{
	struct field_reader r = {.p = body, .left = len};
	uint8_t cgroup;

	*m = (struct wire_slot){0};
	field_get_key(&r, &m->key);
	m->state = field_get_u8(&r);
	m->stage = field_get_u8(&r);
	m->what = field_get_u8(&r);
	m->err = field_get_i32(&r);
	m->pid = field_get_i32(&r);
	field_get_array(&r, m->runtime, sizeof(m->runtime));
	cgroup = field_get_u8(&r);
	r.bad = r.bad || cgroup > (FROZEN | TRACKED);
	m->frozen = cgroup & FROZEN;
	m->tracked = cgroup & TRACKED;
	m->freeze_request = field_get_u32(&r);
	m->freeze_err = field_get_i32(&r);
	field_get_array(&r, m->limits_failed, sizeof(m->limits_failed));
	m->swept = field_get_bool(&r);
	m->started_wall_ms = field_get_i64(&r);
	m->started_mono_ms = field_get_i64(&r);
	m->exits_lost = field_get_u32(&r);
	m->n_exits = field_get_u32(&r);
	if (m->state >= WIRE_SLOT_STATE_MAX_ || m->stage >= WIRE_STAGE_MAX_ ||
	    m->what >= WIRE_WHAT_MAX_ || m->n_exits > WIRE_EXITS_MAX) {
		m->n_exits = 0;
		return -ERR_INVALID;
	}
	for (uint32_t i = 0; i < m->n_exits; i++)
		get_exit(&r, &m->exits[i]);
	if (field_get_bool(&r))
		m->note = field_get_blob(&r, WIRE_NOTE_MAX, &m->note_len);
	m->has_push = field_get_bool(&r);
	if (m->has_push)
		wire_push_get(&r, &m->push);
	m->has_log = field_get_bool(&r);
	if (m->has_log)
		wire_logs_get_fault(&r, &m->log);
	return field_check(&r);
}

void wire_encode_spawn(struct buf *b, const struct wire_spawn *m)
{
	size_t at = field_begin(b, WIRE_SPAWN);

	field_put_key(b, &m->key);
	field_put_u8(b, m->standby);
	field_put_limits(b, &m->limits);
	field_put_u64(b, m->secrets);
	field_put_u8(b, m->notify);
	field_put_u8(b, m->notify_fd);
	field_put_i64(b, m->watchdog_ms);
	wire_listen_put_spawn(b, m);
	field_put_i32(b, m->stop_signal);
	field_put_i64(b, m->grace_ms);
	field_put_logs(b, &m->logs);
	field_put_blob(b, m->note, m->note ? m->note_len : 0);
	wire_child_put(b, &m->child);
	field_end(b, at);
}

int wire_decode_spawn(const uint8_t *body, size_t len, struct wire_spawn *m)
{
	struct field_reader r = {.p = body, .left = len};
	const uint8_t *note;
	void *copy;
	int rc;

	*m = (struct wire_spawn){0};
	field_get_key(&r, &m->key);
	m->standby = field_get_bool(&r);
	field_get_limits(&r, &m->limits);
	m->secrets = field_get_u64(&r);
	m->notify = field_get_bool(&r);
	m->notify_fd = field_get_u8(&r);
	m->watchdog_ms = field_get_i64(&r);
	if ((m->notify_fd != 0 && (m->notify_fd < 3 || m->notify_fd > WIRE_NOTIFY_FD_MAX)) ||
	    m->watchdog_ms < 0 || (m->watchdog_ms > 0 && !m->notify))
		r.bad = true;
	wire_listen_get_spawn(&r, m);
	m->stop_signal = field_get_signal(&r, 1);
	m->grace_ms = field_get_i64(&r);
	field_get_logs(&r, &m->logs);
	note = field_get_blob(&r, WIRE_NOTE_MAX, &m->note_len);
	if (m->grace_ms < 0 || m->key.incarnation[0] == '\0')
		r.bad = true;
	rc = wire_child_get(&r, &m->child, m->note_len, &copy);
	if (rc < 0)
		return rc;
	if (m->note_len > 0)
		memcpy(copy, note, m->note_len);
	m->note = copy;
	return 0;
}

void wire_spawn_free(struct wire_spawn *m)
{
	mem_free(m->child.memory_);
	*m = (struct wire_spawn){0};
}

void wire_encode_stop(struct buf *b, const struct wire_stop *m)
{
	size_t at = field_begin(b, WIRE_STOP);

	field_put_key(b, &m->key);
	field_put_i32(b, m->signal);
	field_put_i64(b, m->grace_ms);
	field_end(b, at);
}

int wire_decode_stop(const uint8_t *body, size_t len, struct wire_stop *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_stop){0};
	field_get_key(&r, &m->key);
	m->signal = field_get_signal(&r, 0);
	m->grace_ms = field_get_i64(&r);
	if (m->grace_ms < -1)
		r.bad = true;
	return field_check(&r);
}

void wire_encode_signal(struct buf *b, const struct wire_key *key, int32_t signal)
{
	size_t at = field_begin(b, WIRE_SIGNAL);

	field_put_key(b, key);
	field_put_i32(b, signal);
	field_end(b, at);
}

int wire_decode_signal(const uint8_t *body, size_t len, struct wire_key *key, int32_t *signal)
{
	struct field_reader r = {.p = body, .left = len};

	field_get_key(&r, key);
	*signal = field_get_signal(&r, 1);
	return field_check(&r);
}

void wire_encode_note(struct buf *b, const struct wire_key *key, const uint8_t *note, uint32_t len)
{
	size_t at = field_begin(b, WIRE_NOTE);

	field_put_key(b, key);
	field_put_blob(b, note, len);
	field_end(b, at);
}

int wire_decode_note(const uint8_t *body, size_t len, struct wire_key *key, const uint8_t **note,
		     uint32_t *note_len)
{
	struct field_reader r = {.p = body, .left = len};

	field_get_key(&r, key);
	*note = field_get_blob(&r, WIRE_NOTE_MAX, note_len);
	return field_check(&r);
}

void wire_encode_ack(struct buf *b, const struct wire_key *key, uint64_t seq)
{
	size_t at = field_begin(b, WIRE_ACK);

	field_put_key(b, key);
	field_put_u64(b, seq);
	field_end(b, at);
}

int wire_decode_ack(const uint8_t *body, size_t len, struct wire_key *key, uint64_t *seq)
{
	struct field_reader r = {.p = body, .left = len};

	field_get_key(&r, key);
	*seq = field_get_u64(&r);
	return field_check(&r);
}

void wire_encode_key(struct buf *b, enum wire_type type, const struct wire_key *key)
{
	size_t at = field_begin(b, type);

	field_put_key(b, key);
	field_end(b, at);
}

int wire_decode_key(const uint8_t *body, size_t len, struct wire_key *key)
{
	struct field_reader r = {.p = body, .left = len};

	field_get_key(&r, key);
	return field_check(&r);
}

void wire_encode_stream(struct buf *b, const struct wire_stream *m)
{
	size_t at = field_begin(b, WIRE_STREAM);

	field_put_key(b, &m->key);
	field_put_u32(b, m->intent_index);
	field_put_logs(b, &m->logs);
	field_put_u8(b, m->gone);
	field_end(b, at);
}

int wire_decode_stream(const uint8_t *body, size_t len, struct wire_stream *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_stream){0};
	field_get_key(&r, &m->key);
	m->intent_index = field_get_u32(&r);
	field_get_logs(&r, &m->logs);
	m->gone = field_get_bool(&r);
	if (m->key.incarnation[0] == '\0')
		r.bad = true;
	return field_check(&r);
}

void wire_encode_status(struct buf *b, const struct wire_status *m)
{
	size_t at = field_begin(b, WIRE_STATUS);

	field_put_u8(b, m->mode);
	field_put_i32(b, m->logger_pid);
	field_put_u32(b, m->controller_restarts);
	field_put_u32(b, m->logger_restarts);
	field_put_i32(b, m->gateway_pid);
	field_put_u32(b, m->gateway_restarts);
	field_put_u32(b, m->gateway_threads);
	field_put_u32(b, m->gateways_leaving);
	field_put_u32(b, m->slots);
	field_put_u32(b, m->cgroup_can);
	field_put_array(b, m->cgroup_dir, sizeof(m->cgroup_dir));
	field_put_i64(b, m->started_wall_ms);
	field_put_u32(b, m->adopted);
	field_put_u32(b, m->refusals);
	field_put_array(b, m->refusal, sizeof(m->refusal));
	field_end(b, at);
}

int wire_decode_status(const uint8_t *body, size_t len, struct wire_status *m)
{
	struct field_reader r = {.p = body, .left = len};

	m->mode = field_get_u8(&r);
	m->logger_pid = field_get_i32(&r);
	m->controller_restarts = field_get_u32(&r);
	m->logger_restarts = field_get_u32(&r);
	m->gateway_pid = field_get_i32(&r);
	m->gateway_restarts = field_get_u32(&r);
	m->gateway_threads = field_get_u32(&r);
	m->gateways_leaving = field_get_u32(&r);
	m->slots = field_get_u32(&r);
	m->cgroup_can = field_get_u32(&r);
	field_get_array(&r, m->cgroup_dir, sizeof(m->cgroup_dir));
	m->started_wall_ms = field_get_i64(&r);
	m->adopted = field_get_u32(&r);
	m->refusals = field_get_u32(&r);
	field_get_array(&r, m->refusal, sizeof(m->refusal));
	if (m->mode >= WIRE_MODE_MAX_)
		r.bad = true;
	return field_check(&r);
}

void wire_encode_u32(struct buf *b, enum wire_type type, uint32_t value)
{
	size_t at = field_begin(b, type);

	field_put_u32(b, value);
	field_end(b, at);
}

int wire_decode_u32(const uint8_t *body, size_t len, uint32_t *value)
{
	struct field_reader r = {.p = body, .left = len};

	*value = field_get_u32(&r);
	return field_check(&r);
}

void wire_encode_empty(struct buf *b, enum wire_type type)
{
	field_end(b, field_begin(b, type));
}

void wire_encode_again(struct buf *b, const struct wire_packet *p)
{
	size_t at = field_begin(b, p->type);

	buf_append(b, p->body, p->len);
	field_end(b, at);
}

/* ---- transport ---- */

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
};

static int make_memfd(const void *body, size_t len)
{
	_cleanup_close_ int fd =
		memfd_create("aictl-wire", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	int r;

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("aictl-wire", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	r = fs_write_all(fd, body, len);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int send_once(int fd, struct iovec *iov, size_t n_iov, const int *fds, unsigned n_fds)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n_iov};
	union control control = {0};
	struct cmsghdr *c;

	if (n_fds > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	while (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
		case ENOBUFS:
		case ETOOMANYREFS:
			return -EAGAIN;
		case EPIPE:
		case ECONNRESET:
		case ENOTCONN:
		case ECONNREFUSED:
			return -EPIPE;
		default:
			return -errno;
		}
	}
	return 0;
}

int wire_send(int fd, const struct buf *b, const int *fds, unsigned n_fds)
{
	_cleanup_close_ int memfd = -1;
	uint8_t head[WIRE_HEADER_SIZE];
	int all[WIRE_FDS_MAX];
	struct iovec iov[2];
	size_t len;

	if (b->failed)
		return -ENOMEM;
	if (b->len < WIRE_HEADER_SIZE || n_fds > WIRE_FDS_MAX)
		return -EINVAL;
	len = b->len - WIRE_HEADER_SIZE;
	memcpy(head, b->data, sizeof(head));
	if (n_fds > 0)
		memcpy(all, fds, n_fds * sizeof(int));
	iov[0] = (struct iovec){.iov_base = head, .iov_len = sizeof(head)};
	iov[1] = (struct iovec){.iov_base = b->data + WIRE_HEADER_SIZE, .iov_len = len};
	if (len <= WIRE_INLINE_MAX)
		return send_once(fd, iov, 2, all, n_fds);
	if (n_fds == WIRE_FDS_MAX || len > WIRE_BODY_MAX)
		return -EINVAL;
	memfd = make_memfd(b->data + WIRE_HEADER_SIZE, len);
	if (memfd < 0)
		return memfd;
	head[6] = WIRE_F_MEMFD;
	all[n_fds] = memfd;
	return send_once(fd, iov, 1, all, n_fds + 1);
}

/* Takes every descriptor of msg into p. -EBADMSG when there are more than fit. */
static int take_fds(struct msghdr *msg, struct wire_packet *p)
{
	int r = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(got));
			if (p->n_fds < WIRE_FDS_MAX) {
				p->fds[p->n_fds++] = got;
			} else {
				close(got);
				r = -EBADMSG;
			}
		}
	}
	return r;
}

/* Maps the body in the last descriptor after checking that nobody can change it any more. */
static int map_memfd(struct wire_packet *p, size_t len)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int seals;

	if (p->n_fds == 0 || len == 0)
		return -EBADMSG;
	fd = p->fds[--p->n_fds];
	p->fds[p->n_fds] = -1;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size < 0 ||
	    (uint64_t)st.st_size != len)
		return -EBADMSG;
	p->map_ = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p->map_ == MAP_FAILED) {
		p->map_ = NULL;
		return -errno;
	}
	p->map_len_ = len;
	p->body = p->map_;
	return 0;
}

static int parse_packet(struct wire_packet *p, size_t got)
{
	struct field_reader r = {.p = p->data_, .left = got};
	uint32_t magic = field_get_u32(&r), type = (uint32_t)field_get_le(&r, 2);
	uint32_t flags = (uint32_t)field_get_le(&r, 2), len = field_get_u32(&r),
		 zero = field_get_u32(&r);

	if (r.bad || magic != WIRE_MAGIC || type == 0 || type >= WIRE_TYPE_MAX_ ||
	    (flags & ~(uint32_t)WIRE_F_MEMFD) || len > WIRE_BODY_MAX || zero != 0)
		return -EBADMSG;
	p->type = (enum wire_type)type;
	p->len = len;
	p->body = p->data_ + WIRE_HEADER_SIZE;
	if (flags & WIRE_F_MEMFD)
		return r.left == 0 ? map_memfd(p, len) : -EBADMSG;
	return r.left == len ? 0 : -EBADMSG;
}

int wire_recv(int fd, struct wire_packet *p)
{
	struct iovec iov = {.iov_base = p->data_, .iov_len = sizeof(p->data_)};
	union control control;
	struct msghdr msg;
	unsigned resets = 0;
	ssize_t n;
	int r;

	p->n_fds = 0;
	p->map_ = NULL;
	p->body = NULL;
	p->len = p->map_len_ = 0;
	for (unsigned i = 0; i < WIRE_FDS_MAX; i++)
		p->fds[i] = -1;
	do {
		msg = (struct msghdr){.msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = &control,
				      .msg_controllen = sizeof(control)};
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		/* A peer that died with unread packets gives one ECONNRESET before what it sent. */
	} while (n < 0 && (errno == EINTR || (errno == ECONNRESET && resets++ < 2)));
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : errno == ECONNRESET ? 0 : -errno;
	r = take_fds(&msg, p);
	if (n == 0 && p->n_fds == 0)
		return 0;
	if (r == 0)
		r = msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EBADMSG
							     : parse_packet(p, (size_t)n);
	if (r < 0) {
		wire_packet_done(p);
		return r;
	}
	return 1;
}

void wire_packet_done(struct wire_packet *p)
{
	for (unsigned i = 0; i < p->n_fds; i++)
		mem_closep(&p->fds[i]);
	p->n_fds = 0;
	if (p->map_)
		munmap(p->map_, p->map_len_);
	p->map_ = NULL;
	p->map_len_ = p->len = 0;
	p->body = NULL;
}

/* ---- keys and names ---- */

bool wire_key_same_slot(const struct wire_key *a, const struct wire_key *b)
{
	return a->index == b->index && strcmp(a->service, b->service) == 0;
}

bool wire_key_equal(const struct wire_key *a, const struct wire_key *b)
{
	return wire_key_same_slot(a, b) && strcmp(a->incarnation, b->incarnation) == 0;
}

const char *wire_type_name(enum wire_type type)
{
	return (unsigned)type < WIRE_TYPE_MAX_ ? type_names[type] : "?";
}

const char *wire_stage_name(enum wire_stage stage)
{
	return (unsigned)stage < WIRE_STAGE_MAX_ ? stage_names[stage] : "?";
}

const char *wire_failure_name(char out[WIRE_FAILURE_SIZE], int stage, int what)
{
	const char *name = what > 0 && what < WIRE_WHAT_MAX_ ? what_names[what] : NULL;

	if (what >= WIRE_WHAT_RUNTIME && name) { /* a unit has no stages */
		snprintf(out, WIRE_FAILURE_SIZE, "%s", name);
		return out;
	}
	snprintf(out, WIRE_FAILURE_SIZE, "%s%s%s", wire_stage_name((enum wire_stage)stage),
		 name ? ": " : "", name ? name : "");
	return out;
}
