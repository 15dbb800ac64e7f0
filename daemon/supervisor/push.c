/* push: see push.h. All calls are on tmpfs or on sockets of our own. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/push.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/proc.h"
#include "daemon/supervisor/push_aside.h"
#include "daemon/supervisor/push_keep.h"
#include "daemon/supervisor/push_message.h"
#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/stream.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

#define MESSAGE_MAX 4096 /* as systemd's */
#define READ_MAX 16	 /* messages in one round: other sources get their turn */
#define STATUS_MS 200	 /* so long a new STATUS may wait for more */
#define NAME_SIZE 32
#define DROPS_SAID 5 /* of one process: it could fill our log otherwise */
#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- the directory ---- */

/* But those that are kept: a former aictld's are dead, and adoption makes what is needed anew. */
static void remove_all(int dir_fd, const struct push_keep *keep)
{
	int fd = openat(dir_fd, ".", OPEN_DIR);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.' && !push_keep_has(keep, e->d_name))
			unlinkat(dir_fd, e->d_name, 0);
	if (dir)
		closedir(dir);
	else
		mem_closep(&fd);
}

/* Beside the table, or where names of sockets there would be too long, in /dev/shm like a table whose
 * runtime directory is not on tmpfs. */
static char *find_dir(const struct supervisor *sup)
{
	char *dir = mem_printf("%s/notify", sup->table.dir);
	struct stat st;

	if (!dir || strlen(dir) + NAME_SIZE < sizeof(((struct sockaddr_un *)0)->sun_path) ||
	    fstat(sup->dirs.sup_fd, &st) < 0)
		return dir;
	mem_free(dir);
	return mem_printf("/dev/shm/aictl-%u-%llx-%llx-notify", geteuid(),
			  (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
}

int push_init(struct supervisor *sup, struct err **reterr)
{
	struct pushes *all = &sup->pushes;
	struct stat st;

	push_aside_init(sup);
	all->dir = find_dir(sup);
	if (!all->dir)
		return err_nomem(reterr);
	/* /dev/shm/aictl-...: services' users must get through, and see nothing. */
	if (sup->table.own_dir && sup->spawner.root && fchmod(sup->table.dir_fd, 0711) < 0)
		return err_sys(reterr, errno, "cannot set the mode of %s", sup->table.dir);
	if (mkdir(all->dir, 0711) < 0 && errno != EEXIST)
		return err_sys(reterr, errno, "cannot create %s", all->dir);
	all->dir_fd = open(all->dir, OPEN_DIR);
	if (all->dir_fd < 0 || fstat(all->dir_fd, &st) < 0)
		return err_sys(reterr, errno, "cannot open %s", all->dir);
	if (st.st_uid != geteuid() || st.st_mode & 022)
		return err_set(reterr, ERR_PERM, "%s belongs to somebody else, or others may write",
			       all->dir);
	push_keep_find(sup);
	remove_all(all->dir_fd, &all->keep);
	return 0;
}

void push_done(struct supervisor *sup, bool remove)
{
	struct pushes *all = &sup->pushes;

	push_keep_drop(sup);
	push_aside_done(sup);
	if (remove && all->dir_fd >= 0) {
		remove_all(all->dir_fd, &all->keep);
		unlinkat(AT_FDCWD, all->dir, AT_REMOVEDIR);
	}
	mem_closep(&all->dir_fd);
	mem_free(all->dir);
	all->dir = NULL;
}

/* The same for every process of a slot. */
static void socket_name(const struct slot *s, char name[NAME_SIZE])
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (const char *p = s->t->service; *p; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
	snprintf(name, NAME_SIZE, "%016llx.%u", (unsigned long long)h, s->t->index);
}

/* ---- levels ---- */

static void mark(struct push *p)
{
	control_mark(p->slot->sup, p->slot);
	link_flush(&p->slot->sup->controller.link);
}

static void mark_later(struct push *p)
{
	struct supervisor *sup = p->slot->sup;

	control_mark(sup, p->slot);
	if (!p->later.armed)
		loop_timer_arm(&sup->loop, &p->later, clock_mono_ms() + STATUS_MS);
}

/* Whatever only people read goes out with other things, or a moment later. */
static void tell(struct push *p, const struct table_push *before)
{
	const struct table_push *now = &p->slot->cold->push;

	if (now->flags != before->flags ||
	    now->extend_until_mono_ms != before->extend_until_mono_ms) {
		mark(p);
		return;
	}
	if (memcmp(now, before, sizeof(*now)) != 0)
		mark_later(p);
}

/* ---- the watchdog ---- */

static void set_deadline(struct push *p)
{
	p->deadline_mono_ms = clock_add(clock_mono_ms(), p->slot->cold->push.watchdog_ms);
}

/* A deadline that only moves away needs no timer to be moved: it looks again when it fires. */
static void serve(struct push *p)
{
	struct table_push *t = &p->slot->cold->push;

	if (t->watchdog_ms <= 0 || t->flags & WIRE_PUSH_EXPIRED)
		return;
	set_deadline(p);
	t->flags |= WIRE_PUSH_WATCHED;
	if (!p->watchdog.armed)
		loop_timer_arm(&p->slot->sup->loop, &p->watchdog, p->deadline_mono_ms);
}

static void rewatch(struct push *p)
{
	struct table_push *t = &p->slot->cold->push;

	loop_timer_disarm(&p->slot->sup->loop, &p->watchdog);
	if (t->watchdog_ms <= 0)
		t->flags &= ~(uint32_t)WIRE_PUSH_WATCHED;
	else if (t->flags & WIRE_PUSH_WATCHED)
		serve(p);
}

static void expire(struct push *p, const char *why)
{
	struct table_push *t = &p->slot->cold->push;

	if (t->flags & WIRE_PUSH_EXPIRED)
		return;
	log_warn("replica=%s/%u pid=%d %s", p->slot->t->service, p->slot->t->index,
		 p->slot->t->cell.pid, why);
	t->flags |= WIRE_PUSH_WATCHED | WIRE_PUSH_EXPIRED;
	loop_timer_disarm(&p->slot->sup->loop, &p->watchdog);
	POINT("aictld.push.expired");
	mark(p);
}

/* ---- another main process ---- */

static bool may_be_main(const struct slot *s, int pid)
{
	if (cgroup_exists(s))
		return cgroup_has_pid(s, pid);
	return getsid(pid) == (s->cold->push.leader > 0 ? s->cold->push.leader : s->t->cell.pid);
}

/* In an order that the next aictld understands at each step: push_restore_main. */
static void note_main(struct slot *s, int pid, uint64_t ticks)
{
	struct table_push *t = &s->cold->push;

	if (t->leader == 0)
		t->leader = s->t->cell.pid;
	__atomic_store_n(&t->main_pid, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&t->main_ticks, ticks, __ATOMIC_SEQ_CST);
	__atomic_store_n(&t->main_pid, pid, __ATOMIC_SEQ_CST);
	POINT("aictld.push.main");
	s->t->cell.pid = pid;
	s->t->start_ticks = ticks;
}

static void take_main_pid(struct push *p, int pid)
{
	struct slot *s = p->slot;
	_cleanup_close_ int pidfd = -1;
	uint64_t ticks;
	int r;

	p->main_pid_due = 0;
	if (pid == s->t->cell.pid)
		return;
	if (!child_has_execed(&s->child)) { /* another child still has a copy of its pipe */
		p->main_pid_due = pid;
		mark_later(p);
		return;
	}
	pidfd = pidfd_open(pid, 0);
	ticks = pidfd < 0 ? 0 : proc_start_ticks(pid);
	if (ticks == 0 || !may_be_main(s, pid) || !proc_lives(pidfd)) {
		if (s->cold->push.dropped++ < DROPS_SAID)
			log_warn("replica=%s/%u MAINPID=%d is no process of it, ignoring",
				 s->t->service, s->t->index, pid);
		mark_later(p);
		return;
	}
	log_info("replica=%s/%u pid=%d hands over to pid=%d", s->t->service, s->t->index,
		 s->t->cell.pid, pid);
	r = child_replace(&s->child, pid, TAKE_FD(pidfd));
	if (r < 0) {
		errno = -r;
		log_error("replica=%s/%u pid=%d cannot be watched: %m, ignoring MAINPID",
			  s->t->service, s->t->index, pid);
		return;
	}
	note_main(s, pid, ticks);
	mark(p);
}

static void on_later(void *user)
{
	struct push *p = user;

	child_look(&p->slot->child);
	if (p->main_pid_due > 0 && slot_is_living(p->slot))
		take_main_pid(p, p->main_pid_due);
	link_flush(&p->slot->sup->controller.link);
}

int push_main_pid(const struct slot *s)
{
	return s->t->cold_used ? s->cold->push.main_pid : 0;
}

void push_restore_main(struct slot *s)
{
	struct table_push *t = &s->cold->push;

	if (!s->t->cold_used || t->main_pid <= 1 || t->main_ticks == 0 ||
	    s->t->state == WIRE_SLOT_EMPTY)
		return;
	s->t->cell.pid = t->main_pid;
	s->t->start_ticks = t->main_ticks;
}

/* ---- messages ---- */

static void take(struct push *p, char *text, size_t len)
{
	struct table_push *t = &p->slot->cold->push, before = *t;
	struct push_message_out out;

	child_look(&p->slot->child); /* who speaks has exec'd */
	push_message_take(t, text, len, clock_mono_ms(), &out);
	t->dropped += out.malformed;
	if (out.rewatch)
		rewatch(p);
	if (out.ping || (t->flags & ~before.flags & WIRE_PUSH_READY))
		serve(p);
	if (out.extend)
		slot_extend(p->slot, t->extend_until_mono_ms);
	POINT("aictld.push.taken");
	tell(p, &before);
	if (out.trigger)
		expire(p, "WATCHDOG=trigger");
	if (out.main_pid)
		take_main_pid(p, out.main_pid);
}

static const struct ucred *sender(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
	    c->cmsg_len < CMSG_LEN(sizeof(struct ucred)))
		return NULL;
	return (const struct ucred *)(const void *)CMSG_DATA(c);
}

/* False: there is none. There is room for the sender's name only: see push.h. */
static bool read_one(struct push *p, bool count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char text[MESSAGE_MAX + 1];
	struct iovec iov = {.iov_base = text, .iov_len = MESSAGE_MAX};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t n;

	if (p->aside || p->deaf)
		return false;
	n = recvmsg(p->fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EINTR;
	if (!(msg.msg_flags & MSG_CTRUNC))
		recv(p->fd, NULL, 0, MSG_DONTWAIT);
	else if (!push_aside_read(p))
		return false;
	if (!count || !slot_is_living(p->slot) || p->slot->waiting)
		return true;
	if (!(msg.msg_flags & MSG_TRUNC) && push_message_is_ours(p->slot, sender(&msg))) {
		take(p, text, (size_t)n);
	} else {
		p->slot->cold->push.dropped++;
		mark_later(p);
	}
	return true;
}

static void on_socket(void *user, uint32_t events)
{
	struct push *p = user;

	(void)events;
	for (int i = 0; i < READ_MAX && read_one(p, true); i++)
		;
}

static void on_watchdog(void *user)
{
	struct push *p = user;
	struct slot *s = p->slot;

	/* What it said in time may be waiting for us. */
	for (int i = 0; i < READ_MAX && read_one(p, true); i++)
		;
	if (s->t->state != WIRE_SLOT_RUNNING || !(s->cold->push.flags & WIRE_PUSH_WATCHED))
		return;
	if (s->cgroup.frozen || p->deaf) /* nobody hears what it says */
		set_deadline(p);
	if (clock_mono_ms() < p->deadline_mono_ms)
		loop_timer_arm(&s->sup->loop, &p->watchdog, p->deadline_mono_ms);
	else
		expire(p, "has not served its watchdog in time");
}

/* ---- s6's descriptor ---- */

static void close_pipe(struct push *p)
{
	loop_del(&p->slot->sup->loop, &p->pipe_io);
	mem_closep(&p->pipe_fd);
}

/* Anything that ends in a newline is the word; what is closed without says nothing more. */
static void on_pipe(void *user, uint32_t events)
{
	struct push *p = user;
	struct table_push *t = &p->slot->cold->push, before = *t;
	char text[256];
	ssize_t n = read(p->pipe_fd, text, sizeof(text));

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || memchr(text, '\n', (size_t)n))
		close_pipe(p);
	if (n <= 0 || !memchr(text, '\n', (size_t)n))
		return;
	t->flags |= WIRE_PUSH_READY;
	serve(p);
	tell(p, &before);
}

static int watch_pipe(struct push *p, int fd)
{
	int r;

	p->pipe_io = (struct loop_io){.fn = on_pipe, .user = p};
	r = loop_add(&p->slot->sup->loop, &p->pipe_io, fd, EPOLLIN);
	if (r < 0)
		close(fd);
	else
		p->pipe_fd = fd;
	return r;
}

static int make_pipe(struct push *p, int *ret_write_fd)
{
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r = fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (r == 0)
		r = watch_pipe(p, fds[0]);
	else
		close(fds[0]);
	if (r < 0)
		close(fds[1]);
	else
		*ret_write_fd = fds[1];
	return r;
}

/* Through a writer: the pipe lives as long as the service has not closed it. */
static void reopen_pipe(struct push *p)
{
	const struct table_push *t = &p->slot->cold->push;
	int fd;

	if (t->notify_fd == 0 || t->flags & WIRE_PUSH_READY)
		return;
	fd = stream_reopen(p->slot->t->cell.pid, (int)t->notify_fd, t->pipe_inode);
	if (fd >= 0)
		watch_pipe(p, fd);
}

/* ---- life of a socket ---- */

static void free_push(struct slot *s)
{
	struct push *p = TAKE_PTR(s->push);

	if (!p)
		return;
	loop_timer_disarm(&s->sup->loop, &p->watchdog);
	loop_timer_disarm(&s->sup->loop, &p->later);
	push_aside_close(p);
	close_pipe(p);
	mem_free(p);
}

void push_close(struct slot *s)
{
	free_push(s);
	push_aside_forget(s);
}

void push_remove(struct slot *s)
{
	char name[NAME_SIZE];

	if (!s->push)
		return;
	socket_name(s, name);
	unlinkat(s->sup->pushes.dir_fd, name, 0);
	free_push(s);
}

/* Only that user finds a socket there. */
static int bind_new(struct push *p, const char *name)
{
	const struct supervisor *sup = p->slot->sup;
	uint32_t uid = p->slot->t->uid;
	const int on = 1;

	p->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->fd < 0 || setsockopt(p->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -errno;
	unlinkat(sup->pushes.dir_fd, name, 0);
	if (bind(p->fd, (const struct sockaddr *)&p->addr, sizeof(p->addr)) < 0 ||
	    fchmodat(sup->pushes.dir_fd, name, 0600, 0) < 0)
		return -errno;
	if (sup->spawner.root && uid != (uint32_t)-1 && uid != 0 &&
	    fchownat(sup->pushes.dir_fd, name, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int bind_socket(struct push *p, const char *name)
{
	struct supervisor *sup = p->slot->sup;
	int n = snprintf(p->addr.sun_path, sizeof(p->addr.sun_path), "%s/%s", sup->pushes.dir,
			 name),
	    r = 0;

	if (n < 0 || (size_t)n >= sizeof(p->addr.sun_path))
		return -ENAMETOOLONG;
	p->addr.sun_family = AF_UNIX;
	p->fd = push_keep_take(&sup->pushes.keep, name);
	if (p->fd < 0)
		r = bind_new(p, name);
	return r < 0 ? r : loop_add(&sup->loop, &p->io, p->fd, EPOLLIN);
}

static int open_push(struct slot *s)
{
	struct push *p = mem_alloc(sizeof(*p));
	char name[NAME_SIZE];
	int r;

	if (!p)
		return -ENOMEM;
	s->push = p;
	p->slot = s;
	p->fd = p->pipe_fd = -1;
	p->io = (struct loop_io){.fn = on_socket, .user = p};
	p->watchdog = (struct loop_timer){.fn = on_watchdog, .user = p};
	p->later = (struct loop_timer){.fn = on_later, .user = p};
	socket_name(s, name);
	r = bind_socket(p, name);
	if (r < 0)
		push_remove(s);
	return r;
}

/* The socket that is there already serves, if it is that user's, and nobody writes to it faster than
 * we read. */
static int renew(struct slot *s, uint32_t uid)
{
	int n = 0;

	while (s->push && n < READ_MAX && read_one(s->push, false)) /* of the dead */
		n++;
	if (s->push &&
	    (n == READ_MAX || s->push->aside || s->push->deaf || s->cold->push.uid != uid)) {
		if (push_aside_is_full(s)) {
			log_warn(
				"replica=%s/%u what was sent to its notify socket cannot be closed "
				"(a hung mount?): not started before that ends",
				s->t->service, s->t->index);
			return -EBUSY;
		}
		push_remove(s);
	}
	return s->push ? 0 : open_push(s);
}

void push_forget(struct slot *s)
{
	if (s->t->cold_used)
		s->cold->push = (struct table_push){.uid = s->cold->push.uid};
}

static int make_ready(struct slot *s, const struct wire_spawn *m, int *ret_pipe_fd)
{
	struct table_push *t = &s->cold->push;
	struct stat st;
	int r = renew(s, s->t->uid);

	table_use_cold(s->t, s->cold);
	*t = (struct table_push){.wanted = 1,
				 .notify_fd = m->notify_fd,
				 .uid = s->t->uid,
				 .watchdog_ms = m->watchdog_ms};
	if (r == 0 && m->notify_fd) {
		r = make_pipe(s->push, ret_pipe_fd);
		t->pipe_inode = r == 0 && fstat(*ret_pipe_fd, &st) == 0 ? st.st_ino : 0;
	}
	if (r < 0)
		t->wanted = 0;
	return r;
}

int push_prepare(struct slot *s, const struct wire_spawn *m, int *ret_pipe_fd)
{
	int r = 0;

	*ret_pipe_fd = -1;
	if (s->push)
		push_ended(s);
	if (m->notify || m->notify_fd)
		r = make_ready(s, m, ret_pipe_fd);
	else
		push_remove(s);
	POINT("aictld.push.prepared");
	return r;
}

void push_adopt(struct slot *s)
{
	struct table_push *t = &s->cold->push;
	char status[sizeof(t->status)];
	int r;

	if (!s->t->cold_used || !t->wanted || s->push)
		return;
	t->flags &= WIRE_PUSH_MAX_;
	if (t->watchdog_ms < 0)
		t->watchdog_ms = 0;
	if (t->extend_until_mono_ms < 0)
		t->extend_until_mono_ms = 0;
	t->status[sizeof(t->status) - 1] = '\0';
	memcpy(status, t->status, sizeof(status));
	push_message_clean(t->status, sizeof(t->status), status);
	r = open_push(s);
	if (r < 0) {
		log_error("replica=%s/%u its notify socket cannot be made again: errno %d",
			  s->t->service, s->t->index, -r);
		return;
	}
	reopen_pipe(s->push);
	if (t->flags & WIRE_PUSH_WATCHED)
		serve(s->push);
}

void push_ended(struct slot *s)
{
	struct push *p = s->push;

	if (!p)
		return;
	p->main_pid_due = 0;
	loop_timer_disarm(&s->sup->loop, &p->watchdog);
	loop_timer_disarm(&s->sup->loop, &p->later);
	close_pipe(p);
}

/* ---- what others say and ask ---- */

void push_watch(struct slot *s)
{
	struct push *p = s->push;

	if (!p || s->t->state != WIRE_SLOT_RUNNING || s->cold->push.flags & WIRE_PUSH_WATCHED)
		return;
	serve(p);
	mark(p);
}

void push_thawed(struct slot *s)
{
	if (s->push && s->cold->push.flags & WIRE_PUSH_WATCHED)
		serve(s->push);
}

bool push_fill(const struct slot *s, struct wire_push *m)
{
	const struct table_push *t = &s->cold->push;

	if (!s->push || !slot_is_living(s))
		return false;
	*m = (struct wire_push){.flags = (uint8_t)(t->flags & WIRE_PUSH_MAX_),
				.err = t->err,
				.watchdog_ms = t->watchdog_ms,
				.extend_until_mono_ms = t->extend_until_mono_ms,
				.dropped = t->dropped};
	memcpy(m->status, t->status, sizeof(m->status) - 1);
	return true;
}

bool push_is_variable(const char *assignment)
{
	static const char *const names[] = {"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(assignment, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

size_t push_fill_env(const struct slot *s, const struct wire_spawn *m, struct push_env *env,
		     char **envp)
{
	size_t n = 0;

	if (!m->notify || !s->push)
		return 0;
	snprintf(env->socket, sizeof(env->socket), "NOTIFY_SOCKET=%.*s",
		 (int)sizeof(s->push->addr.sun_path), s->push->addr.sun_path);
	envp[n++] = env->socket;
	if (m->watchdog_ms > 0) {
		snprintf(env->watchdog, sizeof(env->watchdog), "WATCHDOG_USEC=%lld",
			 (long long)m->watchdog_ms * 1000);
		envp[n++] = env->watchdog;
		snprintf(env->pid, sizeof(env->pid), "WATCHDOG_PID=");
		envp[n++] = env->pid;
	}
	return n;
}
