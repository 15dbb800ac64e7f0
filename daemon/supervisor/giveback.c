/* giveback: see giveback.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/giveback.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/supervisor/helpers.h"
#include "daemon/supervisor/launch.h"
#include "daemon/supervisor/listen.h"
#include "daemon/supervisor/proc.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/point.h"
#include "lib/sock.h"

#define NAME "sup.sock"
#define BACKLOG 4
#define READ_MAX 64 /* packets in one round */

/* ---- who is expected ---- */

static void close_conn(struct giveback_peer *l)
{
	loop_del(&l->sup->loop, &l->conn_io);
	mem_closep(&l->conn_fd);
}

static bool is_gateway(const struct giveback_peer *l)
{
	return l->role == WIRE_ROLE_GATEWAY;
}

static const char *role_name(const struct giveback_peer *l)
{
	return is_gateway(l) ? "gateway" : "logger";
}

static void expect_no_more(struct giveback_peer *l, bool complete)
{
	if (l->ended)
		return;
	l->ended = true;
	if (is_gateway(l)) {
		listen_poke(l->sup);
		launch_resume_all(l->sup);
		return;
	}
	l->sup->giveback.cut_short |= !complete;
	adopt_poke(l->sup);
}

static bool are_complete(const struct supervisor *sup, uint32_t role)
{
	for (int i = 0; i < GIVEBACK_PEERS; i++) {
		const struct giveback_peer *l = &sup->giveback.peers[i];

		if (l->role == role && l->pid > 0 && !l->ended)
			return false;
	}
	return true;
}

bool giveback_is_complete(const struct supervisor *sup)
{
	return are_complete(sup, WIRE_ROLE_LOGGER);
}

bool giveback_gateways_are_complete(const struct supervisor *sup)
{
	return are_complete(sup, WIRE_ROLE_GATEWAY);
}

static void stop_listening(struct supervisor *sup)
{
	struct giveback *g = &sup->giveback;

	if (g->listen_fd < 0)
		return;
	loop_del(&sup->loop, &g->listen_io);
	mem_closep(&g->listen_fd);
	unlinkat(sup->dirs.sup_fd, NAME, 0);
}

/* ---- what they bring ---- */

/* Is fd a pidfd of that process? One that is reaped has no pid any more, and harms nobody. */
static bool is_pidfd_of(int fd, int pid)
{
	char path[40], text[512], *at;
	int64_t found;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (!proc_read(path, text, sizeof(text)))
		return false;
	at = strstr(text, "\nPid:\t");
	if (!at)
		return false;
	at += strlen("\nPid:\t");
	at[strcspn(at, "\n")] = '\0';
	return parse_i64(at, -1, INT32_MAX, &found, NULL) == 0 && (found == pid || found == -1);
}

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* Takes the pidfd when it tells what we could not learn by ourselves. */
static void take_pidfd(struct slot *s, int *fd)
{
	if (!s->missing || push_main_pid(s) || !is_pidfd_of(*fd, s->t->cell.pid))
		return;
	if (slot_adopt(s, TAKE_FD(*fd), false) < 0)
		slot_lost(s);
}

static void take_stream(struct giveback_peer *l, struct slot *s, const struct wire_give_back *m,
			int pipes[2])
{
	bool owner = table_owner(&l->sup->table) == l->pid;
	int r = stream_adopt(s, &m->stream, pipes, owner);

	if (r < 0)
		log_error("replica=%s/%u errno=%d its output cannot be kept", s->t->service,
			  s->t->index, -r);
}

/* fds: stdout, stderr, pidfd; -1 = not given. What is left in it is closed by the caller. */
static void take(struct giveback_peer *l, const struct wire_give_back *m, int fds[3])
{
	const struct wire_key *key = &m->stream.key;
	struct slot *s = slot_find(l->sup, key);
	bool is_last = s && strcmp(s->t->incarnation, key->incarnation) == 0;
	bool current = is_last && slot_is_living(s);
	bool pipes = fds[0] >= 0 || fds[1] >= 0;

	log_debug("replica=%s/%u incarnation=%s fds=%u given back", key->service, key->index,
		  key->incarnation, m->fds);
	l->sup->giveback.n_given++;
	if (!s && pipes)
		log_warn("replica=%s/%u incarnation=%s given back, but unknown: its last output is "
			 "lost",
			 key->service, key->index, key->incarnation);
	if (!s)
		return;
	if (pipes || current) /* a living one without pipes has closed them */
		take_stream(l, s, m, fds);
	else if (is_last)
		s->stream_due = false; /* stored to its end */
	if (is_last && !pipes && !current)
		stream_drop_held(s);
	else if (is_last)
		s->held = 0;
	if (current && fds[2] >= 0)
		take_pidfd(s, &fds[2]);
}

