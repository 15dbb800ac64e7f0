/*
 * loglevel: see loglevel.h.
 *
 * A word counts when it is a level's and one of these holds: nothing stands before it but what
 * stamps are made of (words with a digit, brackets); it stands in brackets or between " - " or "|";
 * it is the value of level=, lvl= or severity=. In lower case it counts only with brackets, with a
 * colon behind it or as such a value: "info" may begin a sentence.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/loglevel.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "lib/mem.h"

#define WORD_MAX 11

static const struct {
	const char *word;
	enum loglevel level;
} words[] = {
	{"info", LOGLEVEL_INFO},
	{"error", LOGLEVEL_ERR},
	{"warning", LOGLEVEL_WARNING},
	{"warn", LOGLEVEL_WARNING},
	{"debug", LOGLEVEL_DEBUG},
	{"trace", LOGLEVEL_DEBUG},
	{"critical", LOGLEVEL_CRIT},
	{"fatal", LOGLEVEL_CRIT},
	{"err", LOGLEVEL_ERR},
	{"panic", LOGLEVEL_CRIT},
	{"dpanic", LOGLEVEL_CRIT},
	{"crit", LOGLEVEL_CRIT},
	{"notice", LOGLEVEL_NOTICE},
	{"success", LOGLEVEL_NOTICE},
	{"alert", LOGLEVEL_ALERT},
	{"emerg", LOGLEVEL_EMERG},
	{"emergency", LOGLEVEL_EMERG},
	{"information", LOGLEVEL_INFO},
	{"informational", LOGLEVEL_INFO},
	{"verbose", LOGLEVEL_DEBUG},
};

enum loglevel loglevel_of_word(const char *word, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i].word) == n && strncasecmp(words[i].word, word, n) == 0)
			return words[i].level;
	return LOGLEVEL_NONE;
}

enum loglevel loglevel_of_number(long number)
{
	if (number >= 0 && number <= LOGLEVEL_DEBUG)
		return (enum loglevel)number;
	if (number < 0 || number > 60)
		return LOGLEVEL_NONE;
	return number >= 50   ? number >= 60 ? LOGLEVEL_CRIT : LOGLEVEL_ERR
	       : number >= 40 ? LOGLEVEL_WARNING
	       : number >= 30 ? LOGLEVEL_INFO
			      : LOGLEVEL_DEBUG;
}

const char *loglevel_number_name(long number)
{
	static const char *const names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};

	return number >= 10 && number <= 60 && number % 10 == 0 ? names[number / 10 - 1] : NULL;
}

enum loglevel loglevel_of_prefix(const char *line, size_t n, size_t *skip)
{
	*skip = 0;
	if (n < 3 || line[0] != '<' || line[1] < '0' || line[1] > '7' || line[2] != '>')
		return LOGLEVEL_NONE;
	*skip = 3;
	return (enum loglevel)(line[1] - '0');
}

/* ---- a word in a line ---- */

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The length of a colour's escape sequence at p, else 0. */
static size_t escape_length(const char *p, size_t n)
{
	size_t i = 2;

	if (n < 3 || p[0] != '\033' || p[1] != '[')
		return 0;
	while (i < n && (is_digit(p[i]) || p[i] == ';'))
		i++;
	return i < n && p[i] == 'm' ? i + 1 : 0;
}

/* The beginning of a line without colours. */
static size_t plain_head(const char *line, size_t n, char out[LOGLEVEL_LOOK])
{
	size_t len = 0;

	for (size_t i = 0; i < n && len < LOGLEVEL_LOOK;) {
		size_t skip = escape_length(line + i, n - i);

		if (skip == 0)
			out[len++] = line[i++];
		i += skip;
	}
	return len;
}

/* "E0102 03:04:05.678901 ...": glog and klog. */
static enum loglevel glog_level(const char *p, size_t n)
{
	static const char letters[] = "IWEF";
	static const enum loglevel levels[] = {LOGLEVEL_INFO, LOGLEVEL_WARNING, LOGLEVEL_ERR,
					       LOGLEVEL_CRIT};
	const char *at;

