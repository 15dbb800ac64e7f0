/*
 * spawn: see spawn.h.
 *
 * The lower half of this file runs in the child, beside the parent and in its memory: raw system
 * calls only (errno and thread-local data are the parent's), no sanitizer, no stack protector, no
 * return. The call of the child's function sits inside the asm: the child leaves the system call on
 * an empty stack, so it may touch no local of the calling function. Not VFORK: a child stuck on a
 * hung mount, or stopped by its own user, would hold the parent (DESIGN.md 2.2).
 *
 * Only spawn.c makes raw system calls (exceptions of the lints).
 */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/wire/wire.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/mem.h"

#define RAW __attribute__((no_sanitize("address", "undefined", "thread"), no_stack_protector))
#define STACK_SIZE (32 << 10)
#define STACKS_KEPT 16	      /* each has two pages in use */
#define GUARD_SIZE (64 << 10) /* a multiple of every page size in use */

/* At the top of the mapping it describes: a child that cannot be ended keeps both. */
struct spawn_stack {
	struct spawn_stack *next;
	char *memory; /* guard, then STACK_SIZE, of which HEAD_SIZE is this */
};
#define HEAD_SIZE 64
#define NOTHING_MS 500 /* so long a child may take to end at once */
_Static_assert(sizeof(struct spawn_stack) <= HEAD_SIZE, "the stack's top stays aligned");

/* ---- the two architectures ---- */

#if defined(__x86_64__)
static inline RAW __attribute__((always_inline)) long sys5(long n, long a, long b, long c, long d,
							   long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;

	__asm__ volatile("syscall"
			 : "+a"(n)
			 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return n;
}

static RAW __attribute__((noinline)) long
clone3_call(struct clone_args *args, void (*fn)(struct spawn_job *), struct spawn_job *job)
{
	long r = SYS_clone3;
	register void (*f)(struct spawn_job *) __asm__("r12") = fn;
	register struct spawn_job *p __asm__("r13") = job;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r13, %%rdi\n\t"
			 "call *%%r12\n\t"
			 "ud2\n"
			 "1:"
			 : "+a"(r)
			 : "D"(args), "S"(sizeof(*args)), "r"(f), "r"(p)
			 : "rcx", "r11", "memory", "cc");
	return r;
}
#elif defined(__aarch64__)
static inline RAW __attribute__((always_inline)) long sys5(long n, long a, long b, long c, long d,
							   long e)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory", "cc");
	return x0;
}

static RAW __attribute__((noinline)) long
clone3_call(struct clone_args *args, void (*fn)(struct spawn_job *), struct spawn_job *job)
{
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = sizeof(*args);
	register void (*f)(struct spawn_job *) __asm__("x20") = fn;
	register struct spawn_job *p __asm__("x21") = job;

	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x0, x21\n\t"
			 "blr x20\n\t"
			 "brk #1\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(f), "r"(p)
			 : "memory", "cc");
	return x0;
}
#else
#error "write sys5 and clone3_call for this architecture"
#endif

/* ---- the parent ---- */

