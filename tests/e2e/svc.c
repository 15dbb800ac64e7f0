/*
 * svc: the services of the end-to-end tests in one small static program, so that a thousand of them
 * start in a moment. The first argument is what it plays:
 *
 *   svc pause                 does nothing; opens nothing, says nothing
 *   svc beat                  "start NS" (CLOCK_MONOTONIC) at start, "stop NS" at SIGTERM
 *   svc lines INTERVAL_US     "line 000000001" ... without end; "end N" at SIGTERM
 *   svc both INTERVAL_US [RUN_MS]
 *                            "out INCARNATION line 000000001" to stdout and "err ..." to stderr, "end"
 *                            instead of "line" at SIGTERM or, with exit status 3, after RUN_MS
 *   svc keep INTERVAL_US      "line 000000001 0" ...: lives on when nobody reads; a line that met no
 *                             reader is counted, and the next one tells how many there were so far
 *   svc chatter INTERVAL_US   8 KiB of lines at once, again and again
 *   svc exit CODE [AFTER_MS]  exits
 *   svc once FILE CODE AFTER_MS
 *                             says "once" and exits, holding a lock on FILE; "1" is added to it at each
 *                             start, "2" when another one holds the lock
 *   svc escape                SIGTERM ignored, and a double-forked child in a session of its own
 *                             that ignores it too
 *   svc http [DELAY_MS [stubborn]]
 *                             a server on 127.0.0.1:$PORT after DELAY_MS, on all addresses where the
 *                             environment has ANYBODY; stubborn ignores SIGTERM.
 *     /set/live/MODE, /set/ready/MODE   how /ready and every other path answer from now on:
 *                                       ok, error (500), hang (never answers), drip (a byte at a
 *                                       time), flood (1 GiB)
 *     /exit/CODE                        exits
 *   svc talk [DELAY_MS]       as http, but with requests one after the other on a connection, and it
 *                             reads what they bring. Says its incarnation and how much that was, at once;
 *                             /sleep/MS: after that time; /stream/MS: in ten chunks over it. Whoever
 *                             stops it in the middle of a request cuts that. SLOW (ms) in the
 *                             environment: all take so long besides; ERRORS (percent): so many are 500;
 *                             DROPS (percent): so many get no answer, the connection is closed
 *   svc listen WHERE...       talks where it is told: "fds" are those of LISTEN_FDS, a number is one of
 *                             them, else it is the path of a Unix socket that it makes. SIGTERM: accepts
 *                             nothing more, and ends when what it has is answered. A request for
 *                             /shutdown calls shutdown(2) on all it listens on
 *
 *   svc init PROGRAM ARG...   not a service: runs the program and reaps all that it leaves behind, as
 *                             the init of a machine does; ends after the last of them
 *   svc nosplice PROGRAM ARG...
 *                             becomes the program, for which no file system can splice
 *   svc nodiag PROGRAM ARG... becomes the program, which the kernel tells nothing of sockets
 *
 * Each connection is a thread: one that hangs or drips must not stop the others.
 *
 * SPDX-License-Identifier: MIT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum mode { MODE_OK, MODE_ERROR, MODE_HANG, MODE_DRIP, MODE_FLOOD };

static const char *const mode_names[] = {"ok", "error", "hang", "drip", "flood"};
static _Atomic int live_mode, ready_mode;
static volatile sig_atomic_t stopping;

static void on_term(int signo)
{
	(void)signo;
	stopping = 1;
}

static void set_sigterm(void (*handler)(int))
{
	struct sigaction sa = {.sa_handler = handler};

	sigaction(SIGTERM, &sa, NULL);
}

static void die_as_by(int signo)
{
	_exit(128 + signo);
}

/* The first process of a container: for it no signal has the default action, so here it has one. */
static void be_init(void)
{
	const int fatal[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
	struct sigaction sa = {.sa_handler = die_as_by};

	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &sa, NULL);
}

static void wait_ms(unsigned long ms)
{
	struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		if (stopping)
			return;
}

