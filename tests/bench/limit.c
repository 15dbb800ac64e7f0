/*
 * limit: the floor that supervisors are compared to. One loop that starts children by clone3 and
 * starts them again when their pidfd says that they ended; it does nothing else.
 *
 *   limit PROBE TABLE FIRST N     supervises N probes: PROBE beat TABLE FIRST...FIRST+N-1
 *
 * CLONE_VFORK is used although aictld cannot afford it: a floor may.
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN_MAX 4096

struct child {
	char id[16];
	char *argv[5];
	int pidfd;
};

struct loop {
	struct child children[CHILDREN_MAX];
	int epoll, devnull;
};

/* What the child needs, on the parent's stack: with CLONE_VFORK it outlives the exec. */
struct start {
	char *const *argv;
	int devnull;
};

extern char **environ;

static void child_main(const struct start *s)
{
	dup2(s->devnull, STDOUT_FILENO);
	dup2(s->devnull, STDERR_FILENO);
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

static void start_child(struct loop *l, size_t i)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	struct child *c = &l->children[i];
	struct start s = {.argv = c->argv, .devnull = l->devnull};
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = i};
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)&c->pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
	};

	if (clone3_call(&args, &s) < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->pidfd, &ev) < 0) {
		perror("limit: clone3");
		_exit(1);
	}
}

int main(int argc, char **argv)
{
	static struct loop l;
	static char beat[] = "beat";
	size_t first, n;

	if (argc != 5 || sscanf(argv[3], "%zu", &first) != 1 || sscanf(argv[4], "%zu", &n) != 1 ||
	    n > CHILDREN_MAX)
		return 2;
	l.devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	for (size_t i = 0; i < n; i++) {
		struct child *c = &l.children[i];

		snprintf(c->id, sizeof(c->id), "%zu", first + i);
		c->argv[0] = argv[1];
		c->argv[1] = beat;
		c->argv[2] = argv[2];
		c->argv[3] = c->id;
		start_child(&l, i);
	}
	for (;;) {
		struct epoll_event ev;
		siginfo_t info;

		if (epoll_wait(l.epoll, &ev, 1, -1) != 1)
			continue;
		waitid(P_PIDFD, (id_t)l.children[ev.data.u64].pidfd, &info, WEXITED);
		close(l.children[ev.data.u64].pidfd);
		start_child(&l, ev.data.u64);
	}
}