/* No descriptor of ours may lie where a child's own will be: the holes stay filled for ever. */
static int fill_low_fds(int null_fd)
{
	for (;;) {
		int fd = fcntl(null_fd, F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		if (fd >= SPAWN_LOW_FDS) {
			close(fd);
			return 0;
		}
	}
}

/* At most an eighth of the descriptors that we may have. None is no error. */
static void reserve_seats(struct spawner *s)
{
	uint64_t most = s->nofile.hard / 8 / SPAWN_SEAT_FDS;

	for (; s->n_seats < SPAWN_SEATS && (uint64_t)s->n_seats < most; s->n_seats++) {
		struct spawn_seat *seat = &s->seats[s->n_seats];

		for (int i = 0; i < SPAWN_SEAT_FDS; i++) {
			seat->fds[i] = fcntl(s->null_fd, F_DUPFD_CLOEXEC, SPAWN_LOW_FDS);
			if (seat->fds[i] < 0)
				return;
		}
	}
}

/* Where a descriptor of the child stands on its seat. */
enum {
	SEAT_ERROR = SPAWN_FDS_MAX,
	SEAT_LOCK,
	SEAT_EXEC,
};

static void leave_seat(struct spawner *s, struct spawn_job *j)
{
	struct spawn_seat *seat = TAKE_PTR(j->seat);

	if (!seat)
		return;
	seat->job = NULL;
	for (unsigned i = 0; i < SPAWN_SEAT_FDS; i++)
		if (i < j->n_fds || i == SEAT_ERROR || i == SEAT_LOCK ||
		    (i == SEAT_EXEC && j->exec_fd >= 0))
			dup3(s->null_fd, seat->fds[i], O_CLOEXEC);
}

static struct spawn_seat *free_seat(struct spawner *s)
{
	for (int i = 0; i < s->n_seats; i++) {
		struct spawn_seat *seat = &s->seats[i];

		if (seat->job && __atomic_load_n(&seat->left, __ATOMIC_ACQUIRE))
			leave_seat(s, seat->job);
		if (!seat->job)
			return seat;
	}
	return NULL;
}

/* Without a seat, or where that fails, the child gets a copy of all we have. */
static void take_seat(struct spawner *s, struct spawn_job *j)
{
	struct spawn_seat *seat = j->oom_score[0] || j->n_listen ? NULL : free_seat(s);
	int r = 0;

	j->seat = NULL;
	if (!seat)
		return;
	for (unsigned i = 0; i < j->n_fds && r >= 0; i++)
		r = dup3(j->fds[i], seat->fds[i], O_CLOEXEC);
	if (r >= 0)
		r = dup3(j->error_fd, seat->fds[SEAT_ERROR], O_CLOEXEC);
	if (r >= 0 && j->lock_fd >= 0)
		r = dup3(j->lock_fd, seat->fds[SEAT_LOCK], O_CLOEXEC);
	if (r >= 0 && j->exec_fd >= 0)
		r = dup3(j->exec_fd, seat->fds[SEAT_EXEC], O_CLOEXEC);
	seat->job = j;
	seat->left = 0;
	j->seat = seat;
	if (r < 0)
		leave_seat(s, j);
}

/* The next error pipe, made while nobody waits for it. Without one the start makes it. */
static void refill(struct spawner *s)
{
	if (s->spare[0] < 0 && pipe2(s->spare, O_CLOEXEC | O_NONBLOCK) < 0)
		s->spare[0] = s->spare[1] = -1;
}

static int take_pipe(struct spawner *s, int ends[2])
{
	ends[0] = TAKE_FD(s->spare[0]);
	ends[1] = TAKE_FD(s->spare[1]);
	return ends[0] < 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
}

static int raise_nofile(struct spawn_rlimit *inherited)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return -errno;
	*inherited = (struct spawn_rlimit){.soft = l.rlim_cur, .hard = l.rlim_max};
	l.rlim_cur = l.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &l) < 0 ? -errno : 0;
}

static bool has_negative_oom_score(void)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	return fs_read_file("/proc/self/oom_score_adj", 32, &text, &len, NULL) == 0 &&
	       text[0] == '-';
}

int spawn_init(struct spawner *s, struct err **reterr)
{
	_cleanup_close_ int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r;

	*s = (struct spawner){.null_fd = -1,
			      .lock_fd = -1,
			      .spare = {-1, -1},
			      .root = geteuid() == 0,
			      .gid = getegid()};
	s->n_groups = getgroups(SPAWN_GROUPS, s->groups);
	s->protected = has_negative_oom_score();
	if (fd < 0)
		return err_sys(reterr, errno, "cannot open /dev/null");
	r = raise_nofile(&s->nofile);
	if (r < 0)
		return err_sys(reterr, -r, "cannot raise the limit of open files");
	r = fill_low_fds(fd);
	if (r < 0)
		return err_sys(reterr, -r, "cannot reserve low descriptors");
	s->null_fd = fcntl(fd, F_DUPFD_CLOEXEC, SPAWN_LOW_FDS);
	if (s->null_fd < 0)
		return err_sys(reterr, errno, "cannot duplicate /dev/null");
	if (fd < SPAWN_LOW_FDS) /* it fills its own hole */
		(void)TAKE_FD(fd);
	reserve_seats(s);
	refill(s);
	return 0;
}

