/*
 * spawn: starts a child by clone3 without CLONE_VFORK, in our memory and on a stack of its own.
 *
 * The caller fills a struct spawn_job and calls spawn_start; it returns at once, however long the
 * child hangs in chdir or execve. From then on the child reads the job's memory: nothing that it
 * points to may change or be freed before spawn_finish, which is called when gone_fd reports EOF
 * (the child has exec'd or died) or when the child has been reaped. EOF is no proof of an exec: the
 * cell says how far it came (stage WIRE_STAGE_EXEC and err 0).
 *
 * A child with an oom score of its own gets a copy of our memory instead (as fork would): writing
 * oom_score_adj changes all processes that share the memory, so ours, too. It costs some 200 us and
 * only services that ask for it pay.
 *
 * All descriptors of ours lie above SPAWN_LOW_FDS (spawn_init fills the holes below with
 * /dev/null), so that dup3 in the child never hits one that is still needed.
 *
 * A child does not get a copy of our descriptors: with a thousand services that are thousands, and
 * closing them costs more than all the rest of a start. What it needs is put on a seat, a few low
 * numbers reserved for it; it shares our descriptors for its first instructions and then leaves with
 * a copy of the low ones alone (close_range with CLOSE_RANGE_UNSHARE), which it says by a byte in the
 * error pipe. Until then the seat is its own. When all seats are taken it is started with a copy, and
 * so is one that gets listening sockets: there is no room for them on a seat.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_SPAWN_H
#define AICTL_SUPERVISOR_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct wire_child;
struct wire_rlimit;

#define SPAWN_FDS_MAX 4
#define SPAWN_LISTEN_MAX 8
#define SPAWN_PIDS_MAX 2
#define SPAWN_LOW_FDS 16
#define SPAWN_SEATS 64
#define SPAWN_SEAT_FDS (SPAWN_FDS_MAX + 3) /* the child's own, error pipe, lock, binary */

/*
 * Lies in the shared table for a service, in private memory for a helper. With an oom score it must
 * be shared memory: that child is no longer in ours.
 */
struct spawn_cell {
	int32_t pid;   /* written by the kernel before the child's first instruction */
	int32_t stage; /* enum wire_stage, written by the child */
	int32_t err;   /* errno of that stage, or 0 */
	int32_t what;  /* enum wire_what, written by the child before err */
};

/* Descriptors reserved for a child that is being started; /dev/null while nobody sits there. */
struct spawn_seat {
	int fds[SPAWN_SEAT_FDS]; /* ascending; never change */
	struct spawn_job *job;	 /* NULL = free */
	int32_t left;		 /* written by the child: it has a copy of its own */
};

struct spawn_rlimit {
	uint64_t soft, hard;
};

struct spawn_job {
	/* What the child shall be; filled by the caller. */
	const char *cwd;		 /* NULL = ours */
	char *const *paths;		 /* candidates, as execvp tries them; NULL with exec_fd */
	int exec_fd;			 /* -1, or the binary itself */
	char *const *argv, *const *envp; /* NULL-terminated */
	uint32_t uid, gid;		 /* with set_user */
	const uint32_t *groups;		 /* with set_user, supplementary */
	uint32_t n_groups;
	bool set_user;
	uint32_t umask;
	int32_t nice;			   /* 0 = ours */
	const struct wire_rlimit *rlimits; /* set as root, before the user */
	uint32_t n_rlimits;
	char oom_score[8];	/* text for oom_score_adj; "" = ours */
	bool reset_oom_score;	/* 0 after exec, by spawn_reset_oom_score */
	bool tty;		/* fds[0] becomes the controlling terminal */
	int fds[SPAWN_FDS_MAX]; /* become 0, 1, 2 (, 3); all >= SPAWN_LOW_FDS */
	int last_fd;		/* not 0: what fds[3] becomes instead; < SPAWN_LOW_FDS - 2 */
	char *pid_texts
		[SPAWN_PIDS_MAX]; /* "NAME=" with room for 11 more: the child appends its pid;
					  * or NULL */
	unsigned n_fds;
	int listen_fds
		[SPAWN_LISTEN_MAX]; /* become 3, 4, ...; >= SPAWN_LOW_FDS. Only where fds[3] is
					   * not there, or last_fd lies behind them */
	unsigned n_listen;
	struct spawn_cell *cell;
	int cgroup_fd; /* directory of the cgroup to start in; 0 = ours */

