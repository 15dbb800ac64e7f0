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

static void close_conn(struct giveback_logger *l)
{
	loop_del(&l->sup->loop, &l->conn_io);
	mem_closep(&l->conn_fd);
}

static void expect_no_more(struct giveback_logger *l)
{
	if (l->ended)
		return;
	l->ended = true;
	adopt_poke(l->sup);
}

bool giveback_is_complete(const struct supervisor *sup)
{
	for (int i = 0; i < GIVEBACK_LOGGERS; i++)
		if (sup->giveback.loggers[i].pid > 0 && !sup->giveback.loggers[i].ended)
			return false;
	return true;
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
	_cleanup_close_ int info = -1;
	int64_t found;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	n = info < 0 ? -1 : read(info, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
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
	if (!s->missing || !is_pidfd_of(*fd, s->t->cell.pid))
		return;
	if (slot_adopt(s, TAKE_FD(*fd), false) < 0)
		slot_lost(s);
}

static void take_stream(struct giveback_logger *l, struct slot *s, const struct wire_give_back *m,
			int pipes[2])
{
	bool owner = table_owner(&l->sup->table) == l->pid;
	int r = stream_adopt(s, &m->stream, pipes, owner);

	if (r < 0)
		log_error("replica=%s/%u errno=%d its output cannot be kept", s->t->service,
			  s->t->index, -r);
}

/* fds: stdout, stderr, pidfd; -1 = not given. What is left in it is closed by the caller. */
static void take(struct giveback_logger *l, const struct wire_give_back *m, int fds[3])
{
	const struct wire_key *key = &m->stream.key;
	struct slot *s = slot_find(l->sup, key);
	bool current = s && slot_is_living(s) && strcmp(s->t->incarnation, key->incarnation) == 0;
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
	else if (strcmp(s->t->incarnation, key->incarnation) == 0)
		s->stream_due = false; /* stored to its end */
	if (current && fds[2] >= 0)
		take_pidfd(s, &fds[2]);
}

static int on_give_back(struct giveback_logger *l, struct wire_packet *p)
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

static int on_packet(struct giveback_logger *l, struct wire_packet *p)
{
	struct wire_join m;

	if (p->type == WIRE_JOIN) {
		if (wire_giveback_decode_join(p->body, p->len, &m) < 0 ||
		    m.role != WIRE_ROLE_LOGGER)
			return -EBADMSG;
		l->joined = true;
		POINT("aictld.giveback.joined");
		log_info("logger pid=%d version=%.31s gives back", l->pid, m.version);
		return 0;
	}
	if (!l->joined)
		return -EBADMSG;
	if (p->type == WIRE_GIVE_BACK)
		return on_give_back(l, p);
	if (p->type == WIRE_GIVE_BACK_END) {
		POINT("aictld.giveback.ended");
		expect_no_more(l);
	}
	return 0; /* others: of a later build */
}

/* False: nothing more for now. */
static bool read_one(struct giveback_logger *l)
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
		log_error("logger pid=%d errno=%d what it gives back makes no sense", l->pid, -r);
	close_conn(l);
	if (r < 0 && l->pidfd >= 0) { /* it still has pipes, and would keep them */
		adopt_hold_pipes(l->sup);
		pidfd_send_signal(l->pidfd, SIGKILL, NULL, 0);
	}
	expect_no_more(l);
	return false;
}

static void on_conn(void *user, uint32_t events)
{
	struct giveback_logger *l = user;

	(void)events;
	for (int i = 0; i < READ_MAX && l->conn_fd >= 0 && read_one(l); i++)
		;
}

static void on_logger_gone(void *user, uint32_t events)
{
	struct giveback_logger *l = user;

	(void)events;
	while (l->conn_fd >= 0 && read_one(l)) /* what it sent before is ours */
		;
	log_debug("former logger pid=%d ended", l->pid);
	loop_del(&l->sup->loop, &l->pidfd_io);
	mem_closep(&l->pidfd);
	expect_no_more(l);
}

/* ---- coming in ---- */

static struct giveback_logger *find_peer(struct supervisor *sup, int fd)
{
	uid_t uid = sup->dirs.logger.set ? sup->dirs.logger.uid : geteuid();
	struct sock_peer peer;

	if (sock_peer(fd, &peer) < 0 || (peer.uid != uid && peer.uid != geteuid()))
		return NULL;
	for (int i = 0; i < GIVEBACK_LOGGERS; i++) {
		struct giveback_logger *l = &sup->giveback.loggers[i];

		if (l->pid > 0 && l->pid == peer.pid && l->pidfd >= 0 && l->conn_fd < 0 &&
		    !l->joined)
			return l;
	}
	return NULL;
}