static bool has_group(const gid_t *list, uint32_t n, gid_t own, gid_t gid)
{
	for (uint32_t i = 0; i < n; i++)
		if (list[i] == gid)
			return true;
	return gid == own; /* that one we have anyway */
}

bool spawn_is_own_user(const struct spawner *s, uint32_t uid, uint32_t gid, const uint32_t *groups,
		       uint32_t n)
{
	if (!s->root || uid != 0 || gid != s->gid || s->n_groups < 0)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (!has_group(s->groups, (uint32_t)s->n_groups, s->gid, groups[i]))
			return false;
	for (int i = 0; i < s->n_groups; i++)
		if (!has_group(groups, n, s->gid, s->groups[i]))
			return false;
	return true;
}

void spawn_done(struct spawner *s)
{
	while (s->free) {
		struct spawn_stack *k = s->free;

		s->free = k->next;
		munmap(k->memory, GUARD_SIZE + STACK_SIZE);
	}
	for (int i = 0; i < s->n_seats * SPAWN_SEAT_FDS; i++)
		close(s->seats[i / SPAWN_SEAT_FDS].fds[i % SPAWN_SEAT_FDS]);
	s->n_seats = 0;
	mem_closep(&s->spare[0]);
	mem_closep(&s->spare[1]);
	mem_closep(&s->null_fd);
	mem_closep(&s->lock_fd);
}

static struct spawn_stack *take_stack(struct spawner *s)
{
	struct spawn_stack *k = s->free;
	char *memory;

	if (k) {
		s->free = k->next;
		s->n_free--;
		return k;
	}
	memory = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	if (mprotect(memory, GUARD_SIZE, PROT_NONE) < 0) {
		munmap(memory, GUARD_SIZE + STACK_SIZE);
		return NULL;
	}
	k = (struct spawn_stack *)(memory + GUARD_SIZE + STACK_SIZE - HEAD_SIZE);
	k->memory = memory;
	return k;
}

static void give_stack(struct spawner *s, struct spawn_stack *k)
{
	if (s->n_free >= STACKS_KEPT) {
		munmap(k->memory, GUARD_SIZE + STACK_SIZE);
		return;
	}
	s->n_free++;
	k->next = s->free;
	s->free = k;
}

bool spawn_supported(struct err **reterr)
{
	/* A size below the first version's is EINVAL where clone3 exists. */
	if (syscall(SYS_clone3, NULL, 0) < 0 && errno == EINVAL)
		return true;
	err_sys(reterr, errno,
		"clone3 is refused here (kernel before 5.5, or a container's seccomp filter)");
	err_hint(reterr, "allow clone3 in the container's seccomp profile");
	return false;
}

void spawn_fill(const struct spawner *s, struct spawn_job *j, const struct wire_child *m)
{
	*j = (struct spawn_job){.cwd = m->cwd,
				.paths = m->paths,
				.exec_fd = -1,
				.argv = m->argv,
				.envp = m->envp,
				.uid = m->uid,
				.gid = m->gid,
				.groups = m->groups,
				.n_groups = m->n_groups,
				.set_user =
					m->set_user && !spawn_is_own_user(s, m->uid, m->gid,
									  m->groups, m->n_groups),
				.umask = m->umask,
				.nice = m->nice,
				.rlimits = m->rlimits,
				.n_rlimits = m->n_rlimits};
	if (m->set_oom_score)
		snprintf(j->oom_score, sizeof(j->oom_score), "%d", m->oom_score);
	j->reset_oom_score = s->protected && !m->set_oom_score;
}

