/* view: see view.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/view.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/mem.h"

static size_t place(struct view *v, const char *object)
{
	size_t i = 0;

	while (i < v->n_objects && strcmp(v->objects[i], object) != 0)
		i++;
	if (i < v->n_objects)
		return i;
	x_grow(&v->objects, &v->cap_objects, v->n_objects + 1, sizeof(*v->objects));
	v->objects[v->n_objects++] = x_strdup(object);
	if (strlen(object) > v->width)
		v->width = strlen(object);
	return i;
}

bool view_expect(struct view *v, const char *object)
{
	size_t n = v->n_objects;

	place(v, object);
	return v->n_objects > n;
}

static const char *color_of(struct view *v, const char *object)
{
	static const char *const colors[] = {"\033[36m", "\033[33m", "\033[32m", "\033[35m",
					     "\033[34m", "\033[96m", "\033[93m", "\033[95m"};
	size_t i = place(v, object);

	return term_paint(v->term, colors[i % ARRAY_SIZE(colors)]);
}

static void put_prefix(struct view *v, struct buf *out, const char *object, const char *bar)
{
	const char *color = color_of(v, object);

	buf_printf(out, "%s%-*s%s%s ", color, (int)v->width, object, bar,
		   term_paint(v->term, TERM_RESET));
}

void view_log(struct view *v, const char *object, const char *text, size_t n)
{
	_cleanup_buf_ struct buf out = {0};

	if (v->prefix)
		put_prefix(v, &out, object, " |");
	buf_append(&out, text, n);
	buf_char(&out, '\n');
	if (out.failed)
		x_check(NULL);
	fwrite(out.data, 1, out.len, stdout);
}

void view_note(struct view *v, const char *object, const char *color, const char *text)
{
	_cleanup_buf_ struct buf out = {0};

	put_prefix(v, &out, object, "  ");
	buf_str(&out, term_paint(v->term, color));
	term_put(v->term, &out, text, 0);
	buf_str(&out, *color ? term_paint(v->term, TERM_RESET) : "");
	puts(buf_cstr(&out));
}

void view_done(struct view *v)
{
	for (size_t i = 0; i < v->n_objects; i++)
		mem_free(v->objects[i]);
	mem_free(v->objects);
	*v = (struct view){0};
}
