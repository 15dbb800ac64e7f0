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

#define LOCK_TRIES 20 /* one that was killed may not be quite dead yet */
#define LOCK_PAUSE_MS 20
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

int dirs_find_users(struct dirs *d, struct err **reterr)
{
	const struct group *gr;
	int r;

	*d = (struct dirs){.group = (gid_t)-1, .sup_fd = -1, .lock_fd = -1, .half_made_fd = -1};
	if (geteuid() != 0)
		return 0;
	r = find_user("aictl", &d->controller, reterr);
	if (r == 0)
		r = find_user("aictl-log", &d->logger, reterr);
	if (r < 0)
		return r;
	gr = getgrnam("aictl");
	if (!gr) {
		err_set(reterr, ERR_NOTFOUND, "the system group aictl does not exist");
		err_hint(reterr, "run scripts/deps, or: groupadd --system aictl");
		return -ERR_NOTFOUND;
	}
	d->group = gr->gr_gid;
	d->controller.group = gr->gr_gid;
	d->controller.n_groups = 1; /* the logger gets none: it may not use the API */
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

/* The lock of what we were before a reexec: still held, and lost when any of its descriptors is closed. */
static bool take_given_lock(struct dirs *d, int fd)
{
	struct stat a, b;

	if (fd < 0 || fstat(fd, &a) < 0 ||
	    fstatat(d->sup_fd, "lock", &b, AT_SYMLINK_NOFOLLOW) < 0 || a.st_dev != b.st_dev ||
	    a.st_ino != b.st_ino)
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

int dirs_look_main(int n, char **dirs)
{
	for (int i = 0; i < n; i++) {
		_cleanup_close_ int fd = open(dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct stat st;

		if (fd >= 0)
			fstat(fd, &st);
	}
	return 0;
}

static int start_look(const struct options *o, pid_t *ret_pid)
{
	char *const argv[] = {(char *)"aictld", (char *)"--look-at", o->paths.state_dir,
			      o->paths.log_dir, NULL};
	posix_spawn_file_actions_t files;
	int r;

	posix_spawn_file_actions_init(&files);
	for (int fd = 0; fd <= 2; fd++)
		posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
	r = posix_spawn(ret_pid, "/proc/self/exe", &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	return -r;
}

/* Do the directories answer? They may lie on a mount that hangs, and what they hold is no business of
 * ours: a child looks. */
static bool do_answer(const struct options *o)
{
	_cleanup_close_ int pidfd = -1;
	struct pollfd p = {.events = POLLIN};
	pid_t pid;

	if (start_look(o, &pid) < 0)
		return true;
	p.fd = pidfd = pidfd_open(pid, 0);
	if (pidfd < 0 || poll(&p, 1, LOOK_MS) != 0) {
		waitpid(pid, NULL, 0);
		return true;
	}
	kill(pid, SIGKILL);
	return false; /* reaped by the loop, if ever */
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
	bool again;
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
	if (r == 0 && again && !do_answer(o)) {
		log_error("%s or %s does not answer, going on without a look at them",
			  o->paths.state_dir, o->paths.log_dir);
		return 0; /* they were made at an earlier start */
	}
	if (r == 0)
		r = make_dir(&state, NULL, reterr);
	if (r == 0)
		r = make_dir(&logs, NULL, reterr);
	return r;
}

static int open_spawn_lock(struct dirs *d, struct err **reterr)
{
	int fd = openat(d->sup_fd, "spawn.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? err_sys(reterr, errno, "cannot open the spawn lock") : fd;
}

int dirs_take_spawn_lock(struct dirs *d, int *ret_fd, struct err **reterr)
{
	int fd = open_spawn_lock(d, reterr);

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
	d->half_made_fd = fd;
	unlinkat(d->sup_fd, "spawn.lock", 0);
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
	mem_closep(&d->half_made_fd);
}