static int on_give_back(struct giveback_peer *l, struct wire_packet *p)
{
	static const uint32_t bits[3] = {WIRE_GIVE_STDOUT, WIRE_GIVE_STDERR, WIRE_GIVE_PIDFD};
	struct wire_give_back m;
	int fds[3] = {-1, -1, -1}, r = wire_giveback_decode(p->body, p->len, &m);
	unsigned n = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		if (!(m.fds & bits[i]))
			continue;
		if (n == p->n_fds)
			r = -EBADMSG;
		else
			fds[i] = TAKE_FD(p->fds[n]);
		n++;
		if (r == 0 && i < 2 && !is_pipe(fds[i]))
			r = -EBADMSG;
	}
	POINT("aictld.giveback.received");
	if (r == 0)
		take(l, &m, fds);
	POINT("aictld.giveback.taken");
	for (int i = 0; i < 3; i++)
		mem_closep(&fds[i]);
	return r;
}

/* To one that has given back. */
static bool send_quit(struct giveback_peer *l)
{
	struct buf b = {0};
	bool sent;

	POINT("aictld.giveback.quitting");
	wire_encode_empty(&b, WIRE_QUIT);
	sent = !b.failed && wire_send(l->conn_fd, &b, NULL, 0) == 0;
	buf_done(&b);
	if (sent)
		close_conn(l);
	return sent;
}

/* First noted: it may be told twice, but not never. */
static void send_away(struct giveback_peer *l)
{
	if (is_gateway(l))
		helpers_note_gateway(l->sup, l->pid, TABLE_GATEWAY_LEAVES);
	if (send_quit(l) && is_gateway(l))
		log_info("gateway pid=%d has given back and leaves", l->pid);
}

static int on_give_listener(struct giveback_peer *l, struct wire_packet *p)
{
	struct wire_listen_at at;

	if (p->n_fds != 1 || wire_giveback_decode_listener(p->body, p->len, &at) < 0)
		return -EBADMSG;
	log_debug("address=%s port=%u given back", at.address, at.port);
	listen_take(l->sup, &at, TAKE_FD(p->fds[0]));
	POINT("aictld.giveback.listener");
	return 0;
}

static int on_join(struct giveback_peer *l, struct wire_packet *p)
{
	struct wire_join m;

	if (wire_giveback_decode_join(p->body, p->len, &m) < 0 || m.role != l->role)
		return -EBADMSG;
	l->joined = true;
	POINT("aictld.giveback.joined");
	log_info("%s pid=%d version=%.31s gives back", role_name(l), l->pid, m.version);
	return 0;
}

static int on_packet(struct giveback_peer *l, struct wire_packet *p)
{
	if (p->type == WIRE_JOIN)
		return on_join(l, p);
	if (!l->joined)
		return -EBADMSG;
	if (p->type == WIRE_GIVE_BACK && !is_gateway(l))
		return on_give_back(l, p);
	if (p->type == WIRE_GIVE_LISTENER && is_gateway(l))
		return on_give_listener(l, p);
	if (p->type == WIRE_GIVE_BACK_END) {
		POINT("aictld.giveback.ended");
		if (is_gateway(l) && !l->serves)
			send_away(l); /* its listeners are ours, and it has nothing else */
		expect_no_more(l, true);
	}
	return 0; /* others: of a later build */
}

/* False: nothing more for now. */
static bool read_one(struct giveback_peer *l)
{
	struct wire_packet *p = l->sup->packet;
	int r = wire_recv(l->conn_fd, p);

	if (r == -EAGAIN)
		return false;
	if (r > 0) {
		r = on_packet(l, p);
		wire_packet_done(p);
		if (r == 0)
			return true;
	}
	if (r < 0)
		log_error("%s pid=%d errno=%d what it gives back makes no sense", role_name(l),
			  l->pid, -r);
	close_conn(l);
	if (r < 0 && l->pidfd >= 0) { /* it still has what it has, and would keep it */
		adopt_hold_pipes(l->sup);
		pidfd_send_signal(l->pidfd, SIGKILL, NULL, 0);
	}
	expect_no_more(l, false);
	return false;
}

