/* dirs: see dirs.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/options.h"
#include "daemon/supervisor/proc.h"
#include "daemon/supervisor/reexec.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/state_lock.h"

#define LOCK_TRIES 20 /* one that was killed may not be quite dead yet */
#define LOCK_PAUSE_MS 20
#define FOREIGN_TRIES 25 /* of LOCK_PAUSE_MS: less than */
#define LOOK_MS 2000
#define SPAWN_LOCK_TRIES 20
#define SPAWN_LOCK_PAUSE_MS 100

static int find_user(const char *name, struct helper_user *u, struct err **reterr)
{
	const struct passwd *pw = getpwnam(name);

	if (!pw) {
		err_set(reterr, ERR_NOTFOUND, "the system user %s does not exist", name);
		err_hint(reterr,
			 "run scripts/deps, or: groupadd --system aictl; "
			 "useradd --system --no-create-home --home-dir /nonexistent "
			 "--shell /usr/sbin/nologin --gid aictl %s",
			 name);
		return -ERR_NOTFOUND;
	}
	*u = (struct helper_user){.set = true, .uid = pw->pw_uid, .gid = pw->pw_gid};
	return 0;
}

void dirs_init(struct dirs *d)
{
	*d = (struct dirs){.group = (gid_t)-1, .sup_fd = -1, .lock_fd = -1, .access_fd = -1};
	for (unsigned i = 0; i < DIRS_HALF_MADE_MAX; i++)
		d->half_made_fds[i] = -1;
}

int dirs_find_users(struct dirs *d, struct err **reterr)
{
	const struct group *gr;
	int r;

	dirs_init(d);
	if (geteuid() != 0)
		return 0;
	r = find_user("aictl", &d->controller, reterr);
	if (r == 0)
		r = find_user("aictl-log", &d->logger, reterr);
	if (r < 0)
		return r;
	find_user("aictl-gw", &d->gateway, NULL); /* first missed when a port is to be served */
	find_user("aictl-rt", &d->runtime, NULL); /* first missed when a runtime is enabled */
	gr = getgrnam("aictl");
	if (!gr) {
		err_set(reterr, ERR_NOTFOUND, "the system group aictl does not exist");
		err_hint(reterr, "run scripts/deps, or: groupadd --system aictl");
		return -ERR_NOTFOUND;
	}
	d->group = gr->gr_gid;
	d->controller.groups[d->controller.n_groups++] = gr->gr_gid; /* the logger gets none: it may
								      * not use the API */
	if (d->gateway.set) /* it probes where the gateway asks, see sockets.h */
		d->controller.groups[d->controller.n_groups++] = d->gateway.gid;
	return 0;
}

struct want {
	const char *path;
	mode_t mode;
	uid_t uid;
	gid_t gid; /* -1 = as it is */
};

/* Owner and mode of an open directory; what is new, or still root's, becomes the owner's. */
static int settle(int fd, const struct want *w, bool created, struct err **reterr)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(reterr, errno, "cannot look at %s", w->path);
	if (st.st_uid != w->uid && st.st_uid != geteuid())
		return err_set(reterr, ERR_PERM, "%s belongs to user %u, want %u", w->path,
			       st.st_uid, w->uid);
	if (!created && st.st_mode & 022)
		return err_set(reterr, ERR_PERM, "%s may be written by others (mode %03o)", w->path,
			       st.st_mode & 07777);
	if ((st.st_uid != w->uid || (w->gid != (gid_t)-1 && st.st_gid != w->gid)) &&
	    fchown(fd, w->uid, w->gid) < 0)
		return err_sys(reterr, errno, "cannot change the owner of %s", w->path);
	if ((created || st.st_uid != w->uid) && fchmod(fd, w->mode) < 0)
		return err_sys(reterr, errno, "cannot set the mode of %s", w->path);
	return 0;
}

