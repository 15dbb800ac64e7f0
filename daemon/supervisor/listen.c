/* listen: see listen.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/gateway.h"
#include "daemon/supervisor/giveback.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/wire/wire.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"

/* ---- sockets ---- */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Its length, or 0: not numeric. */
static socklen_t fill_address(const struct wire_listen_at *at, union address *a)
{
	*a = (union address){0};
	if (inet_pton(AF_INET, at->address, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons(at->port);
		return sizeof(a->v4);
	}
	if (inet_pton(AF_INET6, at->address, &a->v6.sin6_addr) != 1)
		return 0;
	a->v6.sin6_family = AF_INET6;
	a->v6.sin6_port = htons(at->port);
	return sizeof(a->v6);
}

/* The descriptor, or -errno. */
static int open_socket(const struct wire_listen_at *at)
{
	const int on = 1;
	union address a;
	socklen_t len = fill_address(at, &a);
	int fd, r;

	if (len == 0)
		return -EINVAL;
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (a.any.sa_family != AF_INET6 ||
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, &a.any, len) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/* Does fd listen there? Who gives back is a process of its own. */
static bool listens_at(int fd, const struct wire_listen_at *at)
{
	union address want, have = {0};
	socklen_t len = sizeof(have), want_len = fill_address(at, &want);
	int accepts = 0;
	socklen_t n = sizeof(accepts);

	if (want_len == 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &n) < 0 ||
	    !accepts || getsockname(fd, &have.any, &len) < 0 ||
	    have.any.sa_family != want.any.sa_family)
		return false;
	if (want.any.sa_family == AF_INET)
		return have.v4.sin_port == want.v4.sin_port &&
		       have.v4.sin_addr.s_addr == want.v4.sin_addr.s_addr;
	return have.v6.sin6_port == want.v6.sin6_port &&
	       memcmp(&have.v6.sin6_addr, &want.v6.sin6_addr, sizeof(have.v6.sin6_addr)) == 0;
}

/* ---- the list ---- */

static struct listener *find(const struct listens *all, const struct wire_listen_at *at)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->list[i].at.port == at->port &&
		    strcmp(all->list[i].at.address, at->address) == 0)
			return &all->list[i];
	return NULL;
}

static struct listener *add(struct listens *all, const struct wire_listen_at *at)
{
	if (mem_grow(&all->list, &all->cap, all->n + 1, sizeof(*all->list)) < 0)
		return NULL;
	all->list[all->n] = (struct listener){.at = *at, .fd = -1};
	return &all->list[all->n++];
}

/* Before it is closed. */
static void unwatch(struct supervisor *sup, struct listener *l)
{
	if (l->hangup)
		loop_del(&sup->loop, l->hangup);
	mem_free(l->hangup);
	l->hangup = NULL;
}

static void remove_at(struct supervisor *sup, size_t i)
{
	struct listens *all = &sup->listens;

	unwatch(sup, &all->list[i]);
	mem_closep(&all->list[i].fd);
	memmove(&all->list[i], &all->list[i + 1], (all->n - i - 1) * sizeof(*all->list));
	all->n--;
}

static void opened(struct supervisor *sup, struct listener *l, int fd)
{
	l->fd = fd;
	l->err = 0;
	l->delay_ms = 0;
	l->on_due = true;
	sup->listens.told_due = true;
}

static void shut(struct supervisor *sup, struct listener *l)
{
	unwatch(sup, l);
	mem_closep(&l->fd);
	l->on_due = false;
	l->off_due = l->told;
}

/* What nobody wants, and no gateway is to hear about. */
static void forget_unwanted(struct supervisor *sup)
{
	struct listens *all = &sup->listens;

	for (size_t i = all->n; i-- > 0;)
		if (!all->list[i].wanted && !all->list[i].off_due)
			remove_at(sup, i);
}

/* ---- opening ---- */

static void say_failure(const struct listener *l)
{
	errno = l->err;
	log_warn("address=%s port=%u cannot listen: %m%s", l->at.address, l->at.port,
		 l->err == ENOPKG ? " (aictl-gateway or its user)" : ", trying again");
}

