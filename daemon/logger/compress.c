/* compress: see compress.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/compress.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "daemon/logger/store.h"
#include "daemon/wire/steps.h"
#include "lib/log.h"
#include "lib/logidx.h"
#include "lib/logzst.h"
#include "lib/mem.h"
#include "lib/point.h"

#define REPLICAS_MAX 1024
#define SIZE_MIN 4096 /* what fits into a block gains nothing */
#define STACK_SIZE (512 << 10)
#define JOIN_S 1
#define IO_IDLE (3 << 13) /* ioprio_set(2): IOPRIO_CLASS_IDLE; glibc has no name for it */
#define IO_THREAD 1	  /* IOPRIO_WHO_PROCESS, 0 = the calling thread */
#define DOT_SIZE (LOGIDX_NAME_SIZE + 16)
#define OPEN_FILE (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

struct replica {
	char service[NAME_MAX + 1];
	uint32_t index;
	TAILQ_ENTRY(replica) all;
};

/* Who may touch the job: the owner, the thread, the owner again. */
enum stage { FREE, GIVEN, DONE };

struct job {
	int dir_fd;
	char incarnation[LOGIDX_INCARNATION_SIZE];
	uint32_t seq;
	struct stat log; /* as it was compressed */
	int result;	 /* 0 or -errno */
};

struct compress {
	struct store *st;
	TAILQ_HEAD(replicas, replica) replicas;
	size_t n_replicas;
	struct job job;
	int stage;	   /* enum stage; atomic */
	bool paused, quit; /* atomic */
	bool started;
	sem_t given;
	int done_fd;
	pthread_t thread;
	struct steps_thread in_steps; /* that one */
};

static int stage_of(const struct compress *c)
{
	return __atomic_load_n(&c->stage, __ATOMIC_ACQUIRE);
}

static bool is_paused(const struct compress *c)
{
	return __atomic_load_n(&c->paused, __ATOMIC_RELAXED);
}

/* ---- the thread ---- */

/* What stands in dir_fd under this name, when it is a file of ours. An open descriptor or -errno. */
static int open_log(int dir_fd, const char *name, struct stat *st)
{
	int fd = openat(dir_fd, name, OPEN_FILE);

	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode) || st->st_nlink != 1) {
		close(fd);
		return -EIO;
	}
	return fd;
}