void spawn_reset_oom_score(int pid)
{
	_cleanup_close_ int fd = -1;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		log_debug("pid=%d cannot reset its oom score: %m, ignoring", pid);
}

static RAW void child_main(struct spawn_job *j);

int spawn_start(struct spawner *s, struct spawn_job *j, int *ret_pidfd)
{
	int pidfd = -1, error[2];
	struct clone_args args;
	long r;

	r = take_pipe(s, error);
	if (r < 0)
		return (int)r;
	j->stack = take_stack(s);
	if (!j->stack) {
		close(error[0]);
		close(error[1]);
		return -ENOMEM;
	}
	j->gone_fd = error[0];
	j->error_fd = error[1];
	j->lock_fd = s->lock_fd;
	j->nofile = s->nofile;
	j->root = s->root;
	take_seat(s, j);
	*j->cell = (struct spawn_cell){.stage = WIRE_STAGE_CLONE};
	memset(&args, 0, sizeof(args));
	args.flags = CLONE_PIDFD | CLONE_PARENT_SETTID | CLONE_CLEAR_SIGHAND;
	if (!j->oom_score[0])
		args.flags |= CLONE_VM;
	if (j->seat)
		args.flags |= CLONE_FILES;
	if (j->cgroup_fd > 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)j->cgroup_fd;
	}
	args.exit_signal = SIGCHLD;
	args.pidfd = (uintptr_t)&pidfd;
	args.parent_tid = (uintptr_t)&j->cell->pid;
	args.stack = (uintptr_t)(j->stack->memory + GUARD_SIZE);
	args.stack_size = STACK_SIZE - HEAD_SIZE;
	r = clone3_call(&args, child_main, j);
	/*
	 * Before the next clone, or the next child keeps this pipe open. The job itself is not
	 * touched any more: the child reads it until EOF. Of j->seat it has read what it needs when
	 * it says that it has left.
	 */
	close(error[1]);
	if (r < 0) {
		spawn_finish(s, j);
		return (int)r;
	}
	*ret_pidfd = pidfd;
	return (int)r;
}

static RAW __attribute__((noinline)) void child_nothing(struct spawn_job *j)
{
	(void)j;
	sys5(SYS_exit_group, 0, 0, 0, 0, 0);
	__builtin_trap();
}

/* Waits for it; one that a frozen cgroup holds is ended by us. True: it ended, or would have. */
static bool ends(pid_t pid)
{
	siginfo_t si = {0};
	bool killed = false;

	for (int i = 0; i < NOTHING_MS && si.si_pid == 0; i++) {
		if (i > 0)
			poll(NULL, 0, 1);
		waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG);
	}
	if (si.si_pid == 0) {
		killed = true;
		kill(pid, SIGKILL);
		while (waitid(P_PID, (id_t)pid, &si, WEXITED) < 0 && errno == EINTR)
			;
	}
	return killed || si.si_code == CLD_EXITED;
}

bool spawn_works_in(struct spawner *s, int cgroup_fd)
{
	struct spawn_stack *k = take_stack(s);
	struct clone_args args;
	bool works;
	long pid;

	if (!k)
		return false;
	memset(&args, 0, sizeof(args));
	args.flags = CLONE_VM | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP;
	args.exit_signal = SIGCHLD;
	args.cgroup = (uint64_t)cgroup_fd;
	args.stack = (uintptr_t)(k->memory + GUARD_SIZE);
	args.stack_size = STACK_SIZE - HEAD_SIZE;
	pid = clone3_call(&args, child_nothing, NULL);
	works = pid > 0 && ends((pid_t)pid);
	give_stack(s, k);
	if (pid < 0)
		errno = (int)-pid;
	return works;
}