static unsigned long number(const char *text)
{
	unsigned long n = 0;

	if (text)
		(void)sscanf(text, "%lu", &n);
	return n;
}

/* One write per line: shorter than PIPE_BUF, so it arrives whole or not at all. */
static void say(const char *word, unsigned long long n, int width)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "%s %0*llu\n", word, width, n);

	while (write(STDOUT_FILENO, line, (size_t)len) < 0 && errno == EINTR)
		;
}

static void say_time(const char *word)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	say(word, (unsigned long long)t.tv_sec * 1000000000ULL + (unsigned long long)t.tv_nsec, 0);
}

static _Noreturn void play_pause(void)
{
	for (;;)
		pause();
}

static int play_beat(void)
{
	sigset_t set;
	int signo;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	say_time("start");
	sigwait(&set, &signo);
	say_time("stop");
	return 0;
}

static int play_lines(unsigned long interval_us)
{
	struct timespec t = {.tv_nsec = (long)interval_us * 1000};
	unsigned long long n = 0;

	set_sigterm(on_term);
	while (!stopping) {
		say("line", ++n, 9);
		if (interval_us)
			nanosleep(&t, NULL);
	}
	say("end", n, 9);
	return 0;
}

static int play_keep(unsigned long interval_us)
{
	struct timespec t = {.tv_nsec = (long)interval_us * 1000};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	unsigned long long n = 0, lost = 0;
	char line[64];

	sigaction(SIGPIPE, &ignore, NULL);
	set_sigterm(on_term);
	for (bool last = false; !last; nanosleep(&t, NULL)) {
		ssize_t k;
		int len;

		last = stopping;
		len = snprintf(line, sizeof(line), "%s %09llu %llu\n", last ? "end" : "line", ++n,
			       lost);
		do
			k = write(STDOUT_FILENO, line, (size_t)len);
		while (k < 0 && errno == EINTR);
		lost += k < 0;
	}
	return 0;
}

/* Lines on both streams that say where they belong; ends by itself after run_ms, 0 = at SIGTERM. */
static int play_both(unsigned long interval_us, unsigned long run_ms)
{
	static const char *const names[] = {"out", "err"};
	struct timespec t = {.tv_nsec = (long)interval_us * 1000}, now;
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	const char *incarnation = getenv("AICTL_INCARNATION");
	unsigned long long n = 0;
	int64_t until;
	char line[128];

	sigaction(SIGPIPE, &ignore, NULL);
	set_sigterm(on_term);
	clock_gettime(CLOCK_MONOTONIC, &now);
	until = now.tv_sec * 1000 + now.tv_nsec / 1000000 + (int64_t)run_ms;
	for (bool last = false; !last; nanosleep(&t, NULL)) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		last = stopping || (run_ms && now.tv_sec * 1000 + now.tv_nsec / 1000000 >= until);
		n++;
		for (int fd = 1; fd <= 2; fd++) {
			int len =
				snprintf(line, sizeof(line), "%s %s %s %09llu\n", names[fd - 1],
					 incarnation ? incarnation : "-", last ? "end" : "line", n);

			while (write(fd, line, (size_t)len) < 0 && errno == EINTR)
				;
		}
	}
	return run_ms ? 3 : 0;
}

static _Noreturn void play_chatter(unsigned long interval_us)
{
	static char text[8192];
	struct timespec t = {.tv_nsec = (long)interval_us * 1000};

	memset(text, 'x', sizeof(text));
	for (size_t i = 127; i < sizeof(text); i += 128)
		text[i] = '\n';
	for (;; nanosleep(&t, NULL))
		if (write(STDOUT_FILENO, text, sizeof(text)) < 0 && errno != EINTR)
			_exit(1);
}

