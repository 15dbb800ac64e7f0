/* journal: see journal.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/journal.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/log.h"

#define FIELDS_MAX 24
#define NAME_MAX_ 24
#define PREFIX "AICTL_"

/* The line twice at most (as MESSAGE and as fields), and the names' prefixes. */
struct datagram {
	char text[2 * JOURNAL_LINE_MAX + 1024];
	size_t len;
};

struct piece {
	const char *at;
	size_t len;
};

/* ---- encoding ---- */

static void put(struct datagram *d, const char *name, struct piece value)
{
	size_t n = strlen(name);

	if (d->len + n + value.len + 2 > sizeof(d->text))
		return;
	memcpy(d->text + d->len, name, n);
	d->text[d->len + n] = '=';
	memcpy(d->text + d->len + n + 1, value.at, value.len);
	d->len += n + value.len + 2;
	d->text[d->len - 1] = '\n';
}

/* The word up to the next space, which is skipped. */
static struct piece next_word(struct piece *rest)
{
	const char *space = memchr(rest->at, ' ', rest->len);
	struct piece word = {rest->at, space ? (size_t)(space - rest->at) : rest->len};
	size_t skip = word.len + (space ? 1 : 0);

	rest->at += skip;
	rest->len -= skip;
	return word;
}

/* What follows the '=': up to a space, or what stands between quotes. */
static struct piece next_value(struct piece *rest)
{
	const char *quote;
	struct piece value;

	if (rest->len == 0 || rest->at[0] != '"')
		return next_word(rest);
	value = (struct piece){rest->at + 1, rest->len - 1};
	quote = memchr(value.at, '"', value.len);
	if (quote)
		value.len = (size_t)(quote - value.at);
	rest->len -= (size_t)(value.at + value.len - rest->at);
	rest->at = value.at + value.len;
	next_word(rest); /* the quote, and whatever touches it */
	return value;
}

/* Length of a key that is followed by '=', else 0. */
static size_t key_length(const struct piece *rest)
{
	size_t n = 0;

	while (n < rest->len && ((rest->at[n] >= 'a' && rest->at[n] <= 'z') || rest->at[n] == '_'))
		n++;
	return n > 0 && n <= NAME_MAX_ && n < rest->len && rest->at[n] == '=' ? n : 0;
}

static void put_key(struct datagram *d, const char *key, size_t len, struct piece value)
{
	char name[sizeof(PREFIX) + NAME_MAX_] = PREFIX;
	size_t at = strlen(PREFIX);
	const char *slash;

	for (size_t i = 0; i < len; i++)
		name[at++] = (char)(key[i] == '_' ? '_' : key[i] - 'a' + 'A');
	name[at] = '\0';
	put(d, name, value);
	if (strcmp(name, PREFIX "REPLICA") != 0)
		return;
	slash = memchr(value.at, '/', value.len);
	if (slash) {
		value.len = (size_t)(slash - value.at);
		put(d, PREFIX "SERVICE", value);
	}
}

static void put_fields(struct datagram *d, struct piece rest)
{
	for (int n = 0; rest.len > 0 && n < FIELDS_MAX;) {
		const char *key = rest.at;
		size_t len = key_length(&rest);

		if (len == 0) {
			next_word(&rest);
			continue;
		}
		rest.at += len + 1;
		rest.len -= len + 1;
		put_key(d, key, len, next_value(&rest));
		n++;
	}
}

static const char *priority(struct piece level)
{
	static const char *const syslog[] = {"3", "4", "6", "7"};

	for (int i = LOG_LVL_ERROR; i <= LOG_LVL_DEBUG; i++) {
		const char *name = log_level_name((enum log_level)i);

		if (strlen(name) == level.len && memcmp(name, level.at, level.len) == 0)
			return syslog[i];
	}
	return NULL;
}

/* "TIME LEVEL PROGRAM: MESSAGE"; false when it has another form. */
static bool split(struct piece line, struct piece *level, struct piece *program,
		  struct piece *message)
{
	*message = line;
	next_word(message);
	*level = next_word(message);
	*program = next_word(message);
	if (program->len < 2 || program->at[program->len - 1] != ':' || !priority(*level))
		return false;
	program->len--;
	return true;
}

static void encode(struct datagram *d, struct piece line)
{
	struct piece level, program, message;

	d->len = 0;
	if (!split(line, &level, &program, &message)) {
		put(d, "MESSAGE", line);
		put(d, "PRIORITY", (struct piece){"6", 1});
		put(d, "SYSLOG_IDENTIFIER", (struct piece){"aictld", 6});
		return;
	}
	put(d, "MESSAGE", message);
	put(d, "PRIORITY", (struct piece){priority(level), 1});
	put(d, "SYSLOG_IDENTIFIER", program);
	put_fields(d, message);
}

/* ---- the socket ---- */

bool journal_is_behind(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[48];
	struct stat st;

	if (!stream || fstat(fd, &st) < 0)
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, own) == 0;
}

int journal_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, e;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	e = errno;
	close(fd);
	return -e;
}

ssize_t journal_send(int fd, const char *line, size_t n)
{
	struct piece p = {line, n > 0 && line[n - 1] == '\n' ? n - 1 : n};
	struct datagram d;

	encode(&d, p);
	return send(fd, d.text, d.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : (ssize_t)n;
}