/* "::" without IPV6_V6ONLY takes IPv4 in, too. */
static bool covers(int fd, const struct wire_listen_at *at)
{
	struct wire_listen_at all = {.address = "::", .port = at->port};
	int v6only = 1;
	socklen_t n = sizeof(v6only);

	return strcmp(at->address, "0.0.0.0") == 0 && listens_at(fd, &all) &&
	       getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &n) == 0 && !v6only;
}

/* A copy of one that we were started with; -1 = there is none. */
static int find_given(const struct supervisor *sup, const struct wire_listen_at *at)
{
	const struct activation *a = &sup->activation;

	for (int i = 0; i < a->n_ports; i++)
		if (listens_at(a->ports[i], at) || covers(a->ports[i], at))
			return fcntl(a->ports[i], F_DUPFD_CLOEXEC, SPAWN_LOW_FDS);
	return -1;
}

/*
 * A copy of a replica's descriptor, if it is a socket that we made: what others listen on there is
 * not ours to share. Its name is asked for first: it may be a file on a mount that hangs, and whoever
 * closes a copy of that waits for the disk. -1 = none.
 */
static int copy_of(const struct slot *s, int n)
{
	char path[40], name[32];
	int fd, domain;
	socklen_t size = sizeof(domain);
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", s->child.pid, n);
	if (readlink(path, name, sizeof(name)) < 8 || memcmp(name, "socket:[", 8) != 0)
		return -1;
	fd = pidfd_getfd(s->child.pidfd, n, 0);
	if (fd < 0)
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0) {
		log_error("replica=%s/%u has put something else for its socket: leaving it open",
			  s->t->service, s->t->index);
		return -1;
	}
	if (fstat(fd, &st) == 0 && (st.st_uid == geteuid() || st.st_uid == 0))
		return fd;
	close(fd);
	return -1;
}

/* It is in use, maybe by a replica that has it from a former aictld. A descriptor, or -EADDRINUSE. */
static int find_in_replicas(const struct supervisor *sup, const struct wire_listen_at *at)
{
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		const struct slot *s = sup->slots[i];

		for (int k = 0; s && child_is_alive(&s->child) && k < WIRE_SPAWN_LISTEN_MAX; k++) {
			int fd = copy_of(s, WIRE_LISTEN_FD + k);

			if (fd < 0)
				break;
			if (listens_at(fd, at)) {
				log_info("address=%s port=%u taken from replica=%s/%u", at->address,
					 at->port, s->t->service, s->t->index);
				return fd;
			}
			close(fd);
		}
	}
	return -EADDRINUSE;
}

static void try_open(struct supervisor *sup, struct listener *l, int64_t now)
{
	int fd = -ENOPKG;

	if (l->handed || !gateway_is_missing(sup)) {
		fd = find_given(sup, &l->at);
		if (fd < 0)
			fd = open_socket(&l->at);
	}
	if (fd == -EADDRINUSE && l->handed)
		fd = find_in_replicas(sup, &l->at);
	if (fd >= 0) {
		log_info("address=%s port=%u listening", l->at.address, l->at.port);
		opened(sup, l, fd);
		return;
	}
	if (l->err != -fd) {
		l->err = -fd;
		say_failure(l);
		sup->listens.told_due = true;
	}
	l->delay_ms = l->delay_ms * 2;
	if (l->delay_ms < LISTEN_AGAIN_MS)
		l->delay_ms = LISTEN_AGAIN_MS;
	if (l->delay_ms > LISTEN_AGAIN_MAX_MS)
		l->delay_ms = LISTEN_AGAIN_MAX_MS;
	l->next_mono_ms = now + l->delay_ms;
}

/* Opens what is due. True: there is one to serve. */
static bool open_missing(struct supervisor *sup)
{
	struct listens *all = &sup->listens;
	int64_t now = clock_mono_ms(), next = INT64_MAX;
	bool any = false;

	for (size_t i = 0; i < all->n; i++) {
		struct listener *l = &all->list[i];

		if (l->wanted && l->fd < 0 && now >= l->next_mono_ms)
			try_open(sup, l, now);
		if (l->wanted && l->fd < 0 && l->next_mono_ms < next)
			next = l->next_mono_ms;
		any |= l->fd >= 0;
	}
	if (next != INT64_MAX)
		loop_timer_arm(&sup->loop, &all->timer, next);
	else
		loop_timer_disarm(&sup->loop, &all->timer);
	return any;
}

