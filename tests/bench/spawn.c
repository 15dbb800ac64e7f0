/*
 * spawn: what one start of a child costs, by primitive.
 *
 *   spawn METHOD ITERATIONS BALLAST_MIB PROBE TABLE ID
 *
 * METHOD is vfork, clone3 (aictld's own spawn_start), posix_spawn, fork or uv_spawn. A child is
 * PROBE exit TABLE ID: it records its start and exits; the next one is started when it is reaped.
 * Prints a line per child: nanoseconds that the call took the parent, and from the call to the
 * child's first instruction. The ballast is touched private memory: a fork copies its page tables.
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/supervisor/spawn.h"
#include "lib/err.h"

#define PAGE 4096

struct beat { /* as in probe.c */
	volatile uint64_t start_ns;
	uint64_t unused[7];
};

struct bench {
	char **argv;
	int devnull;
	struct spawner spawner;
	uv_loop_t loop;
	uv_process_t process;
	int64_t ended;
};

extern char **environ;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static _Noreturn void become_probe(const struct bench *b)
{
	dup2(b->devnull, STDOUT_FILENO);
	setsid();
	execv(b->argv[0], b->argv);
	_exit(127);
}

static uint64_t by_fork(struct bench *b)
{
	pid_t pid = fork();
	uint64_t after = now_ns();

	if (pid == 0)
		become_probe(b);
	waitpid(pid, NULL, 0);
	return after;
}

static uint64_t by_vfork(struct bench *b)
{
	uint64_t after;
	pid_t pid = vfork(); /* NOLINT: what is measured */

	if (pid == 0)
		become_probe(b);
	after = now_ns();
	waitpid(pid, NULL, 0);
	return after;
}

static uint64_t by_posix_spawn(struct bench *b)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	uint64_t after;
	pid_t pid = 0;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, b->devnull, STDOUT_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	posix_spawn(&pid, b->argv[0], &actions, &attributes, b->argv, environ);
	after = now_ns();
	waitpid(pid, NULL, 0);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return after;
}

static void on_exit_uv(uv_process_t *process, int64_t status, int signal)
{
	struct bench *b = process->data;

	(void)status;
	(void)signal;
	b->ended++;
	uv_close((uv_handle_t *)process, NULL);
}

static uint64_t by_uv(struct bench *b)
{
	uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE},
					 {.flags = UV_INHERIT_FD, .data.fd = b->devnull},
					 {.flags = UV_INHERIT_FD, .data.fd = b->devnull}};
	uv_process_options_t options = {.file = b->argv[0],
					.args = b->argv,
					.flags = UV_PROCESS_DETACHED,
					.stdio = stdio,
					.stdio_count = 3,
					.exit_cb = on_exit_uv};
	uint64_t after;

	b->process.data = b;
	uv_spawn(&b->loop, &b->process, &options);
	after = now_ns();
	uv_run(&b->loop, UV_RUN_DEFAULT);
	return after;
}

/* As aictld does it, log pipes aside. */
static uint64_t by_spawn_start(struct bench *b)
{
	char *const paths[] = {b->argv[0], NULL};
	struct spawn_cell cell = {0};
	struct spawn_job job = {.paths = paths,
				.exec_fd = -1,
				.argv = b->argv,
				.envp = environ,
				.umask = 022,
				.fds = {b->spawner.null_fd, b->spawner.null_fd, b->spawner.null_fd},
				.n_fds = 3,
				.cell = &cell};
	struct pollfd gone = {.events = POLLIN};
	uint64_t after;
	int pidfd = -1;

	spawn_start(&b->spawner, &job, &pidfd);
	after = now_ns();
	gone.fd = job.gone_fd;
	while (poll(&gone, 1, -1) != 1)
		;
	spawn_finish(&b->spawner, &job);
	waitpid(cell.pid, NULL, 0);
	close(pidfd);
	return after;
}

static const struct method {
	const char *name;
	uint64_t (*start)(struct bench *b);
} methods[] = {{"vfork", by_vfork},
	       {"clone3", by_spawn_start},
	       {"posix_spawn", by_posix_spawn},
	       {"fork", by_fork},
	       {"uv_spawn", by_uv}};

static const struct method *find(const char *name)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}

static void touch(size_t size)
{
	char *p = mmap(NULL, size ? size : PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; p != MAP_FAILED && i < size; i += PAGE)
		p[i] = 1;
}

static const struct beat *open_beat(const char *table, unsigned id)
{
	int fd = open(table, O_RDONLY | O_CLOEXEC);
	struct beat *all = mmap(NULL, (id + 1) * sizeof(*all), PROT_READ, MAP_SHARED, fd, 0);

	close(fd);
	return all == MAP_FAILED ? NULL : all + id;
}

int main(int argc, char **argv)
{
	static char exit_word[] = "exit";
	char *child[5] = {NULL};
	struct bench b = {.argv = child};
	unsigned iterations, ballast, id;
	const struct method *m = argc == 7 ? find(argv[1]) : NULL;
	const struct beat *beat;
	_cleanup_err_ struct err *e = NULL;

	if (!m || sscanf(argv[2], "%u", &iterations) != 1 || sscanf(argv[3], "%u", &ballast) != 1 ||
	    sscanf(argv[6], "%u", &id) != 1)
		return 2;
	child[0] = argv[4];
	child[1] = exit_word;
	child[2] = argv[5];
	child[3] = argv[6];
	b.devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
	beat = open_beat(argv[5], id);
	touch((size_t)ballast << 20);
	if (!beat || uv_loop_init(&b.loop) < 0 || spawn_init(&b.spawner, &e) < 0) {
		fprintf(stderr, "spawn: %s\n", e ? e->msg : "no table or no loop");
		return 1;
	}
	b.spawner.lock_fd = fcntl(b.spawner.null_fd, F_DUPFD_CLOEXEC, SPAWN_LOW_FDS);
	for (unsigned i = 0; i < iterations; i++) {
		uint64_t before = now_ns(), after = m->start(&b);

		printf("%llu %llu\n", (unsigned long long)(after - before),
		       (unsigned long long)(beat->start_ns - before));
	}
	spawn_done(&b.spawner);
	uv_loop_close(&b.loop);
	return 0;
}
