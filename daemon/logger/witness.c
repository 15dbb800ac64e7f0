/* witness: see witness.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/witness.h"

#include <errno.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"

#define STACK_SIZE (64 << 10)

struct start {
	int fd;
	bool alone; /* the thread has its own table */
	sem_t done;
};

static void *run(void *user)
{
	struct start *s = user;
	int fd = s->fd;
	bool alone = close_range(0, (unsigned)fd - 1, CLOSE_RANGE_UNSHARE) == 0;

	if (alone)
		alone = close_range((unsigned)fd + 1, ~0U, 0) == 0;
	s->alone = alone;
	sem_post(&s->done); /* s is gone */
	while (alone)
		pause();
	return NULL;
}

static int start_thread(struct start *s)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int r = pthread_attr_init(&attr);

	if (r != 0)
		return -r;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, &attr, run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

void witness_start(int fd)
{
	struct start s = {.fd = fd};
	int r = fd > 0 && sem_init(&s.done, 0, 0) == 0 ? start_thread(&s) : -EINVAL;

	while (r == 0 && sem_wait(&s.done) < 0)
		;
	if (r == 0 && s.alone)
		close(fd);
	else
		log_warn("nobody can see at once when this process is killed: %s", strerror(-r));
}
