/*
 * svc: the services of the end-to-end tests in one small static program, so that a thousand of them
 * start in a moment. The first argument is what it plays:
 *
 *   svc pause                 does nothing; opens nothing, says nothing
 *   svc beat                  "start NS" (CLOCK_MONOTONIC) at start, "stop NS" at SIGTERM
 *   svc lines INTERVAL_US     "line 000000001" ... without end; "end N" at SIGTERM
 *   svc keep INTERVAL_US      "line 000000001 0" ...: lives on when nobody reads; a line that met no
 *                             reader is counted, and the next one tells how many there were so far
 *   svc exit CODE [AFTER_MS]  exits
 *   svc once FILE CODE AFTER_MS
 *                             says "once" and exits, holding a lock on FILE; "1" is added to it at each
 *                             start, "2" when another one holds the lock
 *   svc escape                SIGTERM ignored, and a double-forked child in a session of its own
 *                             that ignores it too
 *   svc http [DELAY_MS [stubborn]]
 *                             a server on 127.0.0.1:$PORT after DELAY_MS; stubborn ignores SIGTERM.
 *     /set/live/MODE, /set/ready/MODE   how /ready and every other path answer from now on:
 *                                       ok, error (500), hang (never answers), drip (a byte at a
 *                                       time), flood (1 GiB)
 *     /exit/CODE                        exits
 *
 *   svc init PROGRAM ARG...   not a service: runs the program and reaps all that it leaves behind, as
 *                             the init of a machine does; ends after the last of them
 *
 * Each connection is a thread: one that hangs or drips must not stop the others.
 *
 * SPDX-License-Identifier: MIT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

static _Noreturn void play_http(unsigned long delay_ms, bool stubborn)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd, on = 1;

	if (stubborn)
		set_sigterm(SIG_IGN);
	wait_ms(delay_ms);
	a.sin_port = htons((uint16_t)number(getenv("PORT")));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0) {
		perror("svc http");
		_exit(1);
	}
	for (;;) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;

		if (client < 0)
			continue;
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)client) == 0)
			pthread_detach(thread);
		else
			close(client);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : NULL;

	if (strcmp(what, "pause") == 0)
		play_pause();
	if (strcmp(what, "beat") == 0)
		return play_beat();
	if (strcmp(what, "lines") == 0)
		return play_lines(number(arg));
	if (strcmp(what, "keep") == 0)
		return play_keep(number(arg));
	if (strcmp(what, "once") == 0 && argc == 5)
		return play_once(arg, argv[3], argv[4]);
	if (strcmp(what, "init") == 0 && argc > 2)
		return play_init(argv + 2);
	if (strcmp(what, "escape") == 0)
		play_escape();
	if (strcmp(what, "http") == 0)
		play_http(number(arg), argc > 3);
	if (strcmp(what, "exit") == 0) {
		wait_ms(argc > 3 ? number(argv[3]) : 0);
		return (int)number(arg);
	}
	fprintf(stderr, "svc: unknown part '%s'\n", what);
	return 2;
}
