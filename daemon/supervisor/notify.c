/* notify: see notify.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define GATHER_MS 500
#define AGAIN_MS 100
#define EXTEND_EVERY_MS 5000
#define EXTEND_BY_MS 20000
#define RELOAD_MS 10000 /* READY=1 at the latest then */
#define TEXT_MAX 256

/* ---- sending ---- */

/* False when the socket has no room. Any other failure is final: nobody listens. */
static bool say(struct notify *n, const char *text)
{
	ssize_t r = sendto(n->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
			   (const struct sockaddr *)&n->addr, n->addr_len);

	return r >= 0 || (errno != EAGAIN && errno != ENOBUFS && errno != EINTR);
}

struct counts {
	unsigned running, starting, stopping, stuck, down;
};

static void count(const struct supervisor *sup, struct counts *c)
{
	*c = (struct counts){0};
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		if (!sup->slots[i])
			continue;
		switch (sup->slots[i]->t->state) {
		case WIRE_SLOT_RUNNING:
			c->running++;
			break;
		case WIRE_SLOT_SPAWNING:
			c->starting++;
			break;
		case WIRE_SLOT_STOPPING:
			c->stopping++;
			break;
		case WIRE_SLOT_STUCK:
			c->stuck++;
			break;
		default:
			c->down++;
			break;
		}
	}
}

static const char *mode_text(const struct supervisor *sup)
{
	if (sup->mode == WIRE_MODE_SHUTDOWN)
		return "; ending";
	if (sup->mode == WIRE_MODE_SAFE)
		return "; safe mode";
	return sup->helpers_started && helper_is_gone(&sup->controller) ? "; controller down" : "";
}

static bool say_status(struct supervisor *sup)
{
	char text[TEXT_MAX], stuck[32] = "";
	struct counts c;

	count(sup, &c);
	if (c.stuck)
		snprintf(stuck, sizeof(stuck), ", %u stuck", c.stuck);
	snprintf(text, sizeof(text),
		 "STATUS=replicas: %u running, %u starting, %u stopping, %u down%s%s", c.running,
		 c.starting, c.stopping, c.down, stuck, mode_text(sup));
	return say(&sup->notify, text);
}

static bool say_reloading(struct notify *n)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%jd",
		 (intmax_t)clock_mono_ms() * 1000);
	return say(n, text);
}

/* One by one: what has been said is not due any more. RELOADING is always followed by READY. */
static void say_all(struct supervisor *sup)
{
	struct notify *n = &sup->notify;

	if (n->reloading_due)
		n->reloading_due = !say_reloading(n);
	if (!n->reloading_due && n->ready_due)
		n->ready_due = !say(n, "READY=1");
	if (n->stopping_due)
		n->stopping_due = !say(n, "STOPPING=1");
	if (n->status_due)
		n->status_due = !say_status(sup);
	if (n->reloading_due || n->ready_due || n->stopping_due || n->status_due)
		loop_timer_arm(&sup->loop, &n->later, clock_mono_ms() + AGAIN_MS);
}

static void on_later(void *user)
{
	say_all(user);
}

static void on_watchdog(void *user)
{
	struct supervisor *sup = user;
	struct notify *n = &sup->notify;
	int64_t next = say(n, "WATCHDOG=1") ? n->watchdog_ms : AGAIN_MS;

	loop_timer_arm(&sup->loop, &n->watchdog, clock_mono_ms() + next);
}

static void on_extend(void *user)
{
	struct supervisor *sup = user;
	struct notify *n = &sup->notify;
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%d", EXTEND_BY_MS * 1000);
	say(n, text);
	loop_timer_arm(&sup->loop, &n->extend, clock_mono_ms() + EXTEND_EVERY_MS);
}

static void on_reload_end(void *user)
{
	notify_reloaded(user);
}

/* ---- start and end ---- */

static char *take_variable(const char *name)
{
	const char *value = getenv(name);
	char *copy = value ? mem_strdup(value) : NULL;

	unsetenv(name);
	return copy;
}

/* "/path" or "@abstract"; other kinds (vsock) do not concern a service. */
static bool set_address(struct notify *n, const char *path)
{
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(n->addr.sun_path))
		return false;
	n->addr.sun_family = AF_UNIX;
	memcpy(n->addr.sun_path, path, len);
	n->addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (path[0] == '@')
		n->addr.sun_path[0] = '\0';
	else
		n->addr_len++; /* the NUL */
	return true;
}

