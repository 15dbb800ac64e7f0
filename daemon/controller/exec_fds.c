/* exec_fds: see exec_fds.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/exec_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/mem.h"

void exec_fds_close(struct exec_fds *f)
{
	mem_closep(&f->in);
	mem_closep(&f->out);
	mem_closep(&f->err);
	if (f->child[0] == f->child[1]) /* a terminal */
		f->child[1] = f->child[2] = -1;
	for (int i = 0; i < 3; i++)
		mem_closep(&f->child[i]);
}

/* ours: which end of the pipe is non-blocking. */
static int make_pipe(int *ours, int *theirs, int ours_end)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ours = ends[ours_end];
	*theirs = ends[1 - ours_end];
	return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int open_pipes(struct exec_fds *f)
{
	int r = make_pipe(&f->in, &f->child[0], 1);

	if (r == 0)
		r = make_pipe(&f->out, &f->child[1], 0);
	if (r == 0)
		r = make_pipe(&f->err, &f->child[2], 0);
	return r;
}

/* The slave belongs to us; aictld gives it to the service's user. */
static int open_terminal(struct exec_fds *f)
{
	struct termios t;
	char name[64];

	f->out = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (f->out < 0 || unlockpt(f->out) < 0 || ptsname_r(f->out, name, sizeof(name)) != 0 ||
	    fcntl(f->out, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	f->child[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (f->child[0] < 0)
		return -errno;
	f->child[1] = f->child[0];
	f->child[2] = f->child[0];
	if (tcgetattr(f->child[0], &t) == 0) {
		t.c_iflag |= IUTF8; /* erase takes a whole character */
		tcsetattr(f->child[0], TCSANOW, &t);
	}
	return 0;
}

int exec_fds_open(struct exec_fds *f, bool tty, struct err **reterr)
{
	int r;

	*f = (struct exec_fds){-1, -1, -1, {-1, -1, -1}};
	r = tty ? open_terminal(f) : open_pipes(f);
	if (r == 0)
		return 0;
	exec_fds_close(f);
	return err_sys(reterr, -r, tty ? "cannot open a terminal" : "pipe");
}

void exec_fds_resize(int master, unsigned rows, unsigned columns)
{
	const struct winsize size = {.ws_row = (unsigned short)rows,
				     .ws_col = (unsigned short)columns};

	if (rows && columns)
		(void)ioctl(master, TIOCSWINSZ, &size);
}