/* *ret_fd may be NULL. A symlink as last part is refused. */
static int make_dir(const struct want *w, int *ret_fd, struct err **reterr)
{
	_cleanup_free_ char *parent = fs_dirname(w->path);
	_cleanup_close_ int fd = -1;
	bool created;
	int r;

	if (!parent)
		return err_nomem(reterr);
	r = fs_mkdir_p(parent, 0755, reterr);
	if (r < 0)
		return r;
	created = mkdir(w->path, 0700) == 0;
	if (!created && errno != EEXIST)
		return err_sys(reterr, errno, "cannot create %s", w->path);
	fd = open(w->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(reterr, errno, "cannot open directory %s", w->path);
	r = settle(fd, w, created, reterr);
	if (r == 0 && ret_fd)
		*ret_fd = TAKE_FD(fd);
	return r;
}

/* Which state directory it is. */
static int make_state_dir(struct dirs *d, const struct want *w, struct err **reterr)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = make_dir(w, &fd, reterr);

	if (r == 0 && fstat(fd, &st) == 0) {
		d->state_dev = (uint64_t)st.st_dev;
		d->state_ino = (uint64_t)st.st_ino;
	}
	return r;
}

/*
 * The lock of what we were before a reexec: still held, and lost when any of its descriptors is closed.
 * To lock what we hold changes nothing; it fails where somebody else holds it.
 */
static bool take_given_lock(struct dirs *d, int fd)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct stat a, b;

	if (fd < 0 || fstat(fd, &a) < 0 ||
	    fstatat(d->sup_fd, "lock", &b, AT_SYMLINK_NOFOLLOW) < 0 || a.st_dev != b.st_dev ||
	    a.st_ino != b.st_ino || fcntl(fd, F_SETLK, &l) < 0)
		return false;
	d->lock_fd = fd;
	return true;
}

/* Who holds the lock; 0 = nobody any more. */
static int lock_holder(int fd)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_GETLK, &l) < 0 || l.l_type == F_UNLCK ? 0 : (int)l.l_pid;
}

static bool is_dead(int pid)
{
	_cleanup_close_ int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;

	return pid > 0 && (pidfd < 0 ? errno == ESRCH : !proc_lives(pidfd)); /* a zombie is */
}

/* 0: locked, and it is the file of that name. -EAGAIN, with *holder: somebody's. Else -errno. */
static int try_lock(struct dirs *d, int *holder)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct stat a, b;

	*holder = 0;
	mem_closep(&d->lock_fd);
	d->lock_fd = openat(d->sup_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (d->lock_fd < 0)
		return -errno;
	if (fcntl(d->lock_fd, F_SETLK, &l) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		*holder = lock_holder(d->lock_fd);
		return -EAGAIN;
	}
	if (fstat(d->lock_fd, &a) < 0 || fstatat(d->sup_fd, "lock", &b, AT_SYMLINK_NOFOLLOW) < 0 ||
	    a.st_ino != b.st_ino)
		return -EAGAIN; /* another new one has put it aside meanwhile */
	return 0;
}

/*
 * A child shares our descriptors, and with them our locks, for its first instructions: it holds the
 * lock of an aictld that was killed just then. Mostly it is a matter of microseconds; one that is
 * frozen there keeps it, so its lock file is put aside. One new aictld at a time does that.
 */
static int put_aside(struct dirs *d)
{
	int holder, r;

	if (flock(d->sup_fd, LOCK_EX | LOCK_NB) < 0)
		return -EAGAIN;
	r = try_lock(d, &holder);
	if (r == -EAGAIN && is_dead(holder)) {
		log_warn("pid=%d is dead, and a half-made child holds its lock, going on without",
			 holder);
		unlinkat(d->sup_fd, "lock", 0);
		r = try_lock(d, &holder);
	}
	flock(d->sup_fd, LOCK_UN);
	return r;
}

static int take_lock(struct dirs *d, const char *runtime_dir, int given, struct err **reterr)
{
	int holder = 0, r;

	if (take_given_lock(d, given))
		return 0;
	r = try_lock(d, &holder);
	for (int i = 0; i < LOCK_TRIES && r == -EAGAIN; i++) {
		poll(NULL, 0, LOCK_PAUSE_MS);
		r = try_lock(d, &holder);
	}
	if (r == -EAGAIN && is_dead(holder))
		r = put_aside(d);
	if (r < 0 && r != -EAGAIN)
		return err_sys(reterr, -r, "cannot lock %s/sup/lock", runtime_dir);
	if (r < 0)
		return err_set(reterr, ERR_CONFLICT, "aictld is already running on %s as pid %d",
			       runtime_dir, holder);
	return 0;
}