	if (n < 8 || !(at = memchr(letters, p[0], sizeof(letters) - 1)) || p[5] != ' ' ||
	    !is_digit(p[6]))
		return LOGLEVEL_NONE;
	for (int i = 1; i <= 4; i++)
		if (!is_digit(p[i]))
			return LOGLEVEL_NONE;
	return levels[at - letters];
}

static bool is_key(const char *p, size_t n)
{
	static const char *const keys[] = {"level", "lvl", "severity"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t k = strlen(keys[i]);

		if (n >= k && memcmp(p + n - k, keys[i], k) == 0 &&
		    (n == k || p[n - k - 1] == ' ' || p[n - k - 1] == '\t'))
			return true;
	}
	return false;
}

static char last_before(const char *p, size_t at)
{
	while (at > 0 && (p[at - 1] == ' ' || p[at - 1] == '\t'))
		at--;
	return at > 0 ? p[at - 1] : (char)0;
}

static char next_behind(const char *p, size_t n, size_t at)
{
	while (at < n && (p[at] == ' ' || p[at] == '\t'))
		at++;
	return at < n ? p[at] : '\0';
}

/* Do p[at .. end) stand where levels stand? stamps: nothing but stamps is before it. */
static bool is_in_place(const char *p, size_t n, size_t at, size_t end, bool stamps)
{
	char before = at > 0 ? p[at - 1] : ' ', behind = end < n ? p[end] : ' ';
	bool upper = p[at] <= 'Z' && p[end - 1] <= 'Z';
	bool spaced = before == ' ' || before == '\t';

	if (before == '=' || (before == '"' && at > 1 && p[at - 2] == '='))
		return is_key(p, at - (before == '=' ? 1 : 2));
	if ((before == '[' && next_behind(p, n, end) == ']') || (before == '(' && behind == ')') ||
	    (before == '<' && behind == '>'))
		return stamps || upper;
	if (behind == ':' && (stamps || (upper && spaced)))
		return spaced;
	if (!upper || (!spaced && before != '|') ||
	    (behind != ' ' && behind != '\t' && behind != '|'))
		return false;
	if (last_before(p, at) == '|' || last_before(p, at) == '-')
		return next_behind(p, n, end) == last_before(p, at);
	return stamps;
}

/* A word up to a space, of which stamps are made: "12:34:56,789", "[12]", "pid=12", "-", "|". */
static bool is_stamp(const char *p, size_t n)
{
	bool letters = false;

	for (size_t i = 0; i < n; i++) {
		if (is_digit(p[i]) || p[i] == '[' || p[i] == '(')
			return true;
		letters = letters || is_letter(p[i]);
	}
	return !letters;
}

/* Are there only stamps before p[at]? */
static bool only_stamps(const char *p, size_t at)
{
	for (size_t i = 0, end; i < at; i = end + 1) {
		end = i;
		while (end < at && p[end] != ' ' && p[end] != '\t')
			end++;
		if (!is_stamp(p + i, end - i))
			return false;
	}
	return true;
}

enum loglevel loglevel_of_line(const char *line, size_t n)
{
	char p[LOGLEVEL_LOOK];
	size_t skip, len;
	enum loglevel level = loglevel_of_prefix(line, n, &skip);

	if (level != LOGLEVEL_NONE)
		return level;
	len = plain_head(line, n, p);
	level = glog_level(p, len);
	for (size_t at = 0, end; level == LOGLEVEL_NONE && at < len; at = end + 1) {
		enum loglevel found;

		while (at < len && !is_letter(p[at]))
			at++;
		end = at;
		while (end < len && is_letter(p[end]))
			end++;
		if (end - at < 3 || end - at > WORD_MAX + 2)
			continue;
		found = loglevel_of_word(p + at, end - at);
		if (found != LOGLEVEL_NONE && is_in_place(p, len, at, end, only_stamps(p, at)))
			level = found;
	}
	return level;
}