static RAW __attribute__((noinline)) void child_reader(struct spawn_job *j)
{
	const struct spawn_reader *r = (const struct spawn_reader *)(const void *)j;
	char byte;
	int fd = r->fd;

	sys5(SYS_close_range, 0, fd - 1, 0, 0, 0);
	sys5(SYS_close_range, fd + 1, ~0U, 0, 0, 0);
	sys5(SYS_read, fd, (long)&byte, 1, 0, 0);
	sys5(SYS_exit_group, 0, 0, 0, 0, 0);
	__builtin_trap();
}

int spawn_read_away(struct spawner *s, struct spawn_reader *r, int fd)
{
	struct clone_args args;
	long pid;

	*r = (struct spawn_reader){.stack = take_stack(s), .fd = fd, .pidfd = -1};
	if (!r->stack)
		return -ENOMEM;
	memset(&args, 0, sizeof(args));
	args.flags = CLONE_VM | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
	args.exit_signal = SIGCHLD;
	args.pidfd = (uintptr_t)&r->pidfd;
	args.stack = (uintptr_t)(r->stack->memory + GUARD_SIZE);
	args.stack_size = STACK_SIZE - HEAD_SIZE;
	pid = clone3_call(&args, child_reader, (struct spawn_job *)(void *)r);
	if (pid < 0)
		give_stack(s, TAKE_PTR(r->stack));
	return pid < 0 ? (int)pid : 0;
}

void spawn_reader_ended(struct spawner *s, struct spawn_reader *r)
{
	siginfo_t si;

	waitid((idtype_t)P_PIDFD, (id_t)r->pidfd, &si, WEXITED | WNOHANG);
	mem_closep(&r->pidfd);
	give_stack(s, TAKE_PTR(r->stack));
}

bool spawn_gone(struct spawner *s, struct spawn_job *j)
{
	char byte;
	ssize_t n = read(j->gone_fd, &byte, 1);

	if (n == 1) { /* it has its own descriptors: ours of the pipe goes */
		leave_seat(s, j);
		n = read(j->gone_fd, &byte, 1);
	}
	return n == 0;
}

void spawn_finish(struct spawner *s, struct spawn_job *j)
{
	if (!j->stack)
		return;
	leave_seat(s, j);
	mem_closep(&j->gone_fd);
	give_stack(s, j->stack);
	j->stack = NULL;
	refill(s);
}

/* ---- the child ---- */

static inline RAW __attribute__((always_inline)) void set_stage(struct spawn_job *j, int stage)
{
	*(volatile int32_t *)&j->cell->stage = stage;
}

/* That there is no copy of our descriptors any more. Whoever waits for it may have died meanwhile:
 * then the child goes on alone, and must not find SIGPIPE waiting where it unblocks signals. */
static inline RAW __attribute__((always_inline)) void tell(unsigned fd)
{
	uint64_t pipe_only = UINT64_C(1) << (SIGPIPE - 1);
	struct timespec now;

	now.tv_sec = 0;
	now.tv_nsec = 0;
	if (sys5(SYS_write, fd, (long)"", 1, 0, 0) == -EPIPE)
		sys5(SYS_rt_sigtimedwait, (long)&pipe_only, 0, (long)&now, sizeof(pipe_only), 0);
}

/*
 * 0, 1, 2 (, 3), listening sockets, then the error pipe, the lock and the binary; all else is closed. On a seat our
 * descriptors are the parent's until close_range has made a copy of those up to the seat: not one
 * system call on them may come before. Mostly that is the first and lowest seat, so there is little
 * to copy and to close.
 */