/* Dot-files of those who died while they compressed here. */
static void remove_left_overs(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	char incarnation[LOGIDX_INCARNATION_SIZE];
	struct dirent *e;
	uint32_t seq;

	while (d && (e = readdir(d))) {
		char *end = strrchr(e->d_name, '.');

		if (e->d_name[0] != '.' || end == e->d_name)
			continue;
		*end = '\0'; /* the pid */
		if (logidx_parse_name(e->d_name + 1, incarnation, &seq) != LOGIDX_ZST)
			continue;
		*end = '.';
		unlinkat(dir_fd, e->d_name, 0);
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

/* Is X.log.zst there already, whole, with as much as X.log has? Then a death came between. */
static bool is_there(const struct job *j)
{
	char name[LOGIDX_NAME_SIZE];
	_cleanup_close_ int fd = -1;
	struct logzst *z = NULL;
	struct stat st;
	bool yes;

	fd = open_log(j->dir_fd, logidx_name(name, j->incarnation, j->seq, LOGIDX_ZST), &st);
	if (fd < 0 || logzst_open(fd, &z, NULL) < 0)
		return false;
	yes = logzst_size(z) == (uint64_t)j->log.st_size;
	logzst_close(z);
	return yes;
}

/* 1 = a frame; 0 = that was all; -errno. */
static int copy_frame(struct compress *c, struct logzst_writer *w, int fd, uint8_t *buf,
		      uint64_t at)
{
	uint64_t size = (uint64_t)c->job.log.st_size, left = at < size ? size - at : 0;
	size_t want = left < LOGZST_FRAME ? (size_t)left : LOGZST_FRAME, got = 0;
	int r;

	if (is_paused(c))
		return -ECANCELED;
	while (got < want) {
		ssize_t n = pread(fd, buf + got, want - got, (off_t)(at + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		got += (size_t)n;
	}
	if (want == 0)
		return 0;
	r = logzst_writer_frame(w, buf, want);
	/* Nobody asked for these pages; what else is cached here is worth more. */
	posix_fadvise(fd, (off_t)at, (off_t)want, POSIX_FADV_DONTNEED);
	return r < 0 ? r : 1;
}

/* Little is allocated, and once: the others wait for the allocator's lock, too. */
static int copy_all(struct compress *c, int from, int to)
{
	_cleanup_free_ uint8_t *buf = mem_alloc(LOGZST_FRAME);
	struct logzst_writer *w = logzst_writer_new(to);
	uint64_t at = 0;
	int r = -ENOMEM;

	while (buf && w && (r = copy_frame(c, w, from, buf, at)) > 0)
		at += LOGZST_FRAME;
	if (r == 0)
		r = logzst_writer_end(w);
	logzst_writer_free(w);
	return r;
}

/* The whole file on disk under a dot-name. 0 or -errno. */
static int write_file(struct compress *c, int from, const char *dot)
{
	const struct timespec times[2] = {c->job.log.st_atim, c->job.log.st_mtim};
	_cleanup_close_ int to = -1;
	int r;

	to = openat(c->job.dir_fd, dot, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (to < 0)
		return -errno;
	POINT("logger.compress.begun");
	r = copy_all(c, from, to);
	if (r == 0 && futimens(to, times) < 0) /* its age is that of its lines */
		r = -errno;
	if (r == 0 && fsync(to) < 0)
		r = -errno;
	posix_fadvise(to, 0, 0, POSIX_FADV_DONTNEED);
	POINT("logger.compress.synced");
	return r;
}

/* The one call whose late end, after our death, would matter to who comes next. */
static int give_name(struct compress *c, const char *dot, const char *name)
{
	int dir_fd = c->job.dir_fd, r = 0;

	if (c->st->steps)
		steps_begin(c->st->steps, &c->in_steps, c->st->mount, STEPS_NOBODY);
	if (renameat(dir_fd, dot, dir_fd, name) < 0)
		r = -errno;
	if (c->st->steps)
		steps_end(c->st->steps, &c->in_steps);
	return r;
}

static int make_file(struct compress *c, int from)
{
	struct job *j = &c->job;
	char name[LOGIDX_NAME_SIZE], dot[DOT_SIZE];
	int r;

	logidx_name(name, j->incarnation, j->seq, LOGIDX_ZST);
	snprintf(dot, sizeof(dot), ".%s.%d", name, (int)getpid());
	r = write_file(c, from, dot);
	if (r == 0 && is_paused(c))
		r = -ECANCELED;
	if (r == 0)
		r = give_name(c, dot, name);
	if (r < 0 && r != -EEXIST)
		unlinkat(j->dir_fd, dot, 0);
	return r;
}

static int compress_one(struct compress *c)
{
	struct job *j = &c->job;
	char name[LOGIDX_NAME_SIZE];
	_cleanup_close_ int from = -1;
	int r = 0;

	remove_left_overs(j->dir_fd);
	from = open_log(j->dir_fd, logidx_name(name, j->incarnation, j->seq, LOGIDX_LOG), &j->log);
	if (from < 0)
		return from;
	if (!is_there(j))
		r = make_file(c, from);
	POINT("logger.compress.renamed");
	if (r == 0 && fsync(j->dir_fd) < 0)
		r = -errno;
	return r;
}

static void *run(void *user)
{
	const struct sched_param none = {.sched_priority = 0};
	struct compress *c = user;

	pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
	syscall(SYS_ioprio_set, IO_THREAD, 0, IO_IDLE);
	for (;;) {
		while (sem_wait(&c->given) < 0)
			;
		if (__atomic_load_n(&c->quit, __ATOMIC_RELAXED))
			return NULL;
		c->job.result = compress_one(c);
		__atomic_store_n(&c->stage, DONE, __ATOMIC_RELEASE);
		eventfd_write(c->done_fd, 1);
	}
}

static int start_thread(struct compress *c)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int r;

	sigfillset(&all);
	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&c->thread, &attr, run, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	c->started = r == 0;
	return -r;
}

/* ---- the owner ---- */

struct compress *compress_new(struct store *st)
{
	struct compress *c = mem_alloc(sizeof(*c));

	if (!c)
		return NULL;
	c->st = st;
	c->job.dir_fd = -1;
	TAILQ_INIT(&c->replicas);
	c->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->done_fd < 0 || sem_init(&c->given, 0, 0) < 0) {
		mem_closep(&c->done_fd);
		mem_free(c);
		return NULL;
	}
	return c;
}

static void drop_replica(struct compress *c, struct replica *r)
{
	TAILQ_REMOVE(&c->replicas, r, all);
	c->n_replicas--;
	mem_free(r);
}

/* False: it does not end. */
static bool end_thread(struct compress *c)
{
	struct timespec until;

	if (!c->started)
		return true;
	compress_pause(c, true);
	__atomic_store_n(&c->quit, true, __ATOMIC_RELAXED);
	sem_post(&c->given);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += JOIN_S;
	return pthread_timedjoin_np(c->thread, NULL, &until) == 0;
}

struct compress *compress_free(struct compress *c)
{
	if (!c || !end_thread(c))
		return NULL;
	while (!TAILQ_EMPTY(&c->replicas))
		drop_replica(c, TAILQ_FIRST(&c->replicas));
	mem_closep(&c->job.dir_fd);
	mem_closep(&c->done_fd);
	sem_destroy(&c->given);
	mem_free(c);
	return NULL;
}

int compress_fd(const struct compress *c)
{
	return c->done_fd;
}

bool compress_is_idle(const struct compress *c)
{
	return stage_of(c) == FREE;
}

bool compress_is_due(const struct compress *c)
{
	return stage_of(c) != GIVEN && c->n_replicas > 0 && !is_paused(c);
}

void compress_pause(struct compress *c, bool paused)
{
	__atomic_store_n(&c->paused, paused, __ATOMIC_RELAXED);
}

void compress_add(struct compress *c, const char *service, uint32_t index)
{
	struct replica *r;

	TAILQ_FOREACH (r, &c->replicas, all)
		if (r->index == index && strcmp(r->service, service) == 0)
			return;
	if (c->n_replicas >= REPLICAS_MAX)
		return;
	r = mem_alloc(sizeof(*r));
	if (!r)
		return;
	snprintf(r->service, sizeof(r->service), "%s", service);
	r->index = index;
	TAILQ_INSERT_TAIL(&c->replicas, r, all);
	c->n_replicas++;
}

/* The log that was compressed: there as it was; 0 = gone; -1 = another. */
static int look_again(const struct compress *c)
{
	const struct job *j = &c->job;
	char name[LOGIDX_NAME_SIZE];
	struct stat st;

	logidx_name(name, j->incarnation, j->seq, LOGIDX_LOG);
	if (fstatat(j->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	if (st.st_ino != j->log.st_ino || st.st_dev != j->log.st_dev ||
	    st.st_size != j->log.st_size || store_is_in_use(c->st, j->incarnation, j->seq))
		return -1;
	return 1;
}

/* One of the two names goes. */
static void finish(struct compress *c)
{
	const struct job *j = &c->job;
	const struct replica *r = TAILQ_FIRST(&c->replicas);
	char name[LOGIDX_NAME_SIZE];
	bool same = j->result == 0 && look_again(c) == 1;

	POINT("logger.compress.ending");
	if (j->result == 0)
		unlinkat(j->dir_fd,
			 logidx_name(name, j->incarnation, j->seq, same ? LOGIDX_LOG : LOGIDX_ZST),
			 0);
	POINT("logger.compress.ended");
	if (same)
		log_debug("service=%s/%u incarnation=%s seq=%u bytes=%jd compressed", r->service,
			  r->index, j->incarnation, j->seq, (intmax_t)j->log.st_size);
	else if (j->result < 0 && j->result != -ECANCELED && j->result != -ENOENT)
		log_warn("service=%s/%u incarnation=%s seq=%u error=\"%s\" a log segment cannot be "
			 "compressed, leaving those of this replica as they are for now",
			 r->service, r->index, j->incarnation, j->seq, strerror(-j->result));
	if (!same) /* or it would be the next again */
		drop_replica(c, TAILQ_FIRST(&c->replicas));
	mem_closep(&c->job.dir_fd);
	__atomic_store_n(&c->stage, FREE, __ATOMIC_RELAXED);
}

static bool is_worth_it(int dir_fd, const struct logidx_segment *s)
{
	char name[LOGIDX_NAME_SIZE];
	struct stat st;

	logidx_name(name, s->incarnation, s->seq, LOGIDX_LOG);
	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       (s->has_zst || st.st_size > SIZE_MIN);
}

/* The oldest segment of that replica which can be compressed, into the job. */
static bool find_job(struct compress *c, const struct replica *r)
{
	_cleanup_free_ struct logidx_segment *v = NULL;
	_cleanup_close_ int fd = -1;
	size_t n;

	if (store_open_replica(c->st, r->service, r->index, false, &fd) < 0 ||
	    logidx_scan(fd, false, &v, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!v[i].has_log || !is_worth_it(fd, &v[i]) ||
		    store_is_in_use(c->st, v[i].incarnation, v[i].seq))
			continue;
		memcpy(c->job.incarnation, v[i].incarnation, sizeof(c->job.incarnation));
		c->job.seq = v[i].seq;
		c->job.dir_fd = TAKE_FD(fd);
		return true;
	}
	return false;
}

void compress_turn(struct compress *c)
{
	struct replica *r;
	eventfd_t n;

	eventfd_read(c->done_fd, &n);
	if (stage_of(c) == DONE)
		finish(c);
	if (stage_of(c) != FREE || is_paused(c) || c->st->below)
		return;
	while ((r = TAILQ_FIRST(&c->replicas))) {
		if (find_job(c, r))
			break;
		drop_replica(c, r);
	}
	if (!r)
		return;
	if (!c->started && start_thread(c) < 0) {
		mem_closep(&c->job.dir_fd);
		drop_replica(c, r);
		return;
	}
	__atomic_store_n(&c->stage, GIVEN, __ATOMIC_RELEASE);
	sem_post(&c->given);
}