static int play_once(const char *file, const char *code, const char *after_ms)
{
	int fd = open(file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

	if (fd < 0 || write(fd, flock(fd, LOCK_EX | LOCK_NB) < 0 ? "2" : "1", 1) != 1)
		return 99;
	if (write(STDOUT_FILENO, "once\n", 5) != 5)
		return 98;
	wait_ms(number(after_ms));
	return (int)number(code);
}

static int play_init(char **argv)
{
	int status, result = 0;
	pid_t pid, first;

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	first = fork();
	if (first == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	while ((pid = wait(&status)) > 0 || errno == EINTR)
		if (pid == first)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return result;
}

/* The architecture is not asked: whoever would change it to have its splice back may. */
static int become(char **argv, const struct sock_fprog *filter)
{
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter) < 0 &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	     prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter) < 0)) {
		perror("svc: seccomp");
		return 1;
	}
	execvp(argv[0], argv);
	return 127;
}

static int play_nosplice(char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_splice, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return become(argv,
		      &(struct sock_fprog){.len = sizeof(code) / sizeof(code[0]), .filter = code});
}

static int play_nodiag(char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NETLINK_SOCK_DIAG, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPROTONOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return become(argv,
		      &(struct sock_fprog){.len = sizeof(code) / sizeof(code[0]), .filter = code});
}

static _Noreturn void play_escape(void)
{
	set_sigterm(SIG_IGN);
	if (fork() == 0) {
		setsid();
		if (fork() != 0)
			_exit(0);
	}
	play_pause();
}

static void reply(int fd, const char *data, size_t len, size_t step)
{
	while (len) {
		ssize_t n = send(fd, data, step < len ? step : len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
		if (step == 1)
			wait_ms(100);
	}
}

static void reply_flood(int fd)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
	static const char zeros[1 << 16];

	if (send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL) < 0)
		return;
	for (size_t sent = 0; sent < (size_t)1 << 30;) {
		ssize_t n = send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL);

		if (n <= 0)
			return;
		sent += (size_t)n;
	}
}

static void reply_in_mode(int fd, enum mode mode)
{
	char text[128];
	int len;

	if (mode == MODE_HANG)
		play_pause();
	if (mode == MODE_FLOOD) {
		reply_flood(fd);
		return;
	}
	len = snprintf(text, sizeof(text),
		       "HTTP/1.1 %s\r\nContent-Length: 8\r\nConnection: close\r\n\r\n%7d\n",
		       mode == MODE_ERROR ? "500 Internal Server Error" : "200 OK", (int)getpid());
	reply(fd, text, (size_t)len, mode == MODE_DRIP ? 1 : (size_t)len);
}

/* Commands in the path: /set/... and /exit/... */
static void obey(const char *request)
{
	char which[8], name[8];

	if (sscanf(request, "GET /exit/%7[0-9]", name) == 1)
		_exit((int)number(name));
	if (sscanf(request, "GET /set/%7[a-z]/%7[a-z]", which, name) != 2)
		return;
	for (size_t i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++)
		if (strcmp(name, mode_names[i]) == 0)
			atomic_store(strcmp(which, "ready") ? &live_mode : &ready_mode, (int)i);
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char request[4096];
	ssize_t n = recv(fd, request, sizeof(request) - 1, 0);

	if (n > 0) {
		enum mode mode;

		request[n] = '\0';
		if (strncmp(request, "GET /ready", 10) == 0)
			mode = (enum mode)atomic_load(&ready_mode);
		else if (strncmp(request, "GET /set/", 9) == 0)
			mode = MODE_OK;
		else
			mode = (enum mode)atomic_load(&live_mode);
		obey(request);
		reply_in_mode(fd, mode);
	}
	close(fd);
	return NULL;
}

struct talk {
	int fd;
	char head[8192];
	size_t len; /* of what has been received and not used */
};

/* The length of a whole head; 0 = the client has gone. */
static size_t talk_head(struct talk *t)
{
	for (;;) {
		char *end;
		ssize_t n;

		t->head[t->len] = '\0';
		end = strstr(t->head, "\r\n\r\n");
		if (end)
			return (size_t)(end - t->head) + 4;
		if (t->len == sizeof(t->head) - 1)
			return 0;
		n = recv(t->fd, t->head + t->len, sizeof(t->head) - 1 - t->len, 0);
		if (n <= 0)
			return 0;
		t->len += (size_t)n;
	}
}

