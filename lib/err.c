/* err: see err.h. The out-of-memory error is a static object, so reporting it cannot fail. */
/* SPDX-License-Identifier: MIT */
#include "lib/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

static char nomem_text[] = "out of memory";
static struct err nomem = {.code = ERR_NOMEM, .sys = ENOMEM, .msg = nomem_text};

static int set(struct err **reterr, enum err_code code, int sys, char *msg)
{
	struct err *e;

	if (!reterr) {
		mem_free(msg);
		return -(int)code;
	}
	assert(*reterr == NULL);
	e = msg ? mem_alloc(sizeof(*e)) : NULL;
	if (!e) {
		mem_free(msg);
		*reterr = &nomem;
		return -ERR_NOMEM;
	}
	*e = (struct err){.code = code, .sys = sys, .msg = msg};
	*reterr = e;
	return -(int)code;
}

int err_set(struct err **reterr, enum err_code code, const char *fmt, ...)
{
	va_list ap;
	char *msg;

	va_start(ap, fmt);
	msg = mem_vprintf(fmt, ap);
	va_end(ap);
	return set(reterr, code, 0, msg);
}

int err_sys(struct err **reterr, int errnum, const char *fmt, ...)
{
	va_list ap;
	char *what, *msg;

	va_start(ap, fmt);
	what = mem_vprintf(fmt, ap);
	va_end(ap);
	msg = what ? mem_printf("%s: %s", what, strerror(errnum)) : NULL;
	mem_free(what);
	return set(reterr, errnum == ENOMEM ? ERR_NOMEM : ERR_SYS, errnum, msg);
}

int err_nomem(struct err **reterr)
{
	if (reterr)
		*reterr = &nomem;
	return -ERR_NOMEM;
}

/* The object that may be changed, or NULL. */
static struct err *writable(struct err **reterr)
{
	return reterr && *reterr && *reterr != &nomem ? *reterr : NULL;
}

static int code_of(struct err **reterr)
{
	return reterr && *reterr ? -(int)(*reterr)->code : -ERR_INVALID;
}

int err_place(struct err **reterr, const char *file, unsigned line, unsigned column)
{
	struct err *e = writable(reterr);

	if (e) {
		mem_free(e->file);
		e->file = file ? mem_strdup(file) : NULL;
		e->line = line;
		e->column = column;
	}
	return code_of(reterr);
}

int err_hint(struct err **reterr, const char *fmt, ...)
{
	struct err *e = writable(reterr);
	va_list ap;

	if (e) {
		mem_free(e->hint);
		va_start(ap, fmt);
		e->hint = mem_vprintf(fmt, ap);
		va_end(ap);
	}
	return code_of(reterr);
}

int err_wrap(struct err **reterr, const char *fmt, ...)
{
	struct err *e = writable(reterr);
	va_list ap;
	char *context, *msg;

	if (!e)
		return code_of(reterr);
	va_start(ap, fmt);
	context = mem_vprintf(fmt, ap);
	va_end(ap);
	msg = context ? mem_printf("%s: %s", context, e->msg) : NULL;
	mem_free(context);
	if (msg) {
		mem_free(e->msg);
		e->msg = msg;
	}
	return code_of(reterr);
}

const char *err_msg(const struct err *e)
{
	return e ? e->msg : "unknown error";
}

const char *err_code_name(enum err_code code)
{
	static const char *const names[ERR_CODE_MAX_] = {
		[ERR_OK] = "ok",
		[ERR_INVALID] = "invalid",
		[ERR_NOTFOUND] = "not_found",
		[ERR_CONFLICT] = "conflict",
		[ERR_BUSY] = "busy",
		[ERR_TIMEOUT] = "timeout",
		[ERR_PERM] = "permission_denied",
		[ERR_UNREACHABLE] = "unreachable",
		[ERR_SYS] = "system",
		[ERR_NOMEM] = "out_of_memory",
	};

	return (unsigned)code < ERR_CODE_MAX_ ? names[code] : "unknown";
}

struct err *err_free(struct err *e)
{
	if (e && e != &nomem) {
		mem_free(e->msg);
		mem_free(e->file);
		mem_free(e->hint);
		mem_free(e);
	}
	return NULL;
}

void err_freep(struct err **e)
{
	*e = err_free(*e);
}