static void on_conn(void *user, uint32_t events)
{
	struct giveback_peer *l = user;

	(void)events;
	for (int i = 0; i < READ_MAX && l->conn_fd >= 0 && read_one(l); i++)
		;
}

static void on_gone(void *user, uint32_t events)
{
	struct giveback_peer *l = user;

	(void)events;
	while (l->conn_fd >= 0 && read_one(l)) /* what it sent before is ours */
		;
	log_debug("former %s pid=%d ended", role_name(l), l->pid);
	loop_del(&l->sup->loop, &l->pidfd_io);
	mem_closep(&l->pidfd);
	if (is_gateway(l)) {
		l->sup->control.status_due = true;
		link_flush(&l->sup->controller.link);
	}
	expect_no_more(l, false);
}

/* ---- coming in ---- */

static bool is_uid_of(const struct giveback_peer *l, uid_t uid)
{
	const struct dirs *d = &l->sup->dirs;
	const struct helper_user *u = is_gateway(l) ? &d->gateway : &d->logger;

	return uid == geteuid() || (u->set && uid == u->uid);
}

static struct giveback_peer *find_peer(struct supervisor *sup, int fd)
{
	struct sock_peer peer;

	if (sock_peer(fd, &peer) < 0)
		return NULL;
	for (int i = 0; i < GIVEBACK_PEERS; i++) {
		struct giveback_peer *l = &sup->giveback.peers[i];

		if (l->pid > 0 && l->pid == peer.pid && l->pidfd >= 0 && l->conn_fd < 0 &&
		    !l->joined && is_uid_of(l, peer.uid))
			return l;
	}
	return NULL;
}

static void on_listen(void *user, uint32_t events)
{
	struct supervisor *sup = user;
	int fd = accept4(sup->giveback.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct giveback_peer *l = fd < 0 ? NULL : find_peer(sup, fd);

	(void)events;
	if (fd < 0)
		return;
	if (!l || loop_add(&sup->loop, &l->conn_io, fd, EPOLLIN) < 0) {
		log_warn("somebody who is no helper of ours connected to " NAME ", ignoring");
		close(fd);
		return;
	}
	l->conn_fd = fd;
}

/* Its time is up. */
static void end_late(struct giveback_peer *l, int64_t now)
{
	if (l->killed || l->pidfd < 0) {
		log_error("%s pid=%d SIGKILL does not end it, going on", role_name(l), l->pid);
		expect_no_more(l, false);
		return;
	}
	log_warn("%s pid=%d does not give back in time, killing it", role_name(l), l->pid);
	if (!is_gateway(l))
		adopt_hold_pipes(l->sup);
	l->killed = true;
	l->deadline_mono_ms = now + GIVEBACK_KILL_MS;
	pidfd_send_signal(l->pidfd, SIGKILL, NULL, 0);
}

static void arm(struct supervisor *sup)
{
	int64_t next = INT64_MAX;

	for (int i = 0; i < GIVEBACK_PEERS; i++) {
		const struct giveback_peer *l = &sup->giveback.peers[i];

		if (l->pid > 0 && !l->ended && l->deadline_mono_ms < next)
			next = l->deadline_mono_ms;
	}
	if (next != INT64_MAX)
		loop_timer_arm(&sup->loop, &sup->giveback.timer, next);
}

static void on_timer(void *user)
{
	struct supervisor *sup = user;
	int64_t now = clock_mono_ms();

	for (int i = 0; i < GIVEBACK_PEERS; i++) {
		struct giveback_peer *l = &sup->giveback.peers[i];

		if (l->pid > 0 && !l->ended && now >= l->deadline_mono_ms)
			end_late(l, now);
	}
	arm(sup);
}

/* ---- life ---- */

static int listen_here(struct supervisor *sup)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/" NAME, sup->dirs.sup_fd);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    fchmodat(sup->dirs.sup_fd, NAME, 0666, 0) < 0 || listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	sup->giveback.listen_fd = fd;
	return loop_add(&sup->loop, &sup->giveback.listen_io, fd, EPOLLIN);
}