/* Says on stdout who else uses the state directory; one that is ending gets a moment. */
static void look_at_lock(const char *state_dir, const char *runtime_dir)
{
	struct state_lock_holder holder;
	char who[STATE_LOCK_TEXT];
	int i = 0;

	while (state_lock_is_foreign(state_dir, runtime_dir, &holder)) {
		if (i++ < FOREIGN_TRIES) {
			poll(NULL, 0, LOCK_PAUSE_MS);
			continue;
		}
		state_lock_say(&holder, who, sizeof(who));
		printf("%s\n", who);
		return;
	}
}

int dirs_look_main(int n, char **dirs)
{
	if (n > 2)
		look_at_lock(dirs[1], dirs[0]);
	for (int i = 1; i < n; i++) {
		_cleanup_close_ int fd = open(dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct stat st;

		if (fd >= 0)
			fstat(fd, &st);
	}
	return 0;
}

static int start_look(const struct options *o, int out_fd, pid_t *ret_pid)
{
	char *const argv[] = {(char *)"aictld",	  (char *)"--look-at", o->paths.runtime_dir,
			      o->paths.state_dir, o->paths.log_dir,    NULL};
	posix_spawn_file_actions_t files;
	int r;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&files, out_fd, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_RDWR, 0);
	r = posix_spawn(ret_pid, "/proc/self/exe", &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	return -r;
}

/* Do the directories answer? They may lie on a mount that hangs, and what they hold is no business of
 * ours: a child looks. user: who else uses them, or "". */
static bool do_answer(const struct options *o, char *user, size_t size)
{
	_cleanup_close_ int pidfd = -1, in = -1, out = -1;
	struct pollfd p = {.events = POLLIN};
	int pipe_fds[2];
	pid_t pid;
	ssize_t n;

	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return true;
	in = pipe_fds[0];
	out = pipe_fds[1];
	if (start_look(o, out, &pid) < 0)
		return true;
	p.fd = pidfd = pidfd_open(pid, 0);
	if (pidfd >= 0 && poll(&p, 1, LOOK_MS) == 0) {
		kill(pid, SIGKILL);
		return false; /* reaped by the loop, if ever */
	}
	waitpid(pid, NULL, 0);
	n = read(in, user, size - 1);
	user[n > 0 ? n : 0] = '\0';
	user[strcspn(user, "\n")] = '\0';
	return true;
}

/* False, and no error: they do not answer. */
static bool look(const struct options *o, struct err **reterr)
{
	char user[STATE_LOCK_TEXT] = "";

	if (!do_answer(o, user, sizeof(user)))
		return false;
	if (*user) {
		err_set(reterr, ERR_CONFLICT, "the state directory %s is in use by %s",
			o->paths.state_dir, user);
		err_hint(reterr, "stop that one first, or give this one a --state-dir of its own");
	}
	return true;
}

/* Its name is no service's. */
static void make_access_dir(struct dirs *d, const struct options *o)
{
	bool root = geteuid() == 0;
	_cleanup_free_ char *path = mem_printf("%s/_gateway", o->paths.log_dir);
	const struct want want = {path, root ? 02750 : 0700, root ? d->gateway.uid : geteuid(),
				  d->group};
	_cleanup_err_ struct err *err = NULL;

	if (!path || (root && !d->gateway.set))
		return;
	if (make_dir(&want, &d->access_fd, &err) < 0)
		log_warn("%s, there will be no access log", err_msg(err));
}

int dirs_prepare(struct dirs *d, const struct options *o, struct err **reterr)
{
	bool root = geteuid() == 0;
	uid_t me = geteuid();
	_cleanup_free_ char *sup = mem_printf("%s/sup", o->paths.runtime_dir);
	const struct want runtime = {o->paths.runtime_dir, root ? 0755 : 0700, me, (gid_t)-1};
	/* Readable: the logger watches it for the socket of the next aictld. The names tell nothing. */
	const struct want sup_dir = {sup, root ? 0755 : 0700, me, (gid_t)-1};
	const struct want state = {o->paths.state_dir, 0700, root ? d->controller.uid : me,
				   root ? d->controller.gid : (gid_t)-1};
	const struct want logs = {o->paths.log_dir, root ? 02750 : 0700, root ? d->logger.uid : me,
				  d->group};
	struct err *used = NULL;
	bool again, answer;
	int r;

	if (!sup)
		return err_nomem(reterr);
	r = make_dir(&runtime, NULL, reterr);
	if (r == 0)
		r = make_dir(&sup_dir, &d->sup_fd, reterr);
	if (r == 0 && fchmod(d->sup_fd, sup_dir.mode) < 0) /* of an older build */
		r = err_sys(reterr, errno, "cannot set the mode of %s", sup);
	again = r == 0 && faccessat(d->sup_fd, "lock", F_OK, 0) == 0;
	if (r == 0)
		r = take_lock(d, o->paths.runtime_dir, o->self->lock_fd, reterr);
	answer = r < 0 || look(o, &used);
	if (used) {
		*reterr = used;
		return -ERR_CONFLICT;
	}
	if (!answer && again) {
		log_error("%s or %s does not answer, going on without a look at them",
			  o->paths.state_dir, o->paths.log_dir);
		return 0; /* they were made at an earlier start */
	}
	if (r == 0)
		r = make_state_dir(d, &state, reterr);
	if (r == 0)
		r = make_dir(&logs, NULL, reterr);
	if (r == 0)
		make_access_dir(d, o);
	return r;
}

static int open_spawn_lock(struct dirs *d, struct err **reterr)
{
	int fd = openat(d->sup_fd, "spawn.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? err_sys(reterr, errno, "cannot open the spawn lock") : fd;
}

static char *half_made_name(unsigned number, char name[32])
{
	snprintf(name, 32, "spawn.lock.%u", number);
	return name;
}

bool dirs_have_half_made(struct dirs *d)
{
	bool any = false;

	for (unsigned i = 0; i < DIRS_HALF_MADE_MAX; i++) {
		int *fd = &d->half_made_fds[i];
		char name[32];

		if (*fd < 0)
			continue;
		if (flock(*fd, LOCK_EX | LOCK_NB) < 0) {
			any = true;
			continue;
		}
		unlinkat(d->sup_fd, half_made_name(i, name), 0);
		mem_closep(fd);
	}
	return any;
}

/* What former ones put aside. */
static void find_half_made(struct dirs *d)
{
	char name[32];

	for (unsigned i = 0; i < DIRS_HALF_MADE_MAX; i++)
		d->half_made_fds[i] =
			openat(d->sup_fd, half_made_name(i, name), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	dirs_have_half_made(d);
}

/* The lock that a child holds gets another name, and we a new one. */
static void keep_half_made(struct dirs *d, int fd)
{
	unsigned n = 0;
	char name[32];

	while (n < DIRS_HALF_MADE_MAX - 1 && d->half_made_fds[n] >= 0)
		n++;
	mem_closep(&d->half_made_fds[n]);
	d->half_made_fds[n] = fd;
	if (renameat(d->sup_fd, "spawn.lock", d->sup_fd, half_made_name(n, name)) < 0)
		unlinkat(d->sup_fd, "spawn.lock", 0);
}

int dirs_take_spawn_lock(struct dirs *d, int *ret_fd, struct err **reterr)
{
	int fd = open_spawn_lock(d, reterr);

	find_half_made(d);
	for (int i = 0; fd >= 0 && i < SPAWN_LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			*ret_fd = fd;
			return 0;
		}
		poll(NULL, 0, SPAWN_LOCK_PAUSE_MS);
	}
	if (fd < 0)
		return fd;
	log_warn("a half-made child of a former aictld hangs, going on without it");
	keep_half_made(d, fd);
	fd = open_spawn_lock(d, reterr);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return err_sys(reterr, errno, "cannot take the spawn lock");
	}
	*ret_fd = fd;
	return 0;
}

void dirs_done(struct dirs *d)
{
	mem_closep(&d->sup_fd);
	mem_closep(&d->lock_fd);
	mem_closep(&d->access_fd);
	for (unsigned i = 0; i < DIRS_HALF_MADE_MAX; i++)
		mem_closep(&d->half_made_fds[i]);
}