void listen_poke(struct supervisor *sup)
{
	struct listens *all = &sup->listens;

	if (all->closed || !giveback_gateways_are_complete(sup))
		return;
	if (open_missing(sup))
		gateway_start(sup);
	link_flush(&sup->gateway.link);
	if (all->told_due)
		link_flush(&sup->controller.link);
}

static void on_timer(void *user)
{
	listen_poke(user);
}

/* ---- shut down by one who shares it ---- */

/* Who shut it down may have taken its place: then it is tried again as long as it hangs up. */
static void repair(struct supervisor *sup, struct listener *l)
{
	int accepts = 1, err = 0;
	socklen_t n = sizeof(accepts);

	if (getsockopt(l->fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &n) < 0)
		return;
	if (!accepts && listen(l->fd, LISTEN_BACKLOG) < 0)
		err = errno;
	if (!accepts && !err)
		log_warn("address=%s port=%u a replica has shut it down, listening again",
			 l->at.address, l->at.port);
	if (l->err == err)
		return;
	l->err = err;
	sup->listens.told_due = true;
	if (err)
		say_failure(l);
}

/* Not watched for a moment: who does that in a loop must not keep us busy. */
static void on_hangup(void *user, uint32_t events)
{
	struct supervisor *sup = user;
	struct listens *all = &sup->listens;

	(void)events;
	for (size_t i = 0; i < all->n; i++) {
		struct listener *l = &all->list[i];
		struct pollfd p = {.fd = l->fd};

		if (!l->hangup || poll(&p, 1, 0) != 1)
			continue;
		loop_del(&sup->loop, l->hangup);
		repair(sup, l);
	}
	if (all->told_due)
		link_flush(&sup->controller.link);
	if (!all->repaired.armed)
		loop_timer_arm(&sup->loop, &all->repaired, clock_mono_ms() + LISTEN_REPAIR_MS);
}

/* Only for its end: no connection wakes us. Without memory the next start repairs. */
static void watch(struct supervisor *sup, struct listener *l)
{
	if (!l->hangup && (l->hangup = mem_alloc(sizeof(*l->hangup))))
		*l->hangup = (struct loop_io){.fn = on_hangup, .user = sup};
	if (l->hangup && !loop_is_added(l->hangup))
		loop_add(&sup->loop, l->hangup, l->fd, 0);
}

static void on_repaired(void *user)
{
	struct supervisor *sup = user;

	for (size_t i = 0; i < sup->listens.n; i++)
		if (sup->listens.list[i].hangup && sup->listens.list[i].fd >= 0)
			watch(sup, &sup->listens.list[i]);
}

/* ---- what is asked for, what is given ---- */

int listen_ask(struct supervisor *sup, const struct wire_packet *p)
{
	struct listens *all = &sup->listens;
	struct wire_listen m;
	int r = wire_listen_decode(p->body, p->len, &m);

	if (r < 0)
		return r;
	for (size_t i = 0; i < all->n; i++)
		all->list[i].wanted = false;
	for (uint32_t i = 0; i < m.n; i++) {
		struct listener *l = find(all, &m.list[i].at);

		if (!l)
			l = add(all, &m.list[i].at);
		if (!l) {
			r = -ERR_NOMEM;
			continue;
		}
		l->wanted = true;
		l->handed = m.list[i].handed;
	}
	for (size_t i = 0; i < all->n; i++) {
		if (all->list[i].wanted && all->list[i].handed && all->list[i].fd >= 0)
			watch(sup, &all->list[i]);
		if (all->list[i].wanted || all->list[i].fd < 0)
			continue;
		log_info("address=%s port=%u closed", all->list[i].at.address,
			 all->list[i].at.port);
		shut(sup, &all->list[i]);
	}
	forget_unwanted(sup);
	all->asked = all->told_due = true;
	wire_listen_free(&m);
	listen_poke(sup);
	return r;
}

