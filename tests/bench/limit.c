/*
 * limit: the floors that supervisors are compared to. One loop that starts children and starts them
 * again when they end; it does nothing else.
 *
 *   limit vfork  PROBE TABLE FIRST N        waits for any child: the least there is
 *   limit clone3 PROBE TABLE FIRST N        a pidfd per child in an epoll
 *   limit log    PROBE TABLE FIRST N DIR [PART [BYTES]]
 *                                           besides, standard output of each by a pipe of 1 MiB
 *                                           into DIR/ID.log, by read and write
 *   limit splice ...                        the same by splice
 *   limit coalesce ...                      by read and write; as long as the pipes give little at
 *                                           once, they are left alone for 20 ms between two reads
 *
 * The children are PROBE beat (or PART) TABLE FIRST...FIRST+N-1. A log is renamed at BYTES, wherever
 * the line ends. CLONE_VFORK is used although aictld cannot afford it: a floor may.
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN_MAX 4096
#define PIPE_SIZE (1 << 20)
#define LITTLE (1 << 17) /* bytes at once */
#define LAZY_NS 20000000L
#define IS_PIPE (1ULL << 32) /* in an event's data, else it is the pidfd */

struct child {
	char id[16];
	char *argv[5];
	pid_t pid;
	int pidfd, pipe, log;
	uint64_t bytes; /* in the log */
	unsigned turn;	/* how many logs before it */
};

struct loop {
	struct child children[CHILDREN_MAX];
	size_t n;
	int epoll, devnull;
	bool pidfds, logs, splices, lazy;
	const char *directory;
	uint64_t rotate_at;
	ssize_t most; /* bytes that one child gave in this round */
	char buffer[PIPE_SIZE];
};

/* What the child needs, on the parent's stack: with CLONE_VFORK it outlives the exec. */
struct start {
	char *const *argv;
	int out;
};

extern char **environ;

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

static void child_main(const struct start *s)
{
	dup2(s->out, STDOUT_FILENO);
	dup2(s->out, STDERR_FILENO);
	setsid();
	execve(s->argv[0], s->argv, environ);
	_exit(127);
}

/* The call sits inside the asm: the child comes back on another stack. */
static long clone3_call(struct clone_args *args, const struct start *start)
{
	long rc;
#if defined(__x86_64__)
	register void (*fn)(const struct start *) __asm__("r12") = child_main;
	register const struct start *arg __asm__("r13") = start;

	__asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\txor %%ebp, %%ebp\n\t"
			 "mov %%r13, %%rdi\n\tcall *%%r12\n\thlt\n1:"
			 : "=a"(rc)
			 : "a"(SYS_clone3), "D"(args), "S"(sizeof(*args)), "r"(fn), "r"(arg)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = SYS_clone3, x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = sizeof(*args);
	register void (*fn)(const struct start *) __asm__("x19") = child_main;
	register const struct start *arg __asm__("x20") = start;

	__asm__ volatile(
		"svc 0\n\tcbnz x0, 1f\n\tmov x29, #0\n\tmov x0, x20\n\tblr x19\n\tbrk 0\n1:"
		: "+r"(x0)
		: "r"(x8), "r"(x1), "r"(fn), "r"(arg)
		: "memory");
	rc = x0;
#endif
	return rc;
}

static void watch(struct loop *l, int fd, uint64_t data)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = data};

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("limit: epoll_ctl");
}

/* Returns the end for the child. */
static int open_pipe(struct loop *l, size_t i)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		die("limit: pipe2");
	fcntl(ends[0], F_SETPIPE_SZ, PIPE_SIZE);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	l->children[i].pipe = ends[0];
	watch(l, ends[0], i | IS_PIPE);
	return ends[1];
}

static void start_child(struct loop *l, size_t i)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	struct child *c = &l->children[i];
	struct start s = {.argv = c->argv, .out = l->devnull};
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND |
			 (l->pidfds ? CLONE_PIDFD : 0),
		.pidfd = (uintptr_t)&c->pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
	};
	long pid;

	if (l->logs)
		s.out = open_pipe(l, i);
	pid = clone3_call(&args, &s);
	if (pid < 0)
		die("limit: clone3");
	c->pid = (pid_t)pid;
	if (l->pidfds)
		watch(l, c->pidfd, i);
	if (l->logs)
		close(s.out);
}

