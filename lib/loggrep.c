/* loggrep: see loggrep.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/loggrep.h"

#include <stdint.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "lib/err.h"
#include "lib/mem.h"

#define SPECIAL "\\^$.[]|()*+?{}"
#define STEPS_MAX 5000000U  /* a fraction of a second; a line of 64 KiB needs some 100,000 */
#define DEPTH_MAX 250000U   /* places to come back to */
#define HEAP_MAX_KIB 16384U /* for these */
#define NESTING_MAX 100	    /* groups within each other */
#define SMALL (64 << 10)    /* memory for matching that is kept from line to line */

struct loggrep {
	char *pattern;
	bool plain; /* to be found as it stands */
	size_t len;
	bool large; /* matching took more than SMALL at once */
	pcre2_general_context *memory;
	pcre2_match_context *limits;
	pcre2_code *text; /* for lines that are UTF-8; NULL: the pattern is not */
	pcre2_code *bytes;
	pcre2_match_data *data;
};

static void *take(PCRE2_SIZE n, void *user)
{
	struct loggrep *g = user;

	g->large |= n > SMALL;
	return mem_alloc(n);
}

static void give_back(void *p, void *user)
{
	(void)user;
	mem_free(p);
}

/* What PCRE2 says about its error number. */
static const char *say(int number, char *text, size_t size)
{
	if (pcre2_get_error_message(number, (PCRE2_UCHAR *)text, size) == PCRE2_ERROR_BADDATA)
		return "unknown error";
	return text;
}

static int compile(struct loggrep *g, uint32_t options, pcre2_code **ret, struct err **reterr)
{
	pcre2_compile_context *c = pcre2_compile_context_create(g->memory);
	PCRE2_SIZE offset = 0;
	int number = PCRE2_ERROR_HEAP_FAILED;
	char text[128];

	if (c) {
		pcre2_set_newline(c, PCRE2_NEWLINE_LF);
		pcre2_set_parens_nest_limit(c, NESTING_MAX);
		*ret = pcre2_compile((PCRE2_SPTR)g->pattern, g->len,
				     options | PCRE2_NEVER_BACKSLASH_C, &number, &offset, c);
		pcre2_compile_context_free(c);
	}
	if (*ret)
		return 0;
	if (number == PCRE2_ERROR_HEAP_FAILED)
		return err_nomem(reterr);
	return err_set(reterr, ERR_INVALID, "\"%s\" is no regular expression: %s, at character %zu",
		       g->pattern, say(number, text, sizeof(text)), (size_t)offset + 1);
}

/* A pattern that speaks of characters no byte can be (\x{263a}) sees the rest of such lines. */
static int compile_both(struct loggrep *g, bool ignore_case, struct err **reterr)
{
	uint32_t options = ignore_case ? PCRE2_CASELESS : 0;
	_cleanup_err_ struct err *utf = NULL, *byte = NULL;
	int r = compile(g, options | PCRE2_NEVER_UTF, &g->bytes, &byte);

	if (r == -ERR_NOMEM)
		return err_nomem(reterr);
	if (compile(g, options | PCRE2_UTF, &g->text, &utf) == -ERR_NOMEM)
		return err_nomem(reterr);
	if (g->bytes)
		return 0;
	if (g->text)
		return compile(g, options | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &g->bytes, reterr);
	if (reterr)
		*reterr = TAKE_PTR(byte);
	return r;
}

static int prepare(struct loggrep *g, bool ignore_case, struct err **reterr)
{
	g->memory = pcre2_general_context_create(take, give_back, g);
	g->limits = g->memory ? pcre2_match_context_create(g->memory) : NULL;
	g->data = g->limits ? pcre2_match_data_create(1, g->memory) : NULL;
	if (!g->data)
		return err_nomem(reterr);
	pcre2_set_match_limit(g->limits, STEPS_MAX);
	pcre2_set_depth_limit(g->limits, DEPTH_MAX);
	pcre2_set_heap_limit(g->limits, HEAP_MAX_KIB);
	return compile_both(g, ignore_case, reterr);
}

int loggrep_new(const char *pattern, bool ignore_case, struct loggrep **ret, struct err **reterr)
{
	struct loggrep *g;
	int r;

	if (strlen(pattern) > LOGGREP_MAX)
		return err_set(reterr, ERR_INVALID, "the pattern is longer than %d bytes",
			       LOGGREP_MAX);
	g = mem_alloc(sizeof(*g));
	if (!g)
		return err_nomem(reterr);
	g->pattern = mem_strdup(pattern);
	g->len = strlen(pattern);
	g->plain = !ignore_case && !strpbrk(pattern, SPECIAL);
	r = !g->pattern ? err_nomem(reterr) : g->plain ? 0 : prepare(g, ignore_case, reterr);
	if (r < 0) {
		loggrep_free(g);
		return r;
	}
	*ret = g;
	return 0;
}

static int match(struct loggrep *g, const pcre2_code *code, const char *text, size_t n)
{
	if (!g->data) /* given back after the line before */
		g->data = pcre2_match_data_create(1, g->memory);
	if (!g->data)
		return PCRE2_ERROR_NOMEMORY;
	return pcre2_match(code, (PCRE2_SPTR)text, n, 0, 0, g->data, g->limits);
}

/* A view that waits for its next line keeps little. */
static void give_back_much(struct loggrep *g)
{
	if (!g->large)
		return;
	pcre2_match_data_free(g->data);
	g->data = NULL;
	g->large = false;
}

static bool is_no_utf(int r)
{
	return r <= PCRE2_ERROR_UTF8_ERR1 && r >= PCRE2_ERROR_UTF8_ERR21;
}

int loggrep_matches(struct loggrep *g, const char *text, size_t n, struct err **reterr)
{
	char why[128];
	int r;

	if (g->plain)
		return memmem(text, n, g->pattern, g->len) != NULL;
	r = match(g, g->text ? g->text : g->bytes, text, n);
	if (is_no_utf(r))
		r = match(g, g->bytes, text, n);
	give_back_much(g);
	if (r >= 0 || r == PCRE2_ERROR_NOMATCH)
		return r >= 0;
	if (r == PCRE2_ERROR_NOMEMORY)
		return err_nomem(reterr);
	return err_set(
		reterr, ERR_INVALID,
		"the pattern \"%s\" asks too much of a line of %zu bytes (%s): use a simpler one",
		g->pattern, n, say(r, why, sizeof(why)));
}

int loggrep_filter(void *user, const char *text, size_t n, struct err **reterr)
{
	return loggrep_matches(user, text, n, reterr);
}

struct loggrep *loggrep_free(struct loggrep *g)
{
	if (!g)
		return NULL;
	pcre2_match_data_free(g->data);
	pcre2_code_free(g->text);
	pcre2_code_free(g->bytes);
	pcre2_match_context_free(g->limits);
	pcre2_general_context_free(g->memory);
	mem_free(g->pattern);
	mem_free(g);
	return NULL;
}