static void on_listen(void *user, uint32_t events)
{
	struct supervisor *sup = user;
	int fd = accept4(sup->giveback.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct giveback_logger *l = fd < 0 ? NULL : find_peer(sup, fd);

	(void)events;
	if (fd < 0)
		return;
	if (!l || loop_add(&sup->loop, &l->conn_io, fd, EPOLLIN) < 0) {
		log_warn("somebody who is no logger of ours connected to " NAME ", ignoring");
		close(fd);
		return;
	}
	l->conn_fd = fd;
}

static void on_timer(void *user)
{
	struct supervisor *sup = user;
	bool again = false;

	adopt_hold_pipes(sup);
	for (int i = 0; i < GIVEBACK_LOGGERS; i++) {
		struct giveback_logger *l = &sup->giveback.loggers[i];

		if (l->pid <= 0 || l->ended)
			continue;
		if (l->killed || l->pidfd < 0) {
			log_error("logger pid=%d SIGKILL does not end it, going on", l->pid);
			expect_no_more(l);
			continue;
		}
		log_warn("logger pid=%d does not give back in time, killing it", l->pid);
		l->killed = again = true;
		pidfd_send_signal(l->pidfd, SIGKILL, NULL, 0);
	}
	if (again)
		loop_timer_arm(&sup->loop, &sup->giveback.timer,
			       clock_mono_ms() + GIVEBACK_KILL_MS);
}

/* ---- life ---- */

static int listen_here(struct supervisor *sup, struct err **reterr)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_sys(reterr, errno, "cannot make a socket");
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/" NAME, sup->dirs.sup_fd);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    fchmodat(sup->dirs.sup_fd, NAME, 0666, 0) < 0 || listen(fd, BACKLOG) < 0) {
		err_sys(reterr, errno, "cannot listen at sup/" NAME);
		close(fd);
		return -ERR_SYS;
	}
	sup->giveback.listen_fd = fd;
	return 0;
}

static bool find_logger(struct supervisor *sup, struct giveback_logger *l,
			const struct table_helper *h)
{
	if (h->pid <= 1 || h->start_ticks == 0)
		return false;
	l->pidfd = proc_open(h->pid, h->start_ticks, 0);
	if (l->pidfd < 0)
		return false;
	l->sup = sup;
	l->pid = h->pid;
	l->pidfd_io = (struct loop_io){.fn = on_logger_gone, .user = l};
	l->conn_io = (struct loop_io){.fn = on_conn, .user = l};
	return true;
}

int giveback_init(struct supervisor *sup, struct err **reterr)
{
	struct giveback *g = &sup->giveback;
	bool any = false;

	unlinkat(sup->dirs.sup_fd, NAME, 0);
	for (int i = 0; i < GIVEBACK_LOGGERS && sup->table.former; i++)
		any |= find_logger(sup, &g->loggers[i], &sup->table.header->loggers[i]);
	return any ? listen_here(sup, reterr) : 0;
}

void giveback_begin(struct supervisor *sup)
{
	struct giveback *g = &sup->giveback;

	if (g->listen_fd < 0)
		return;
	g->listen_io = (struct loop_io){.fn = on_listen, .user = sup};
	g->timer = (struct loop_timer){.fn = on_timer, .user = sup};
	loop_timer_arm(&sup->loop, &g->timer, clock_mono_ms() + GIVEBACK_MS);
	if (loop_add(&sup->loop, &g->listen_io, g->listen_fd, EPOLLIN) < 0)
		log_error("cannot watch sup/" NAME);
	for (int i = 0; i < GIVEBACK_LOGGERS; i++) {
		struct giveback_logger *l = &g->loggers[i];

		if (l->pid > 0 && loop_add(&sup->loop, &l->pidfd_io, l->pidfd, EPOLLIN) < 0)
			log_error("logger pid=%d cannot be watched", l->pid);
	}
}

void giveback_quit(struct supervisor *sup)
{
	for (int i = 0; i < GIVEBACK_LOGGERS; i++) {
		struct giveback_logger *l = &sup->giveback.loggers[i];
		struct buf b = {0};

		if (l->conn_fd < 0 || !l->ended)
			continue;
		POINT("aictld.giveback.quitting");
		wire_encode_empty(&b, WIRE_QUIT);
		if (!b.failed && wire_send(l->conn_fd, &b, NULL, 0) == 0)
			close_conn(l);
		buf_done(&b);
	}
	if (giveback_is_complete(sup))
		stop_listening(sup);
}

void giveback_done(struct supervisor *sup)
{
	struct giveback *g = &sup->giveback;

	stop_listening(sup);
	loop_timer_disarm(&sup->loop, &g->timer);
	for (int i = 0; i < GIVEBACK_LOGGERS; i++) {
		struct giveback_logger *l = &g->loggers[i];

		if (l->pid <= 0)
			continue;
		close_conn(l);
		loop_del(&sup->loop, &l->pidfd_io);
		mem_closep(&l->pidfd);
	}
}
