/* plan_view: see plan_view.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/plan_view.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/js.h"
#include "cli/linediff.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define NARROW 16	 /* less room than this for the third column: lines of their own */
#define REPLICAS_SHOWN 8 /* of one action in a row */

struct view {
	const struct term *term;
	bool diff;
	size_t names, actions; /* widths */
	bool after_diff;       /* of the service before: a blank line parts it from the next */
};

static const struct {
	const char *action, *color, *summary;
} actions[] = {
	{"replace", TERM_YELLOW, "to replace"}, {"start", TERM_GREEN, "to start"},
	{"stop", TERM_RED, "to stop"},		{"reload", TERM_CYAN, "to reload"},
	{"live", TERM_GREEN, "live"},		{"none", TERM_DIM, "unchanged"},
};

static const char *action_color(const char *action)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(actions[i].action, action) == 0)
			return actions[i].color;
	}
	return "";
}

bool plan_view_changes(const cJSON *plan)
{
	return js_bool(plan, "changes");
}

static bool is_quiet(const cJSON *service)
{
	return strcmp(js_str(service, "action", "none"), "none") == 0;
}

/* A service that nothing happens to has a line when there is something to say about it. */
static bool is_shown(const cJSON *service)
{
	return !is_quiet(service) || *js_str(service, "note", "");
}

/* ---- the lines of one service ---- */

static char *keys_text(const cJSON *service)
{
	struct buf out = {0};
	const cJSON *k;

	cJSON_ArrayForEach (k, js_get(service, "keys")) {
		_cleanup_free_ char *place = text_place(k);

		buf_printf(&out, "%s%s", out.len ? ", " : "", js_str(k, "key", "?"));
		if (*place)
			buf_printf(&out, " (%s)", place);
	}
	return out.data ? x_check(buf_take(&out)) : x_strdup("");
}

static bool same_action(const cJSON *a, const cJSON *b)
{
	return b && strcmp(js_str(a, "action", ""), js_str(b, "action", "")) == 0;
}

/* "restart chat/0, chat/1; start chat/2", in order. */
static char *replicas_text(const cJSON *service)
{
	struct buf out = {0};
	const cJSON *r, *before = NULL;
	size_t run = 0;

	cJSON_ArrayForEach (r, js_get(service, "replicas")) {
		bool goes_on = before && same_action(before, r);

		run = goes_on ? run + 1 : 1;
		before = r;
		if (!goes_on)
			buf_printf(&out, "%s%s %s", out.len ? "; then " : "",
				   js_str(r, "action", "?"), js_str(r, "id", "?"));
		else if (run <= REPLICAS_SHOWN || !same_action(r, r->next))
			buf_printf(&out, "%s%s", run > REPLICAS_SHOWN + 1 ? " ... " : ", ",
				   js_str(r, "id", "?"));
	}
	return out.data ? x_check(buf_take(&out)) : x_strdup("");
}

/* "for about 4.2s", or that nobody knows yet */
static char *expected(const cJSON *u)
{
	_cleanup_free_ char *human = NULL;

	if (!js_get(u, "expected_ms"))
		return x_strdup("for how long is not known yet");
	human = text_duration(js_int(u, "expected_ms", 0));
	return x_printf("for about %s", human);
}

static char *away_text(const cJSON *service)
{
	const cJSON *u = js_get(service, "unavailable");
	long long n = js_int(u, "replicas", 0), of = js_int(u, "of", 0);
	_cleanup_free_ char *human = NULL;

	if (!u || is_quiet(service) || strcmp(js_str(service, "action", ""), "stop") == 0)
		return x_strdup("");
	if (n == 0 && !js_bool(u, "service_down"))
		return strcmp(js_str(service, "action", ""), "replace") == 0
			       ? x_strdup("no interruption")
			       : x_strdup("");
	human = expected(u);
	if (!js_bool(u, "service_down"))
		return x_printf("%lld of %lld replicas away at a time, each %s", n, of, human);
	if (of <= 1)
		return x_printf("down %s: one replica, stop-first", human);
	return x_printf("down %s: all %lld replicas at once", human, of);
}

static void put_column(const struct view *v, struct buf *out, const char *text, const char *color,
		       size_t width)
{
	size_t used;

	buf_str(out, term_paint(v->term, color));
	used = term_put(v->term, out, text, 0);
	buf_str(out, *color ? term_paint(v->term, TERM_RESET) : "");
	for (; used < width; used++)
		buf_char(out, ' ');
}

/* A text in the third column, each on lines of its own; the first beside the action. */
static void put_text(const struct view *v, struct buf *out, const char *text, bool *first)
{
	size_t at = v->names + 2 + v->actions + 2, room = v->term->columns;
	bool narrow = room && room < at + NARROW;

	if (!*text)
		return;
	at = narrow ? 4 : at;
	if (*first && !narrow)
		buf_str(out, "  ");
	else
		buf_printf(out, "\n%*s", (int)at, "");
	term_wrap(v->term, out, text, at);
	*first = false;
}

static void put_diff_line(void *user, char sign, const char *text, size_t n)
{
	const struct view *v = user;
	const char *color = sign == '+'	  ? TERM_GREEN
			    : sign == '-' ? TERM_RED
			    : sign == '@' ? TERM_CYAN
					  : "";
	_cleanup_free_ char *line = x_strndup(text, n);
	_cleanup_buf_ struct buf out = {0};

	buf_str(&out, term_paint(v->term, color));
	if (sign != '@')
		buf_char(&out, sign);
	term_put(v->term, &out, line, 0);
	buf_str(&out, *color ? term_paint(v->term, TERM_RESET) : "");
	puts(buf_cstr(&out));
}