static void talk_use(struct talk *t, size_t n)
{
	t->len -= n;
	memmove(t->head, t->head + n, t->len);
}

/* Reads a body; false: it is not all there. */
static bool talk_body(struct talk *t, unsigned long long left)
{
	static _Thread_local char junk[65536];
	size_t n = t->len < left ? t->len : (size_t)left;

	talk_use(t, n);
	for (left -= n; left > 0;) {
		ssize_t got =
			recv(t->fd, junk, left < sizeof(junk) ? (size_t)left : sizeof(junk), 0);

		if (got <= 0)
			return false;
		left -= (unsigned long long)got;
	}
	return true;
}

static void talk_stream(int fd, const char *text, unsigned long ms)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
	char chunk[128];
	int len = snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", strlen(text), text);

	reply(fd, head, sizeof(head) - 1, sizeof(head) - 1);
	for (int i = 0; i < 10; i++) {
		wait_ms(ms / 10);
		reply(fd, chunk, (size_t)len, (size_t)len);
	}
	reply(fd, "0\r\n\r\n", 5, 5);
}

#define LISTENERS_MAX 16

static struct pollfd listeners[LISTENERS_MAX];
static int n_listeners;

static void talk_shutdown(void)
{
	for (int i = 0; i < n_listeners; i++)
		shutdown(listeners[i].fd, SHUT_RDWR);
}

/* As often as that variable says. */
static bool talk_chance(const char *name)
{
	static _Atomic unsigned seed = 12345;
	const char *percent = getenv(name);

	if (!percent)
		return false;
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % 100 < number(percent);
}

static void talk_reply(int fd, const char *path, unsigned long long bytes)
{
	const char *me = getenv("AICTL_INCARNATION");
	char text[100], all[256], ms[8] = "";
	int len = snprintf(text, sizeof(text), "{\"me\":\"%.40s\",\"bytes\":%llu}\n", me ? me : "",
			   bytes);

	if (sscanf(path, "/stream/%7[0-9]", ms) == 1) {
		talk_stream(fd, text, number(ms));
		return;
	}
	if (sscanf(path, "/sleep/%7[0-9]", ms) == 1)
		wait_ms(number(ms));
	if (strcmp(path, "/shutdown") == 0)
		talk_shutdown();
	if (getenv("SLOW"))
		wait_ms(number(getenv("SLOW")));
	len = snprintf(all, sizeof(all), "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s",
		       talk_chance("ERRORS") ? "500 Oops" : "200 OK", len, text);
	reply(fd, all, (size_t)len, (size_t)len);
}

static void *talk(void *arg)
{
	struct talk t = {.fd = (int)(intptr_t)arg};
	char path[64];
	size_t head;

	while ((head = talk_head(&t)) > 0) {
		const char *length = strcasestr(t.head, "\r\nContent-Length:");
		unsigned long long bytes = 0;
		bool last = strcasestr(t.head, "\r\nConnection: close");

		if (length && sscanf(length + 17, "%llu", &bytes) != 1)
			break;
		if (sscanf(t.head, "%*15[A-Z] %63[^ ]", path) != 1)
			break;
		talk_use(&t, head);
		if (!talk_body(&t, bytes) || talk_chance("DROPS"))
			break;
		talk_reply(t.fd, path, bytes);
		if (last)
			break;
	}
	close(t.fd);
	return NULL;
}

/* ---- svc listen ---- */

static _Atomic int n_talking;

static void *talk_counted(void *arg)
{
	talk(arg);
	atomic_fetch_sub(&n_talking, 1);
	return NULL;
}

static bool add_listener(int fd)
{
	if (fd < 0 || n_listeners == LISTENERS_MAX)
		return false;
	listeners[n_listeners++] = (struct pollfd){.fd = fd, .events = POLLIN};
	return true;
}

