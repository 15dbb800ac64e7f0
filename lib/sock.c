/* sock: see sock.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"

/*
 * Fills *addr for path; a long path goes by way of its directory's descriptor, returned in *dir_fd,
 * which must stay open until bind or connect is done.
 */
static int make_addr(const char *path, struct sockaddr_un *addr, int *dir_fd, struct err **reterr)
{
	_cleanup_free_ char *dir = NULL;
	const char *base;

	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	*dir_fd = -1;
	if (!path[0])
		return err_set(reterr, ERR_INVALID, "the path of a socket is empty");
	if (strlen(path) < sizeof(addr->sun_path)) {
		memcpy(addr->sun_path, path, strlen(path) + 1);
		return 0;
	}
	base = strrchr(path, '/');
	if (!base || strlen(base) > 64)
		return err_set(reterr, ERR_INVALID, "socket path %s is too long", path);
	dir = fs_dirname(path);
	if (!dir)
		return err_nomem(reterr);
	*dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir_fd < 0)
		return err_sys(reterr, errno, "cannot open directory %s", dir);
	snprintf(addr->sun_path, sizeof(addr->sun_path), "/proc/self/fd/%d%s", *dir_fd, base);
	return 0;
}

/* Removes an old socket file at `at`; anything else there is not ours to remove. */
static int remove_stale(const char *at, const char *path, struct err **reterr)
{
	struct stat st;

	if (lstat(at, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(reterr, errno, "cannot look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(reterr, ERR_CONFLICT, "%s is there and is not a socket", path);
	if (unlink(at) < 0 && errno != ENOENT)
		return err_sys(reterr, errno, "cannot replace %s", path);
	return 0;
}

int sock_listen(const char *path, mode_t mode, gid_t gid, int backlog, int *ret_fd,
		struct err **reterr)
{
	_cleanup_close_ int dir_fd = -1;
	_cleanup_close_ int fd = -1;
	struct sockaddr_un addr;
	mode_t old;
	int r;

	r = make_addr(path, &addr, &dir_fd, reterr);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(reterr, errno, "cannot create a socket");
	r = remove_stale(addr.sun_path, path, reterr);
	if (r < 0)
		return r;
	old = umask(0777);
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	umask(old);
	if (r < 0)
		return err_sys(reterr, errno, "cannot bind %s", path);
	if (gid != (gid_t)-1 && chown(addr.sun_path, (uid_t)-1, gid) < 0)
		return err_sys(reterr, errno, "cannot give %s to its group", path);
	if (listen(fd, backlog) < 0)
		return err_sys(reterr, errno, "cannot listen on %s", path);
	if (chmod(addr.sun_path, mode) < 0) /* last: nobody connects before all is set */
		return err_sys(reterr, errno, "cannot set the mode of %s", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* type: of the socket, with its flags. */
static int connect_to(const char *path, int type, int timeout_ms, int *ret_fd, struct err **reterr)
{
	struct timeval tv = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	_cleanup_close_ int dir_fd = -1;
	_cleanup_close_ int fd = -1;
	struct sockaddr_un addr;
	int r;

	r = make_addr(path, &addr, &dir_fd, reterr);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(reterr, errno, "cannot create a socket");
	if (timeout_ms > 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
			       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0))
		return err_sys(reterr, errno, "cannot set a socket's time-out");
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		if (errno != EINTR)
			return err_sys(reterr, errno, "cannot connect to %s", path);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int sock_connect(const char *path, int timeout_ms, int *ret_fd, struct err **reterr)
{
	return connect_to(path, SOCK_STREAM, timeout_ms, ret_fd, reterr);
}

int sock_connect_packets(const char *path, int *ret_fd, struct err **reterr)
{
	return connect_to(path, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ret_fd, reterr);
}

int sock_at(const char *path)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISSOCK(st.st_mode) ? TAKE_FD(fd) : -ENOTSOCK;
}

int sock_pair(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0
		       ? -errno
		       : 0;
}

int sock_peer(int fd, struct sock_peer *ret)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) < 0)
		return -errno;
	*ret = (struct sock_peer){.pid = c.pid, .uid = c.uid, .gid = c.gid};
	return 0;
}

bool sock_peer_in_group(int fd, gid_t gid)
{
	gid_t some[64], *groups = some;
	_cleanup_free_ gid_t *many = NULL;
	socklen_t len = sizeof(some);
	struct sock_peer p;
	int r;

	if (sock_peer(fd, &p) == 0 && p.gid == gid)
		return true;
	r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, some, &len);
	if (r < 0 && errno == ERANGE) { /* len is now what it takes; they do not change any more */
		groups = many = mem_array(1, len);
		if (!many)
			return false;
		r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, many, &len);
	}
	if (r < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* ---- TCP ---- */

bool sock_parse_tcp(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN] = "";
	int64_t port;

	*ret = (struct sockaddr_storage){0};
	if (n == 0 || parse_i64(colon + 1, 1, 65535, &port, NULL) < 0)
		return false;
	if (text[0] == '[' && text[n - 1] == ']' && n - 2 < sizeof(host)) {
		memcpy(host, text + 1, n - 2);
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		*ret_len = sizeof(*v6);
		return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
	}
	if (n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t)port);
	*ret_len = sizeof(*v4);
	return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

int sock_listen_tcp(const char *text, int backlog, int *ret_fd, struct err **reterr)
{
	const int on = 1;
	_cleanup_close_ int fd = -1;
	struct sockaddr_storage at;
	socklen_t len;

	if (!sock_parse_tcp(text, &at, &len))
		return err_set(reterr, ERR_INVALID, "%s is no ADDRESS:PORT", text);
	fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(reterr, errno, "cannot create a socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (at.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    bind(fd, (const struct sockaddr *)&at, len) < 0 || listen(fd, backlog) < 0)
		return err_sys(reterr, errno, "cannot listen on %s", text);
	*ret_fd = TAKE_FD(fd);
	return 0;
}