static inline RAW __attribute__((always_inline)) long set_fds(struct spawn_job *j)
{
	struct spawn_seat *seat = j->seat;
	unsigned n = j->last_fd ? (unsigned)j->last_fd + 1 : j->n_fds + j->n_listen;
	long r = 0;

	if (seat)
		r = sys5(SYS_close_range, seat->fds[SPAWN_SEAT_FDS - 1] + 1, ~0U,
			 CLOSE_RANGE_UNSHARE, 0, 0);
	if (seat && r >= 0)
		__atomic_store_n(&seat->left, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < j->n_fds && r >= 0; i++)
		r = sys5(SYS_dup3, seat ? seat->fds[i] : j->fds[i], i == 3 ? n - 1 : i, 0, 0, 0);
	for (unsigned i = 0; i < j->n_listen && r >= 0; i++)
		r = sys5(SYS_dup3, j->listen_fds[i], 3 + i, 0, 0, 0);
	if (r >= 0)
		r = sys5(SYS_dup3, seat ? seat->fds[SEAT_ERROR] : j->error_fd, n, O_CLOEXEC, 0, 0);
	if (r >= 0)
		r = sys5(SYS_dup3, seat ? seat->fds[SEAT_LOCK] : j->lock_fd, n + 1, O_CLOEXEC, 0,
			 0);
	if (r >= 0 && j->exec_fd >= 0)
		r = sys5(SYS_dup3, seat ? seat->fds[SEAT_EXEC] : j->exec_fd, n + 2, O_CLOEXEC, 0,
			 0);
	if (r < 0)
		return r;
	/* Before what may hang: a stuck child must not hold our sockets and locks. */
	r = sys5(SYS_close_range, n + (j->exec_fd >= 0 ? 3 : 2), ~0U, 0, 0, 0);
	if (r >= 0 && seat)
		tell(n);
	return r;
}

static inline RAW __attribute__((always_inline)) void set_what(struct spawn_job *j, int what)
{
	*(volatile int32_t *)&j->cell->what = what;
}

static inline RAW __attribute__((always_inline)) long set_tty(struct spawn_job *j)
{
	long r;

	if (!j->tty)
		return 0;
	set_what(j, WIRE_WHAT_TTY);
	r = sys5(SYS_ioctl, 0, TIOCSCTTY, 0, 0, 0);
	if (r >= 0)
		set_what(j, WIRE_WHAT_NONE);
	return r;
}

/* In a copy of our memory, see spawn.h. Only its own user may open a file of a process in /proc, and
 * only if the process is dumpable; root may always. */