void listen_take(struct supervisor *sup, const struct wire_listen_at *at, int fd)
{
	struct listens *all = &sup->listens;
	bool ours = !all->closed && listens_at(fd, at);
	struct listener *l = ours ? find(all, at) : NULL;

	if (ours && !l && !all->asked && all->n < WIRE_LISTEN_MAX)
		l = add(all, at);
	if (!l || l->fd >= 0) { /* nobody wants it, or another one gave it */
		close(fd);
		return;
	}
	l->wanted = true;
	opened(sup, l, fd);
}

int listen_fd(const struct supervisor *sup, const struct wire_listen_at *at)
{
	const struct listener *l = find(&sup->listens, at);

	return l ? l->fd : -1;
}

int listen_need(struct supervisor *sup, const struct wire_listen_at *at)
{
	struct listens *all = &sup->listens;
	struct listener *l = find(all, at);

	if (all->closed)
		return -ESHUTDOWN;
	if (!giveback_gateways_are_complete(sup))
		return l && l->fd >= 0 ? 0 : -EAGAIN;
	if (!l && (l = add(all, at)))
		l->wanted = true;
	if (!l)
		return -ENOMEM;
	l->handed = true;
	if (l->fd < 0) {
		try_open(sup, l, clock_mono_ms());
		listen_poke(sup);
		l = find(all, at);
	}
	if (!l || l->fd < 0)
		return l && l->err ? -l->err : -EADDRNOTAVAIL;
	repair(sup, l);
	watch(sup, l);
	if (all->told_due)
		link_flush(&sup->controller.link);
	return -l->err;
}

void listen_close(struct supervisor *sup)
{
	struct listens *all = &sup->listens;

	all->closed = true;
	all->told_due = false;
	loop_timer_disarm(&sup->loop, &all->timer);
	loop_timer_disarm(&sup->loop, &all->repaired);
	while (all->n > 0)
		remove_at(sup, all->n - 1);
}

void listen_init(struct supervisor *sup)
{
	sup->listens.timer = (struct loop_timer){.fn = on_timer, .user = sup};
	sup->listens.repaired = (struct loop_timer){.fn = on_repaired, .user = sup};
}

void listen_done(struct supervisor *sup)
{
	listen_close(sup);
	mem_free(sup->listens.list);
	sup->listens.list = NULL;
}

/* ---- telling ---- */

void listen_connected(struct supervisor *sup)
{
	struct listens *all = &sup->listens;

	for (size_t i = 0; i < all->n; i++) {
		all->list[i].off_due = all->list[i].told = false;
		all->list[i].on_due = all->list[i].fd >= 0;
	}
	forget_unwanted(sup);
}

static bool send_at(struct link *l, int type, struct listener *m)
{
	buf_clear(&l->out);
	wire_listen_encode_at(&l->out, type, &m->at);
	return link_send(l, &m->fd, type == WIRE_LISTENER ? 1 : 0);
}

bool listen_flush(struct supervisor *sup, struct link *l)
{
	struct listens *all = &sup->listens;

	for (size_t i = 0; i < all->n; i++) {
		struct listener *m = &all->list[i];

		if (m->off_due) {
			if (!send_at(l, WIRE_LISTENER_OFF, m))
				return false;
			m->off_due = m->told = false;
		}
		if (m->on_due) {
			if (!send_at(l, WIRE_LISTENER, m))
				return false;
			m->on_due = false;
			m->told = true;
		}
	}
	forget_unwanted(sup);
	return true;
}

bool listen_flush_state(struct supervisor *sup, struct link *l)
{
	struct listens *all = &sup->listens;
	struct wire_listen m = {0};
	bool sent;

	if (!all->told_due || !all->asked || !giveback_gateways_are_complete(sup))
		return true;
	if (all->n > 0 && !(m.list = mem_array(all->n, sizeof(*m.list))))
		return true; /* with the next flush */
	for (size_t i = 0; i < all->n; i++)
		if (all->list[i].wanted)
			m.list[m.n++] = (struct wire_listen_state){.at = all->list[i].at,
								   .err = all->list[i].err};
	buf_clear(&l->out);
	wire_listen_encode(&l->out, WIRE_LISTENING, &m);
	sent = link_send(l, NULL, 0);
	all->told_due = !sent;
	mem_free(m.list);
	return sent;
}