	/* Private, valid from spawn_start to spawn_finish. */
	struct spawn_seat *seat; /* NULL: the child has a copy of all our descriptors */
	bool root;		 /* we may change the user */
	struct spawn_rlimit nofile;
	int error_fd, lock_fd;
	int gone_fd; /* readable (EOF) when the child no longer uses our memory; the caller watches
		      */
	struct spawn_stack *stack;
};

#define SPAWN_GROUPS 32

struct spawner {
	int null_fd;		    /* /dev/null, read and write */
	int lock_fd;		    /* the flock'd spawn lock, shared with children until exec */
	struct spawn_rlimit nofile; /* what we inherited, restored in children */
	struct spawn_stack *free;   /* stacks not in use */
	unsigned n_free;
	struct spawn_seat seats[SPAWN_SEATS];
	int n_seats;
	int spare[2]; /* the next error pipe; -1 = none */
	bool root;
	bool protected; /* our oom score is negative; no service inherits that */
	gid_t gid;
	gid_t groups[SPAWN_GROUPS]; /* our own supplementary ones */
	int n_groups;		    /* -1 = more than that */
};

/* Opens /dev/null, fills the low descriptors, raises soft NOFILE to hard. lock_fd is taken over. */
int spawn_init(struct spawner *s, struct err **reterr);
void spawn_done(struct spawner *s);
/* A child that has exec'd and inherited our negative oom score gets 0. Not before: until then it
 * has our memory, and that is what the kernel scores. */
void spawn_reset_oom_score(int pid);
/* True when clone3 works here; false sets *reterr (some containers answer ENOSYS). */
bool spawn_supported(struct err **reterr);
/*
 * True when a child can be started in the cgroup behind fd: tried out, since the kernel (5.7), the
 * hierarchy's owner and a seccomp filter have a say in it. Waits for that child.
 */
bool spawn_works_in(struct spawner *s, int cgroup_fd);

/* A process that reads one message from a socket and throws it away: closing the descriptors that came
 * along may take as long as their sender likes (SO_LINGER). */
struct spawn_reader {
	struct spawn_stack *stack; /* NULL = none */
	int fd;
	int pidfd;
};
/* It has nothing of ours but a copy of fd. 0 or -errno. */
int spawn_read_away(struct spawner *s, struct spawn_reader *r, int fd);
/* pidfd is readable: it is reaped, and its memory is free. */
void spawn_reader_ended(struct spawner *s, struct spawn_reader *r);
/* Would the child's user be ours: same uid, gid and supplementary groups? Then set_user is not
 * needed. */
bool spawn_is_own_user(const struct spawner *s, uint32_t uid, uint32_t gid, const uint32_t *groups,
		       uint32_t n);
/* What m describes, without the descriptors and the cell. Borrows from m until spawn_finish. */
void spawn_fill(const struct spawner *s, struct spawn_job *j, const struct wire_child *m);
/* The pid and *ret_pidfd, or -errno: then nothing is left to finish. */
int spawn_start(struct spawner *s, struct spawn_job *j, int *ret_pidfd);
/* When gone_fd is readable. True at EOF: the child no longer uses our memory. */
bool spawn_gone(struct spawner *s, struct spawn_job *j);
/* Idempotent. Closes gone_fd (remove it from the loop before) and gives the stack back. */
void spawn_finish(struct spawner *s, struct spawn_job *j);

#endif