/* Half the time after which the manager would lose patience; 0 = it does not watch us. */
static int64_t watchdog_interval(const char *usec, const char *pid)
{
	int64_t us, p;

	if (pid && (parse_i64(pid, 1, INT32_MAX, &p, NULL) < 0 || p != getpid()))
		return 0;
	if (!usec || parse_i64(usec, 1, INT64_MAX, &us, NULL) < 0)
		return 0;
	us /= 2000;
	return us > 0 ? us : 1;
}

void notify_init(struct supervisor *sup)
{
	struct notify *n = &sup->notify;
	_cleanup_free_ char *pid = take_variable("WATCHDOG_PID");

	n->fd = -1;
	n->socket_path = take_variable("NOTIFY_SOCKET");
	n->watchdog_usec = take_variable("WATCHDOG_USEC");
	n->watchdog = (struct loop_timer){.fn = on_watchdog, .user = sup};
	n->later = (struct loop_timer){.fn = on_later, .user = sup};
	n->extend = (struct loop_timer){.fn = on_extend, .user = sup};
	n->reload_end = (struct loop_timer){.fn = on_reload_end, .user = sup};
	if (!n->socket_path || !set_address(n, n->socket_path))
		return;
	n->watchdog_ms = watchdog_interval(n->watchdog_usec, pid);
	if (n->watchdog_ms == 0) { /* not for us: nor for a successor */
		mem_free(n->watchdog_usec);
		n->watchdog_usec = NULL;
	}
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0)
		log_warn("cannot make a socket for NOTIFY_SOCKET: %m, ignoring");
}

void notify_done(struct supervisor *sup)
{
	struct notify *n = &sup->notify;

	loop_timer_disarm(&sup->loop, &n->watchdog);
	loop_timer_disarm(&sup->loop, &n->later);
	loop_timer_disarm(&sup->loop, &n->extend);
	loop_timer_disarm(&sup->loop, &n->reload_end);
	mem_closep(&n->fd);
	mem_free(n->socket_path);
	mem_free(n->watchdog_usec);
	n->socket_path = n->watchdog_usec = NULL;
}

/* The pid stays the same over an exec. */
int notify_export(const struct supervisor *sup)
{
	const struct notify *n = &sup->notify;
	char pid[16];

	if (n->socket_path && setenv("NOTIFY_SOCKET", n->socket_path, 1) < 0)
		return -errno;
	if (!n->watchdog_usec)
		return 0;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (setenv("WATCHDOG_USEC", n->watchdog_usec, 1) < 0 || setenv("WATCHDOG_PID", pid, 1) < 0)
		return -errno;
	return 0;
}

/* ---- what happens ---- */

void notify_ready(struct supervisor *sup)
{
	struct notify *n = &sup->notify;

	if (n->fd < 0 || n->ending)
		return;
	n->ready_due = n->status_due = true;
	say_all(sup);
	if (n->watchdog_ms > 0)
		on_watchdog(sup);
}

void notify_changed(struct supervisor *sup)
{
	struct notify *n = &sup->notify;

	if (n->fd < 0)
		return;
	n->status_due = true;
	if (!n->later.armed)
		loop_timer_arm(&sup->loop, &n->later, clock_mono_ms() + GATHER_MS);
}

void notify_reloading(struct supervisor *sup)
{
	struct notify *n = &sup->notify;

	if (n->fd < 0 || n->ending)
		return;
	n->reloading = n->reloading_due = true;
	n->ready_due = false;
	say_all(sup);
	loop_timer_arm(&sup->loop, &n->reload_end, clock_mono_ms() + RELOAD_MS);
}

void notify_reloaded(struct supervisor *sup)
{
	struct notify *n = &sup->notify;

	if (n->fd < 0 || !n->reloading)
		return;
	loop_timer_disarm(&sup->loop, &n->reload_end);
	n->reloading = false;
	n->ready_due = n->status_due = true;
	say_all(sup);
}

void notify_stopping(struct supervisor *sup)
{
	struct notify *n = &sup->notify;

	if (n->fd < 0 || n->ending)
		return;
	n->ending = true;
	n->ready_due = n->reloading_due = false;
	n->stopping_due = n->status_due = true;
	say_all(sup);
	on_extend(sup);
}