static void print_diff(struct view *v, const cJSON *service)
{
	const char *name = js_str(service, "name", "?");
	const char *before = js_str(service, "before", ""), *after = js_str(service, "after", "");

	if (!v->diff || strcmp(before, after) == 0)
		return;
	printf("%s--- %s%s\n%s+++ %s%s\n", term_paint(v->term, TERM_BOLD),
	       *before ? name : "/dev/null", term_paint(v->term, TERM_RESET),
	       term_paint(v->term, TERM_BOLD), *after ? name : "/dev/null",
	       term_paint(v->term, TERM_RESET));
	linediff_run(before, after, put_diff_line, v);
	v->after_diff = true;
}

static void print_service(struct view *v, const cJSON *s)
{
	_cleanup_free_ char *keys = keys_text(s), *replicas = replicas_text(s);
	_cleanup_free_ char *away = away_text(s);
	const char *action = js_str(s, "action", "none");
	_cleanup_buf_ struct buf out = {0};
	bool first = true;

	if (v->after_diff)
		buf_char(&out, '\n');
	v->after_diff = false;
	put_column(v, &out, js_str(s, "name", "?"), "", v->names);
	buf_str(&out, "  ");
	put_column(v, &out, is_quiet(s) ? "-" : action, action_color(action), v->actions);
	put_text(v, &out, keys, &first);
	put_text(v, &out, replicas, &first);
	put_text(v, &out, away, &first);
	put_text(v, &out, js_str(s, "note", ""), &first);
	puts(buf_cstr(&out));
	print_diff(v, s);
}

/* ---- around them ---- */

static void widths(struct view *v, const cJSON *services)
{
	const cJSON *s;

	cJSON_ArrayForEach (s, services) {
		size_t name = term_width(v->term, js_str(s, "name", "?"));
		size_t action = strlen(js_str(s, "action", ""));

		if (!is_shown(s))
			continue;
		v->names = name > v->names ? name : v->names;
		v->actions = action > v->actions ? action : v->actions;
	}
}

static void print_paragraph(const struct view *v, const char *text)
{
	_cleanup_buf_ struct buf out = {0};

	term_wrap(v->term, &out, text, 0);
	puts(buf_cstr(&out));
}

static void print_leftovers(const struct view *v, const cJSON *plan)
{
	const cJSON *list = js_get(plan, "not_in_manifest"), *name;
	_cleanup_buf_ struct buf out = {0};

	cJSON_ArrayForEach (name, list) {
		if (cJSON_IsString(name))
			buf_printf(&out, "%s%s", out.len ? ", " : "", name->valuestring);
	}
	if (out.len) {
		_cleanup_free_ char *text =
			x_printf("Not in the manifest, left as %s: %s (--prune removes %s)",
				 cJSON_GetArraySize(list) == 1 ? "it is" : "they are",
				 buf_cstr(&out), cJSON_GetArraySize(list) == 1 ? "it" : "them");

		print_paragraph(v, text);
	}
}

static void print_drift(const struct view *v, const cJSON *plan)
{
	const cJSON *d;

	cJSON_ArrayForEach (d, js_get(plan, "drift")) {
		cJSON *one = x_check(cJSON_CreateArray());
		_cleanup_free_ char *what = NULL, *text = NULL;

		cJSON_AddItemToArray(one, x_check(cJSON_Duplicate(d, 1)));
		what = text_drift(one);
		text = x_printf("Drift: %s %s; it stays so", js_str(d, "service", "?"), what);
		print_paragraph(v, text);
		cJSON_Delete(one);
	}
}

static long long count(const cJSON *services, const char *action)
{
	long long n = 0;
	const cJSON *s;

	cJSON_ArrayForEach (s, services)
		n += strcmp(js_str(s, "action", "none"), action) == 0;
	return n;
}

static void print_summary(const struct view *v, const cJSON *plan)
{
	const cJSON *services = js_get(plan, "services");
	_cleanup_buf_ struct buf out = {0};
	long long revision = js_int(plan, "revision", 0), next = js_int(plan, "next_revision", 0);

	if (!plan_view_changes(plan)) {
		puts("No changes.");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		long long n = count(services, actions[i].action);

		if (n)
			buf_printf(&out, "%s%lld %s", out.len ? ", " : "", n, actions[i].summary);
	}
	if (next > 0 && revision == 0)
		buf_printf(&out, " (set %s is new)", js_str(plan, "set", "?"));
	else if (next > 0 && next != revision)
		buf_printf(&out, " (set %s: revision %lld becomes %lld)", js_str(plan, "set", "?"),
			   revision, next);
	print_paragraph(v, out.len ? buf_cstr(&out) : "Changes.");
}

void plan_view(const struct cli *cli, const cJSON *plan, bool diff)
{
	struct view v = {.term = &cli->term, .diff = diff};
	const cJSON *services = js_get(plan, "services"), *s;
	bool shown = false;

	widths(&v, services);
	cJSON_ArrayForEach (s, services) {
		if (!is_shown(s))
			continue;
		print_service(&v, s);
		shown = true;
	}
	if (shown)
		putchar('\n');
	print_leftovers(&v, plan);
	print_drift(&v, plan);
	print_summary(&v, plan);
}
