/* manifest_errors: see manifest_errors.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_errors.h"

#include <string.h>

#include "lib/err.h"
#include "lib/mem.h"

#define TEXT_MAX 400 /* bytes of a message: a value from the file may be long */

/* Replaces control characters (C0, DEL, and C1 in UTF-8) by '?' and cuts what is too long. */
static void make_safe(char *s)
{
	unsigned char *p = (unsigned char *)s;
	size_t len = s ? strlen(s) : 0;

	if (len > TEXT_MAX) {
		len = TEXT_MAX - 3;
		while (len > 0 && (p[len] & 0xc0) == 0x80)
			len--;
		memcpy(p + len, "...", 4);
	}

	for (; p && *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
		else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			p[0] = p[1] = '?';
	}
}

static int by_place(const struct err *a, const struct err *b)
{
	int order = strcmp(a->file ? a->file : "", b->file ? b->file : "");

	if (order)
		return order;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->column < b->column ? -1 : a->column > b->column;
}

/* The same at the same place, before position i. */
static bool is_known(const struct manifest_errors *l, size_t i, const struct err *e)
{
	while (i > 0 && by_place(e, l->errs[i - 1]) == 0) {
		i--;
		if (strcmp(e->msg, l->errs[i]->msg) == 0)
			return true;
	}
	return false;
}

/* Keeps the list sorted; when it is full the last one goes. Owns e. */
static void insert(struct manifest_errors *l, const struct manifest_place *at, struct err *e)
{
	size_t i = l->n;

	err_place(&e, at->file, at->line, at->column);
	if (e->code == ERR_NOMEM || (at->file && !e->file)) {
		l->nomem = true;
		err_free(e);
		return;
	}
	make_safe(e->msg);
	make_safe(e->hint);
	while (i > 0 && by_place(e, l->errs[i - 1]) < 0)
		i--;
	if (is_known(l, i, e)) { /* `defaults` are decoded for each service */
		err_free(e);
		return;
	}
	if (l->n == MANIFEST_ERRORS_MAX) {
		l->more = true;
		if (i == l->n) {
			err_free(e);
			return;
		}
		err_free(l->errs[--l->n]);
	}
	memmove(l->errs + i + 1, l->errs + i, (l->n - i) * sizeof(l->errs[0]));
	l->errs[i] = e;
	l->n++;
}

void manifest_errors_vadd(struct manifest_errors *l, const struct manifest_place *at,
			  const char *hint, const char *fmt, va_list ap)
{
	_cleanup_free_ char *msg = mem_vprintf(fmt, ap);
	struct err *e = NULL;

	if (!msg) {
		l->nomem = true;
		return;
	}
	err_set(&e, ERR_INVALID, "%s", msg);
	if (hint)
		err_hint(&e, "%s", hint);
	insert(l, at, e);
}

void manifest_errors_add(struct manifest_errors *l, const struct manifest_place *at,
			 const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	manifest_errors_vadd(l, at, hint, fmt, ap);
	va_end(ap);
}

void manifest_errors_take(struct manifest_errors *l, const struct manifest_place *at,
			  const char *context, struct err **e)
{
	if (context)
		err_wrap(e, "%s", context);
	insert(l, at, TAKE_PTR(*e));
}

void manifest_errors_done(struct manifest_errors *l)
{
	for (size_t i = 0; i < l->n; i++)
		err_free(l->errs[i]);
	*l = (struct manifest_errors){0};
}