static bool listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(a.sun_path))
		return false;
	memcpy(a.sun_path, path, strlen(path));
	return bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1024) == 0 &&
	       add_listener(fd);
}

static bool listen_where(const char *where)
{
	const char *pid = getenv("LISTEN_PID");
	int n = (int)number(getenv("LISTEN_FDS"));

	if (where[0] == '/')
		return listen_at(where);
	if (!pid || number(pid) != (unsigned long)getpid())
		return false;
	if (strcmp(where, "fds") != 0)
		return (int)number(where) < 3 + n && add_listener((int)number(where));
	for (int i = 0; i < n; i++)
		if (!add_listener(3 + i))
			return false;
	return n > 0;
}

static void accept_all(int fd)
{
	int client;

	while (!stopping && (client = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		pthread_t thread;

		atomic_fetch_add(&n_talking, 1);
		if (pthread_create(&thread, NULL, talk_counted, (void *)(intptr_t)client) == 0) {
			pthread_detach(thread);
			continue;
		}
		close(client);
		atomic_fetch_sub(&n_talking, 1);
	}
}

static int play_listen(char **where)
{
	set_sigterm(on_term);
	for (; *where; where++) {
		if (listen_where(*where))
			continue;
		fprintf(stderr, "svc listen: %s: not there\n", *where);
		return 1;
	}
	while (!stopping) {
		poll(listeners, (nfds_t)n_listeners, 20);
		for (int i = 0; i < n_listeners; i++)
			if (listeners[i].revents & POLLIN)
				accept_all(listeners[i].fd);
	}
	for (int i = 0; i < n_listeners; i++)
		close(listeners[i].fd);
	while (atomic_load(&n_talking) > 0)
		wait_ms(5);
	return 0;
}

static _Noreturn void play_http(unsigned long delay_ms, bool stubborn, void *(*serve_one)(void *))
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd, on = 1;

	if (stubborn)
		set_sigterm(SIG_IGN);
	wait_ms(delay_ms);
	a.sin_port = htons((uint16_t)number(getenv("PORT")));
	a.sin_addr.s_addr = htonl(getenv("ANYBODY") ? INADDR_ANY : INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1024) < 0) {
		perror("svc http");
		_exit(1);
	}
	for (;;) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;

		if (client < 0)
			continue;
		if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)client) == 0)
			pthread_detach(thread);
		else
			close(client);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : NULL;

	if (getpid() == 1)
		be_init();
	if (strcmp(what, "pause") == 0)
		play_pause();
	if (strcmp(what, "beat") == 0)
		return play_beat();
	if (strcmp(what, "lines") == 0)
		return play_lines(number(arg));
	if (strcmp(what, "keep") == 0)
		return play_keep(number(arg));
	if (strcmp(what, "both") == 0)
		return play_both(number(arg), number(argc > 3 ? argv[3] : NULL));
	if (strcmp(what, "chatter") == 0)
		play_chatter(number(arg));
	if (strcmp(what, "once") == 0 && argc == 5)
		return play_once(arg, argv[3], argv[4]);
	if (strcmp(what, "init") == 0 && argc > 2)
		return play_init(argv + 2);
	if (strcmp(what, "nosplice") == 0 && argc > 2)
		return play_nosplice(argv + 2);
	if (strcmp(what, "nodiag") == 0 && argc > 2)
		return play_nodiag(argv + 2);
	if (strcmp(what, "escape") == 0)
		play_escape();
	if (strcmp(what, "http") == 0)
		play_http(number(arg), argc > 3, serve);
	if (strcmp(what, "talk") == 0)
		play_http(number(arg), false, talk);
	if (strcmp(what, "listen") == 0 && argc > 2)
		return play_listen(argv + 2);
	if (strcmp(what, "exit") == 0) {
		wait_ms(argc > 3 ? number(argv[3]) : 0);
		return (int)number(arg);
	}
	fprintf(stderr, "svc: unknown part '%s'\n", what);
	return 2;
}