static void open_log(const struct loop *l, struct child *c)
{
	char path[4096], old[4096];

	snprintf(path, sizeof(path), "%s/%s.log", l->directory, c->id);
	snprintf(old, sizeof(old), "%s/%s.log.%06u", l->directory, c->id, c->turn);
	if (c->turn++ > 0 && (rename(path, old) < 0 || close(c->log) < 0))
		die(old);
	c->log = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	c->bytes = 0;
	if (c->log < 0)
		die(path);
}

static ssize_t move(struct loop *l, struct child *c)
{
	ssize_t n;

	if (l->splices)
		return splice(c->pipe, NULL, c->log, NULL, PIPE_SIZE,
			      SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	n = read(c->pipe, l->buffer, sizeof(l->buffer));
	if (n > 0 && write(c->log, l->buffer, (size_t)n) < 0)
		die("limit: write");
	return n;
}

static void drain(struct loop *l, struct child *c)
{
	ssize_t n = move(l, c);

	if (n > l->most)
		l->most = n;
	if (n > 0 && l->rotate_at && (c->bytes += (uint64_t)n) >= l->rotate_at)
		open_log(l, c);
	if (n != 0)
		return;
	close(c->pipe);
	c->pipe = -1;
}

/* WNOHANG: a child that is in its exec has copies of our descriptors, so that one which was closed
 * may still be reported. */
static void ended(struct loop *l, size_t i)
{
	struct child *c = &l->children[i];
	siginfo_t info = {0};

	if (l->pidfds) {
		waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG);
		if (info.si_pid == 0)
			return;
		close(c->pidfd);
	}
	if (l->logs && c->pipe >= 0)
		drain(l, c);
	if (l->logs && c->pipe >= 0)
		close(c->pipe);
	start_child(l, i);
}

static void run_waiting(struct loop *l)
{
	for (;;) {
		pid_t pid = wait(NULL);
		size_t i = 0;

		while (i < l->n && l->children[i].pid != pid)
			i++;
		if (i < l->n)
			ended(l, i);
	}
}

static void run_polling(struct loop *l)
{
	for (;;) {
		struct epoll_event events[256];
		int n = epoll_wait(l->epoll, events, 256, -1);

		if (l->lazy && l->most < LITTLE) {
			nanosleep(&(struct timespec){.tv_nsec = LAZY_NS}, NULL);
			n = epoll_wait(l->epoll, events, 256, 0);
		}
		l->most = 0;
		for (int k = 0; k < n; k++) {
			size_t i = events[k].data.u64 & (IS_PIPE - 1);

			if (!(events[k].data.u64 & IS_PIPE))
				ended(l, i);
			else if (l->children[i].pipe >= 0)
				drain(l, &l->children[i]);
		}
	}
}

static void prepare(struct loop *l, size_t i, char **argv, size_t first)
{
	static char beat[] = "beat";
	struct child *c = &l->children[i];

	snprintf(c->id, sizeof(c->id), "%zu", first + i);
	c->argv[0] = argv[2];
	c->argv[1] = argv[6] && argv[7] ? argv[7] : beat;
	c->argv[2] = argv[3];
	c->argv[3] = c->id;
	c->pipe = -1;
	if (l->logs)
		open_log(l, c);
}

static bool options(struct loop *l, int argc, char **argv)
{
	l->splices = argc > 1 && strcmp(argv[1], "splice") == 0;
	l->lazy = argc > 1 && strcmp(argv[1], "coalesce") == 0;
	l->logs = l->splices || l->lazy || (argc > 1 && strcmp(argv[1], "log") == 0);
	l->pidfds = argc > 1 && strcmp(argv[1], "vfork") != 0;
	l->directory = argc > 6 ? argv[6] : NULL;
	if (argc > 8 && sscanf(argv[8], "%" SCNu64, &l->rotate_at) != 1)
		return false;
	return argc >= 6 + l->logs && argc <= (l->logs ? 9 : 6) &&
	       sscanf(argv[5], "%zu", &l->n) == 1 && l->n <= CHILDREN_MAX;
}

int main(int argc, char **argv)
{
	static struct loop l;
	struct rlimit files;
	size_t first;

	if (!options(&l, argc, argv) || sscanf(argv[4], "%zu", &first) != 1)
		return 2;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	l.devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	for (size_t i = 0; i < l.n; i++) {
		prepare(&l, i, argv, first);
		start_child(&l, i);
	}
	if (l.n == 0)
		pause();
	if (l.pidfds)
		run_polling(&l);
	run_waiting(&l);
}
