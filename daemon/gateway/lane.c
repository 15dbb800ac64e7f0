/* lane: see lane.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/lane.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void on_routed(void *user)
{
	struct lane *l = user;

	control_routed(&l->control);
}

static void on_drained(void *user)
{
	struct lane *l = user;

	uv_stop(&l->gateway.uv);
}

/* Closed by the switch: everything has been given back. */
static void on_lost(void *user, int err)
{
	struct lane *l = user;

	if (err == 0) {
		gateway_drain(&l->gateway);
		return;
	}
	l->status = 1;
	uv_stop(&l->gateway.uv);
}

static void run(void *user)
{
	struct lane *l = user;
	char name[16];

	snprintf(name, sizeof(name), "gateway/%u", l->at.number);
	pthread_setname_np(pthread_self(), name);
	uv_run(&l->gateway.uv, UV_RUN_DEFAULT);
	control_close(&l->control);
	l->hung = !gateway_done(&l->gateway);
	__atomic_store_n(&l->over, true, __ATOMIC_RELEASE);
	uv_async_send(l->at.ended);
}

/* Signals stay with the main thread. */
static int start_masked(struct lane *l)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = uv_thread_create(&l->thread, run, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int lane_start(struct lane *l, const struct lane_place *at, int fd)
{
	int r;

	l->at = *at;
	r = gateway_init(&l->gateway, at->of);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = control_init(&l->control, &l->gateway, fd);
	if (r < 0)
		close(fd);
	l->gateway.taken = at->taken;
	l->control.on_lost = on_lost;
	l->gateway.on_routed = on_routed;
	l->gateway.on_drained = on_drained;
	l->control.user = l->gateway.user = l;
	if (r == 0)
		r = start_masked(l);
	if (r < 0) {
		control_close(&l->control);
		gateway_done(&l->gateway);
	}
	return r;
}

bool lane_is_over(const struct lane *l)
{
	return __atomic_load_n(&l->over, __ATOMIC_ACQUIRE);
}

void lane_join(struct lane *l)
{
	uv_thread_join(&l->thread);
}