static inline RAW __attribute__((always_inline)) long set_oom_score(struct spawn_job *j)
{
	long fd, r, n = 0;

	set_what(j, WIRE_WHAT_OOM_SCORE);
	if (!j->root)
		sys5(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
	fd = sys5(SYS_openat, AT_FDCWD, (long)"/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0,
		  0);
	if (fd < 0)
		return fd;
	while (j->oom_score[n])
		n++;
	r = sys5(SYS_write, fd, (long)j->oom_score, n, 0, 0);
	sys5(SYS_close, fd, 0, 0, 0, 0);
	return r;
}

/* A soft limit alone takes the hard one along where it must, and the other way round. */
static inline RAW __attribute__((always_inline)) long set_rlimit(const struct wire_rlimit *l)
{
	struct spawn_rlimit old, new;
	long r;

	new.soft = l->soft;
	new.hard = l->hard;
	if (new.soft == WIRE_LIMIT_KEEP || new.hard == WIRE_LIMIT_KEEP) {
		r = sys5(SYS_prlimit64, 0, l->resource, 0, (long)&old, 0);
		if (r < 0)
			return r;
		if (new.soft == WIRE_LIMIT_KEEP)
			new.soft = old.soft < new.hard ? old.soft : new.hard;
		if (new.hard == WIRE_LIMIT_KEEP)
			new.hard = old.hard > new.soft ? old.hard : new.soft;
	}
	return sys5(SYS_prlimit64, 0, l->resource, (long)&new, 0, 0);
}

/* The oom score before the limits: one of them may forbid to open its file. */
static inline RAW __attribute__((always_inline)) long set_limits(struct spawn_job *j)
{
	long r = sys5(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&j->nofile, 0, 0);

	if (r >= 0 && j->oom_score[0])
		r = set_oom_score(j);
	for (uint32_t i = 0; i < j->n_rlimits && r >= 0; i++) {
		set_what(j, WIRE_WHAT_RLIMIT + (int)j->rlimits[i].resource);
		r = set_rlimit(&j->rlimits[i]);
	}
	if (r >= 0 && j->nice != 0) {
		set_what(j, WIRE_WHAT_NICE);
		r = sys5(SYS_setpriority, PRIO_PROCESS, 0, j->nice, 0, 0);
	}
	if (r >= 0)
		set_what(j, WIRE_WHAT_NONE);
	return r;
}

static inline RAW __attribute__((always_inline)) long set_user(struct spawn_job *j)
{
	long r;

	if (!j->set_user)
		return 0;
	if (!j->root)
		return sys5(SYS_getuid, 0, 0, 0, 0, 0) == (long)j->uid ? 0 : -EPERM;
	r = sys5(SYS_setgroups, j->n_groups, (long)j->groups, 0, 0, 0);
	if (r >= 0)
		r = sys5(SYS_setresgid, j->gid, j->gid, j->gid, 0, 0);
	if (r >= 0)
		r = sys5(SYS_setresuid, j->uid, j->uid, j->uid, 0, 0);
	return r;
}

/* execvp's rules without its shell: the next candidate after "not there" and "not allowed". */
static inline RAW __attribute__((always_inline)) long exec_any(struct spawn_job *j)
{
	long r = -ENOENT, denied = 0;

	if (j->exec_fd >= 0)
		return sys5(SYS_execveat, j->n_fds + 2, (long)"", (long)j->argv, (long)j->envp,
			    AT_EMPTY_PATH);
	for (char *const *p = j->paths; *p; p++) {
		r = sys5(SYS_execve, (long)*p, (long)j->argv, (long)j->envp, 0, 0);
		if (r == -EACCES)
			denied = r;
		else if (r != -ENOENT && r != -ENOTDIR)
			return r;
	}
	return denied ? denied : r;
}

/* Here because nobody else knows it before the exec. */
static inline RAW __attribute__((always_inline)) void put_pid(char *text)
{
	long pid = sys5(SYS_getpid, 0, 0, 0, 0, 0), unit = 1;

	while (*text != '=')
		text++;
	text++;
	while (pid / unit >= 10)
		unit *= 10;
	for (; unit > 0; unit /= 10)
		*text++ = (char)('0' + pid / unit % 10);
	*text = '\0';
}

static RAW __attribute__((noinline)) void child_main(struct spawn_job *j)
{
	uint64_t none = 0;
	long r;

	sys5(SYS_setsid, 0, 0, 0, 0, 0);
	for (unsigned i = 0; i < SPAWN_PIDS_MAX; i++)
		if (j->pid_texts[i])
			put_pid(j->pid_texts[i]);
	set_stage(j, WIRE_STAGE_FDS); /* from here on the process group exists */
	r = set_fds(j);
	if (r >= 0)
		r = set_tty(j);
	if (r >= 0) {
		set_stage(j, WIRE_STAGE_LIMITS);
		r = set_limits(j);
	}
	if (r >= 0) {
		sys5(SYS_umask, j->umask, 0, 0, 0, 0);
		set_stage(j, WIRE_STAGE_USER);
		r = set_user(j);
	}
	if (r >= 0) {
		set_stage(j, WIRE_STAGE_CHDIR);
		r = j->cwd ? sys5(SYS_chdir, (long)j->cwd, 0, 0, 0, 0) : 0;
	}
	if (r >= 0) {
		sys5(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, sizeof(none), 0);
		set_stage(j, WIRE_STAGE_EXEC);
		r = exec_any(j);
	}
	*(volatile int32_t *)&j->cell->err = (int32_t)-r;
	sys5(SYS_exit_group, 127, 0, 0, 0, 0);
	__builtin_trap();
}