static void find_helper(struct supervisor *sup, struct giveback_peer *l,
			const struct table_helper *h)
{
	if (h->pid <= 1 || h->start_ticks == 0)
		return;
	l->pidfd = proc_open(h->pid, h->start_ticks, 0);
	if (l->pidfd >= 0 && proc_is_dead(h->pid)) /* though a disk may hold a thread of it */
		mem_closep(&l->pidfd);
	if (l->pidfd < 0)
		return;
	l->sup = sup;
	l->pid = h->pid;
	l->ended = h->state == TABLE_GATEWAY_LEAVES;
	l->serves = h->state == TABLE_GATEWAY_SERVES;
	l->pidfd_io = (struct loop_io){.fn = on_gone, .user = l};
	l->conn_io = (struct loop_io){.fn = on_conn, .user = l};
}

void giveback_init(struct supervisor *sup)
{
	struct giveback *g = &sup->giveback;

	unlinkat(sup->dirs.sup_fd, NAME, 0);
	for (int i = 0; i < GIVEBACK_PEERS; i++) {
		struct giveback_peer *l = &g->peers[i];
		int gateway = i - GIVEBACK_LOGGERS;

		l->role = gateway < 0 ? WIRE_ROLE_LOGGER : WIRE_ROLE_GATEWAY;
		if (!sup->table.former)
			continue;
		find_helper(sup, l,
			    gateway < 0 ? &sup->table.header->loggers[i]
					: &sup->table.header->gateways[gateway]);
	}
}

/* One that has died by now held nothing while the pipes were opened again: that was a gap. */
static bool expect(struct giveback_peer *l)
{
	if (l->pid <= 0)
		return false;
	if (!proc_lives(l->pidfd)) {
		mem_closep(&l->pidfd);
		l->pid = 0;
		return false;
	}
	if (loop_add(&l->sup->loop, &l->pidfd_io, l->pidfd, EPOLLIN) < 0)
		log_error("%s pid=%d cannot be watched", role_name(l), l->pid);
	l->deadline_mono_ms = clock_mono_ms() + (is_gateway(l) ? GIVEBACK_GATEWAY_MS : GIVEBACK_MS);
	return true;
}

void giveback_begin(struct supervisor *sup)
{
	struct giveback *g = &sup->giveback;
	bool any = false;
	int r;

	for (int i = 0; i < GIVEBACK_PEERS; i++)
		any |= expect(&g->peers[i]);
	if (!any)
		return;
	g->listen_io = (struct loop_io){.fn = on_listen, .user = sup};
	g->timer = (struct loop_timer){.fn = on_timer, .user = sup};
	arm(sup);
	r = listen_here(sup);
	if (r <
	    0) /* nobody can give back: the timer ends them, and what we opened ourselves stays */
		log_error("errno=%d cannot listen at sup/" NAME, -r);
}

static void quit_all(struct supervisor *sup, uint32_t role)
{
	for (int i = 0; i < GIVEBACK_PEERS; i++) {
		struct giveback_peer *l = &sup->giveback.peers[i];

		if (l->role != role || l->conn_fd < 0 || !l->ended)
			continue;
		send_away(l);
	}
	if (giveback_is_complete(sup) && are_complete(sup, WIRE_ROLE_GATEWAY))
		stop_listening(sup);
}

void giveback_quit(struct supervisor *sup)
{
	quit_all(sup, WIRE_ROLE_LOGGER);
}

void giveback_quit_gateways(struct supervisor *sup)
{
	quit_all(sup, WIRE_ROLE_GATEWAY);
}

void giveback_kill_gateways(struct supervisor *sup)
{
	for (int i = 0; i < GIVEBACK_PEERS; i++) {
		struct giveback_peer *l = &sup->giveback.peers[i];

		if (l->pid > 0 && is_gateway(l) && l->pidfd >= 0)
			pidfd_send_signal(l->pidfd, SIGKILL, NULL, 0);
	}
}

uint32_t giveback_count_gateways(const struct supervisor *sup)
{
	uint32_t n = 0;

	for (int i = 0; i < GIVEBACK_PEERS; i++)
		n += is_gateway(&sup->giveback.peers[i]) && sup->giveback.peers[i].pid > 0 &&
		     sup->giveback.peers[i].pidfd >= 0;
	return n;
}

void giveback_done(struct supervisor *sup)
{
	struct giveback *g = &sup->giveback;

	stop_listening(sup);
	loop_timer_disarm(&sup->loop, &g->timer);
	for (int i = 0; i < GIVEBACK_PEERS; i++) {
		struct giveback_peer *l = &g->peers[i];

		if (l->pid <= 0)
			continue;
		close_conn(l);
		loop_del(&sup->loop, &l->pidfd_io);
		mem_closep(&l->pidfd);
	}
}
